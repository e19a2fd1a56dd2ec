"""Aligned and conflicting personas: what is asked for, and what is kept."""

from collections import Counter

import pytest
from chat_server import ChatServer, Reply
from hypothesis import given
from hypothesis import strategies as st

from personadual import schema
from personadual.data_prep.hygiene import MARKER
from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Answer, Outcome, Request
from personadual.data_prep.served.personas import (
    PersonaJob,
    first_person,
    make_personas,
    persona_job,
    persona_request,
    read_persona,
)
from personadual.data_prep.served.prompts import Prompts
from personadual.data_prep.served.service import open_service
from personadual.data_prep.served.texts import occurs
from personadual.reward_fns.matching import is_right

CHOICE = Record("c", "Which city is it?", "B", "flan", "MIT", "s", options=("Lyon", "Paris", "Nice"))
OPEN = Record("o", "How many legs?", "8", "flan", "MIT", "s", accept=("eight",))
REST = "a guide who walks with visitors through the streets every single morning and loves it"


def aligned(record=CHOICE):
    return PersonaJob(record, schema.ALIGNED)


def conflicting(record=CHOICE, wrong="Lyon"):
    return PersonaJob(record, schema.CONFLICTING, wrong)


def read(text, job, finish="stop"):
    return read_persona(Outcome(Request("1", (), job), Answer(text, finish)))


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("Paris", "I love PARIS.", True),
        ("Paris", "a comparison", False),
        ("Paris", "Parisian", False),
        ("Paris", "Parisian, yet of Paris", True),
        ("Bogotá", "in Bogota", True),
        ("New  York.", "of New York City", True),
        ("8", "18 and 80", False),
        ("8", "8%", True),
        ("1000", "some 1,000 men", True),
        ("1,000", "10000", False),
        ("C++", "I write C++ code", True),
        ("-5", "at -5 degrees", True),
        ("don’t know", "I don't know", True),
        ("кот", "который", False),
        ("东京", "我住在东京都", True),
        ("", "anything", False),
        ("a", "", False),
    ],
)
def test_when_a_text_names_an_answer(phrase, text, found):
    assert occurs(phrase, text) is found


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_naming_never_fails_and_sees_words_between_spaces(before, phrase, after):
    occurs(phrase, before + phrase + after)
    if phrase.isalpha() and phrase.isascii():
        assert occurs(phrase, f"{before} ! {phrase} ! {after}")


def test_naming_takes_linear_time():
    assert not occurs("ab" * 10, "a" + "ab" * 300_000 + "c")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I am a nurse.", "I am a nurse."),
        ("  I'm a\nnurse. ", "I am a nurse."),
        ("I’m a nurse.", "I am a nurse."),
        ('"I am a nurse."', "I am a nurse."),
        ("i am a nurse.", "I am a nurse."),
        ('I am called "Bo"', 'I am called "Bo"'),
    ],
)
def test_the_first_person_is_written_in_one_way(text, found):
    assert first_person(text) == found


@pytest.mark.parametrize("text", ["A nurse.", "Persona: I am a nurse.", "I amble.", "", "Here it is: I am"])
def test_anything_else_than_the_first_person_is_rejected(text):
    with pytest.raises(Rejected, match="does not begin with 'I am'"):
        first_person(text)


@pytest.mark.parametrize(
    ("text", "job", "reason"),
    [
        (f"I am {REST} in Paris.", aligned(), None),
        (f"I am {REST}. Its eight legs carry it.", aligned(OPEN), None),
        (f"<think>hm, Paris</think>I'm {REST} in paris!", aligned(), None),
        (f"I am {REST} in Lyon.", conflicting(), None),
        (f"I am {REST}.", aligned(), "aligned persona without the answer"),
        (f"I am {REST} in a Parisian way.", aligned(), "aligned persona without the answer"),
        (f"I am {REST}.", conflicting(), "conflicting persona without its wrong answer"),
        (f"I am {REST} in Nice.", conflicting(), "conflicting persona without its wrong answer"),
        (f"I am {REST} in Lyon, not Paris.", conflicting(), "conflicting persona with the right answer"),
        (f"I am {REST} of six, not eight.", conflicting(OPEN, "six"), "conflicting persona with the right answer"),
        (f"She is {REST} in Paris.", aligned(), "persona does not begin with 'I am'"),
        ("I am from Paris.", aligned(), "persona too short or too long"),
        (f"I am from Paris. {'x' * 1500}", aligned(), "persona too short or too long"),
        (f"I am {REST}. [General_mode] Paris.", aligned(), MARKER),
        (f"I am {REST}.<|im_end|> Paris.", aligned(), MARKER),
        (f"I am {REST}. <answer>Paris", aligned(), MARKER),
        (f"I am {REST} in Paris </think> yes", aligned(), "persona does not begin with 'I am'"),
        (f"I am {REST}. The correct answer is Paris.", aligned(), "persona speaks of the question"),
        (f"I am {REST}. Which city is it? Paris.", aligned(), "persona speaks of the question"),
        (f"I am {REST} in Paris. \0", aligned(), "completion is no valid text"),
    ],
)
def test_a_persona_is_kept_only_if_it_does_what_it_is_for(text, job, reason):
    if reason is None:
        persona = read(text, job)
        assert persona.startswith("I am ") and "\n" not in persona and "think" not in persona
        return
    with pytest.raises(Rejected) as rejected:
        read(text, job)
    assert rejected.value.reason == reason


