"""From a completion to an SFT body, and from questions to graded traces."""

from collections import Counter

import pytest
from chat_server import ChatServer, Reply
from hypothesis import given
from hypothesis import strategies as st

from personadual import schema
from personadual.data_prep.hygiene import MARKER
from personadual.data_prep.items import PREFERENCE
from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.served.bodies import Body, read_body
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Answer, Failure, Outcome, Request
from personadual.data_prep.served.judge import judge_all, read_verdict
from personadual.data_prep.served.prompts import TRACE_FILTER, TRACE_GENERAL, TRACE_PERSONALIZED, Prompts
from personadual.data_prep.served.service import open_service
from personadual.data_prep.served.traces import (
    TraceJob,
    make_traces,
    needs_filter,
    passed_filter,
    read_trace,
    trace_request,
)
from personadual.modes import DEFAULT_MODES, GENERAL, PERSONALIZED, Mode, Modes
from personadual.reward_fns import Settings, compute_score

CHOICE = Record("c", "Which is the capital?", "B", "UltraMedical", "MIT", "s", options=("Lyon", "Paris", "Nice"))
OPEN = Record("o", "How many legs has a spider?", "8", "flan", "MIT", "s", accept=("eight",))
BLOCK = '<answer>\n{"answer": "B"}\n</answer>'
GOOD = f"<reasoning>\nBecause.\n</reasoning>\n{BLOCK}"


def block(answer):
    return BLOCK.replace('"B"', f'"{answer}"')


def completion(answer, reasoning="Because."):
    return f"<reasoning>{reasoning}</reasoning>{block(answer)}"


def job(record=CHOICE, mode=GENERAL, prompt=TRACE_GENERAL, persona="I am a nurse."):
    return TraceJob(record, persona, schema.UNALIGNED, mode, prompt)


def outcome(text, about, finish="stop"):
    return Outcome(Request("1", (), about), Answer(text, finish))


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  \n{GOOD}\n ",
        f"Because.\n{BLOCK}",
        f"<reasoning>Because.</reasoning>\n\n\n{BLOCK}",
        f"[General_mode]\n{GOOD}",
        f"[Personalized_mode] {GOOD}",
        f"<think>\nB, B <answer>\n</think>\n\n{GOOD}",
        f"the template has opened it\n</think>{GOOD}",
        f"<think>x</think>\n[General_mode]\n{GOOD}",
    ],
)
def test_reasoning_and_answer_are_found_whatever_stands_before_them(text):
    assert read_body(text, DEFAULT_MODES) == Body("Because.", "B")


def test_a_body_is_written_as_the_rewards_want_it():
    assert Body("Because.", "B").written() == 'Because.\n\n<answer>\n{"answer": "B"}\n</answer>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Because.", "no answer block"),
        ('{"answer": "B"}', "no answer block"),
        (f"{GOOD}\n{BLOCK}", "not exactly one answer block"),
        (f"Because </answer> {BLOCK}", "not exactly one answer block"),
        (f"Because.\n{BLOCK[:-9]}", "not exactly one answer block"),
        (f"<answer>A</answer> no: {BLOCK}", "not exactly one answer block"),
        ("Because. <answer>B</answer>", "answer block is not the JSON asked for"),
        ('Because. <answer>```json\n{"answer": "B"}```</answer>', "answer block is not the JSON asked for"),
        ('Because. <answer>{"answer": ["A", "B"]}</answer>', "answer block is not the JSON asked for"),
        ('Because. <answer>{"answer": "A", "answer": "B"}</answer>', "answer block is not the JSON asked for"),
        ('Because. <answer>{"answer": "B", "sure": true}</answer>', "answer block is not the JSON asked for"),
        ("Because. </answer>{}<answer>", "answer block is not the JSON asked for"),
        (f"{GOOD}\nI hope this helps!", "text behind the answer block"),
        (BLOCK, "no reasoning"),
        (f"<reasoning> \n</reasoning>{BLOCK}", "no reasoning"),
        (f"<reasoning>Because.{BLOCK}", "broken reasoning tags"),
        (f"Sure! <reasoning>Because.</reasoning>{BLOCK}", "broken reasoning tags"),
        (f"<reasoning>Because.</reasoning> so {BLOCK}", "broken reasoning tags"),
        (f"<reasoning>a</reasoning><reasoning>b</reasoning>{BLOCK}", "broken reasoning tags"),
        (f"<reasoning>Because. {BLOCK}</reasoning>", "text behind the answer block"),
        (f"In [General_mode] one says\n{BLOCK}", MARKER),
        (f"[General_mode]\n[Personalized_mode]\nBecause.\n{BLOCK}", MARKER),
        (f"<think>never closed {GOOD}", "stray think tag"),
        (f"<think>a</think><think>b</think>{GOOD}", "stray think tag"),
        (f"Because <think>late</think>{BLOCK}", "stray think tag"),
        (f"Because.<|im_end|>\n<|im_start|>user{BLOCK}", MARKER),
        (f"Because.</s>{BLOCK}", MARKER),
        (f"Because. [INST] {BLOCK}", MARKER),
        (f"Because ＜answer＞ {BLOCK}", MARKER),
        ('Because. <answer>{"answer": "<|im_end|>B"}</answer>', MARKER),
    ],
)
def test_anything_else_is_dropped_with_its_reason(text, reason):
    with pytest.raises(Rejected) as rejected:
        read_body(text, DEFAULT_MODES)
    assert rejected.value.reason == reason and not rejected.value.malformed


def test_the_tags_are_those_that_are_configured():
    modes = Modes([Mode("think", "[思考]"), Mode("nothink", "[直接回答]")])
    assert read_body(f"[思考]\nIn [General_mode], so.\n{BLOCK}", modes) == Body("In [General_mode], so.", "B")
    with pytest.raises(Rejected, match=MARKER):
        read_body(f"so [思考] {BLOCK}", modes)


PIECES = st.sampled_from(
    [*"ab \n", "<reasoning>", "</reasoning>", "<think>", "</think>", "<answer>", "</answer>", BLOCK, GOOD]
    + ['{"answer": "B"}', '"', "[General_mode]\n", "[Personalized_mode]", "<|im_end|>", "\u2028", "{", "\\"]
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_whatever_is_kept_is_a_well_formed_response(text):
    try:
        body = read_body(text, DEFAULT_MODES).written()
    except Rejected:
        return
    assert body == body.lstrip()
    score = compute_score("flan", GENERAL.prefix + body, "B")
    assert (score["acc"], score["format"], score["mode_general"]) == (1, 1, 1)
    assert "<think>" not in body and "<|" not in body and "_mode]" not in body


def test_long_hostile_text_takes_no_time():
    for piece in ("<think>", "<answer>", "<reasoning>", "<|" * 2, "[General_mode]", "</think>", "<|a", "{"):
        with pytest.raises(Rejected):
            read_body(piece * 200_000, DEFAULT_MODES)


@pytest.mark.parametrize(
    ("record", "said", "answer"),
    [
        (CHOICE, "B", "B"),
        (CHOICE, "b.", "B"),
        (CHOICE, "Paris", "B"),
        (CHOICE, "(B) paris", "B"),
        (OPEN, "8", "8"),
        (OPEN, " Eight. ", "Eight."),
    ],
)
def test_a_right_answer_is_kept_and_passes_the_training_grader(record, said, answer):
    trace = read_trace(outcome(completion(said), job(record)), Settings())
    assert trace.body == Body("Because.", answer).written()
    extra = {schema.OPTIONS: record.options, schema.ACCEPT: list(record.accept)}
    assert compute_score(record.data_source, GENERAL.prefix + trace.body, record.answer, extra)["score"] == 1


@pytest.mark.parametrize(
    ("record", "said"), [(CHOICE, "A"), (CHOICE, "A or B"), (CHOICE, "Marseille"), (OPEN, "6"), (OPEN, "8 legs")]
)
def test_a_wrong_answer_is_dropped(record, said):
    with pytest.raises(Rejected) as rejected:
        read_trace(outcome(completion(said), job(record)), Settings())
    assert rejected.value.reason == "wrong answer"


def test_a_trace_that_gives_the_prompt_away_is_dropped_unless_nothing_was_shown():
    text = completion("B", "The provided correct answer is B.")
    with pytest.raises(Rejected, match="says that the answer was shown"):
        read_trace(outcome(text, job()), Settings())
    read_trace(outcome(text, job(prompt=TRACE_FILTER)), Settings())


def test_a_failed_or_cut_request_is_dropped_with_that_reason():
    with pytest.raises(Rejected, match="completion cut at max_tokens"):
        read_trace(outcome(GOOD, job(), "length"), Settings())
    with pytest.raises(Rejected, match="server error: 500"):
        read_trace(Outcome(Request("1", (), job()), Failure("server error", "500")), Settings())


def test_a_question_without_a_grader_is_dropped_as_malformed():
    unknown = Record("u", "Q?", "x", "my_set", "MIT", "s")
    with pytest.raises(Rejected, match="question cannot be graded") as rejected:
        read_trace(outcome(completion("x"), job(unknown)), Settings())
    assert rejected.value.malformed
    assert read_trace(outcome(completion("x"), job(unknown)), Settings(graders={"my_set": "objective"})).body


def test_requests_show_what_the_prompt_needs():
    prompts = Prompts()
    general = trace_request(job(persona=""), prompts)
    assert general.id == "trace_general/c/unaligned" and general.about.record is CHOICE
    assert "is: B. Paris" in general.messages[0]["content"] and '{"answer": "A/B/C"}' in general.messages[0]["content"]
    open_one = trace_request(job(OPEN, PERSONALIZED, TRACE_PERSONALIZED), prompts).messages[0]["content"]
    assert "is: 8\n" in open_one and '{"answer": "your answer"}' in open_one and "I am a nurse." in open_one
    with pytest.raises(ValueError, match="question c: the prompt trace_filter needs a persona"):
        trace_request(job(prompt=TRACE_FILTER, persona=""), prompts)
    with pytest.raises(ValueError, match="'judge' is no trace prompt"):
        trace_request(job(prompt="judge"), prompts)


def test_only_facts_need_the_filter():
    assert needs_filter(CHOICE)
    assert not needs_filter(Record("p", "Q?", "A", "AlignX", "MIT", "s", options=("a", "b"), ability=PREFERENCE))


def service(server, path, **changes):
    url = server if isinstance(server, str) else server.url
    return open_service(ServedConfig(base_url=url, model="m", max_attempts=1, **changes), path, progress=False)


def numbered(number):
    return Record(f"q{number}", f"Question {number}?", "B", "flan", "MIT", "s", options=("no", "yes"))


def test_traces_are_made_in_order_counted_and_made_again_without_the_server(tmp_path):
    replies = [
        Reply(completion("B")),
        Reply(completion("A")),
        Reply(completion("B") + BLOCK),
        Reply(completion("B"), finish_reason="length"),
        Reply(status=500, message="oh"),
        Reply(completion("yes", "Since.")),
        Reply(""),
    ]
    jobs = [job(numbered(number)) for number in range(len(replies))]

    def script(prompt, attempt):
        return replies[int(prompt.partition("Question ")[2].partition("?")[0])]

    expected = {
        "wrong answer": 1,
        "not exactly one answer block": 1,
        "completion cut at max_tokens": 1,
        "server error": 1,
        "empty completion": 1,
    }
    with ChatServer(script) as server:
        counts: Counter[str] = Counter()
        with service(server, tmp_path / "cache") as served:
            traces = list(make_traces(jobs, served, Settings(), counts))
        assert [(trace.job, trace.body) for trace in traces] == [
            (jobs[0], Body("Because.", "B").written()),
            (jobs[5], Body("Since.", "B").written()),
        ]
        assert counts == expected
        replies[4] = Reply(completion("B", "At last."))
        with service(server, tmp_path / "cache") as served:
            list(make_traces(jobs, served, Settings(), Counter()))
        assert server.hits.total() == len(jobs) + 1
    counts.clear()
    with service(server, tmp_path / "cache") as served:
        again = list(make_traces(jobs, served, Settings(), counts))
    assert [trace.job.record.question_id for trace in again] == ["q0", "q4", "q5"]
    assert counts == {reason: number for reason, number in expected.items() if reason != "server error"}


def test_the_filter_passes_what_is_right_without_the_truth(tmp_path):
    jobs = [job(numbered(n), PERSONALIZED, TRACE_FILTER) for n in range(4)]

    def script(prompt, attempt):
        assert "correct answer" not in prompt
        return Reply(completion("A" if "Question 2?" in prompt else "yes"))

    counts: Counter[str] = Counter()
    with ChatServer(script) as server, service(server, tmp_path / "cache") as served:
        assert passed_filter(jobs, served, Settings(), counts) == {"q0", "q1", "q3"}
    assert counts == {"wrong answer": 1}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('<answer>{"answer": "yes"}</answer>', True),
        ('<answer>\n{"answer": "no"}\n</answer>\n', False),
        ('The same. <answer>{"answer": "yes"}</answer>', True),
        ('<think>no? <answer>{"answer": "no"}</answer></think>\n<answer>{"answer": "yes"}</answer>', True),
        ("yes", None),
        ('<answer>{"answer": "Yes"}</answer>', None),
        ('<answer>{"answer": "yes/no"}</answer>', None),
        ('<answer>{"answer": " yes"}</answer>', None),
        ('<answer>{"answer": true}</answer>', None),
        ('<answer>{"answer": "no"}</answer> or <answer>{"answer": "yes"}</answer>', None),
        ('<answer>{"answer": "yes"}</answer> No, I was wrong.', None),
        ("<think>I never end", None),
    ],
)
def test_a_verdict_is_read_strictly_and_is_never_a_no_by_default(text, verdict):
    found = outcome(text, None)
    if verdict is None:
        with pytest.raises(Rejected):
            read_verdict(found)
    else:
        assert read_verdict(found) is verdict