def test_a_cut_persona_is_rejected():
    with pytest.raises(Rejected, match="completion cut"):
        read(f"I am {REST} in Paris", aligned(), "length")


@given(st.integers(0, 50), st.sampled_from("ABC"))
def test_the_wrong_answer_is_a_wrong_option_and_follows_seed_and_question(seed, answer):
    record = Record("q", "Q?", answer, "flan", "MIT", "s", options=("Lyon", "Paris", "Nice"))
    job = persona_job(record, schema.CONFLICTING, seed)
    assert job.wrong in record.options and not is_right(job.wrong, answer, record.options)
    assert job == persona_job(record, schema.CONFLICTING, seed)


def test_every_wrong_option_is_chosen_for_some_question():
    records = [Record(f"q{n}", "Q?", "B", "flan", "MIT", "s", options=CHOICE.options) for n in range(40)]
    wrong = Counter(persona_job(record, schema.CONFLICTING, 1).wrong for record in records)
    assert set(wrong) == {"Lyon", "Nice"} and min(wrong.values()) >= 8


def test_a_wrong_answer_that_cannot_be_told_from_the_right_one_is_not_taken():
    for options in [
        ("Paris", "paris.", "Paris, France", "not Paris", "Lyon"),
        ("Washington, D.C.", "Washington", "Lyon"),
    ]:
        record = Record("q", "Q?", "A", "flan", "MIT", "s", options=options)
        assert {persona_job(record, schema.CONFLICTING, seed).wrong for seed in range(30)} == {"Lyon"}
    with pytest.raises(Rejected, match="no wrong answer"):
        persona_job(Record("q", "Q?", "A", "flan", "MIT", "s", options=("yes", "Yes.")), schema.CONFLICTING, 1)


def test_an_open_question_takes_its_wrong_answer_from_the_pool():
    pool = ["8", "eight", "6", "8 legs", "100"]
    found = {persona_job(OPEN, schema.CONFLICTING, seed, pool).wrong for seed in range(60)}
    assert found == {"6", "100"}
    with pytest.raises(Rejected, match="no wrong answer"):
        persona_job(OPEN, schema.CONFLICTING, 1)
    with pytest.raises(Rejected, match="no wrong answer"):
        persona_job(OPEN, schema.CONFLICTING, 1, ["8", "eight"])


def test_no_other_condition_is_written():
    with pytest.raises(ValueError, match="condition 'unaligned': aligned or conflicting is needed"):
        persona_job(CHOICE, schema.UNALIGNED, 1)


def test_requests_name_the_answer_to_be_said():
    prompts = Prompts()
    assert "words in it: Paris" in persona_request(aligned(), prompts).messages[0]["content"]
    content = persona_request(conflicting(), prompts).messages[0]["content"]
    assert "words in it: Lyon" in content and "must not occur in your text in any form: Paris" in content


def test_personas_come_in_order_and_rejects_are_counted(tmp_path):
    jobs = [aligned(), conflicting(), conflicting(wrong="Nice"), aligned(OPEN)]

    def script(prompt, attempt):
        if "How many legs?" in prompt:
            return Reply("It is a spider.")
        return Reply(f"I'm {REST} in {'Paris' if 'words in it: Paris' in prompt else 'Lyon'}")

    counts: Counter[str] = Counter()
    with ChatServer(script) as server:
        config = ServedConfig(base_url=server.url, model="m")
        with open_service(config, tmp_path / "cache", progress=False) as served:
            found = list(make_personas(jobs, served, counts))
    assert [job for job, _ in found] == jobs[:2]
    assert found[0][1] == f"I am {REST} in Paris"
    assert counts == {"conflicting persona without its wrong answer": 1, "persona does not begin with 'I am'": 1}