def test_verdicts_come_in_order_with_none_for_the_undecided(tmp_path):
    words = {"good": "yes", "bad": "no", "odd": "perhaps"}

    def script(prompt, attempt):
        word = next(word for word in (*words, "gone") if f'"{word}"' in prompt)
        return Reply(status=500) if word == "gone" else Reply(block(words[word]))

    counts: Counter[str] = Counter()
    with ChatServer(script) as server, service(server, tmp_path / "cache") as served:
        verdicts = list(judge_all([(OPEN, word) for word in ("odd", "good", "gone", "bad")], served, counts))
    assert verdicts == [None, True, None, False] and counts == {"judge undecided": 1, "server error": 1}


def test_the_judge_is_asked_for_open_answers_that_no_rule_matches_only(tmp_path):
    said = {"q0": "8", "q1": "eight of them", "q2": "a dozen", "q3": "who knows", "q4": "A"}
    verdicts = {"eight of them": "yes", "a dozen": "no", "who knows": "maybe"}
    records = [Record(f"q{n}", f"Question q{n}?", "8", "flan", "MIT", "s") for n in range(4)]
    records.append(Record("q4", "Question q4?", "B", "flan", "MIT", "s", options=("no", "yes")))

    def script(prompt, attempt):
        if "Candidate answer" in prompt:
            return Reply(block(next(verdict for answer, verdict in verdicts.items() if answer in prompt)))
        return Reply(completion(said[prompt.partition("Question ")[2][:2]]))

    counts: Counter[str] = Counter()
    with (
        ChatServer(script) as server,
        service(server, tmp_path / "cache") as served,
        service(server, tmp_path / "judge", max_tokens=50) as judge,
    ):
        jobs = [job(record) for record in records]
        traces = list(make_traces(jobs, served, Settings(), counts, judge=judge))
        assert (judge.tally.asked, served.tally.asked) == (3, 5)
    assert [(trace.job.record.question_id, trace.body) for trace in traces] == [
        ("q0", Body("Because.", "8").written()),
        ("q1", Body("Because.", "8").written()),  # in the words that the rules know
    ]
    assert counts == {"wrong answer": 2, "judge undecided": 1}
