"""Standard sets in their published formats to records."""

from collections import Counter

import pytest
from standard_rows import ASKED, ASKED_HF, MESSAGES, REPLIES, asked, gpqa, write_personamem
from test_data_sources import HERE, convert, preference, rejected, write

from personadual import schema
from personadual.data_prep import option_answers
from personadual.data_prep.items import PREFERENCE
from personadual.data_prep.sources import QUESTION_SOURCES, personamem, prefeval, question_source
from personadual.data_prep.sources.fields import EMPTY, MISSING, WRONG_KIND
from personadual.data_prep.sources.generic import NO_ANSWER
from personadual.reward_fns.graders import PRIVATE_SOURCES, grader_of


def test_medqa_in_both_layouts(tmp_path):
    rows = [
        ASKED,
        ASKED_HF,
        {key: value for key, value in ASKED.items() if key != "meta_info"},
        {**ASKED, "answer_idx": "E"},
        {**ASKED, "answer_idx": ""},
        {**ASKED_HF, "label": 4},
        {**ASKED, "options": {"A": "Rest", "B": "Rest"}},
        {"question": "Who?"},
    ]
    records, reasons = convert(question_source("medqa"), write(tmp_path / "m.jsonl", rows))
    assert [(r.answer, r.answer_text, r.subject) for r in records] == [
        ("B", "ECG", "step2&3"),
        ("B", "ECG", ""),
        ("B", "ECG", ""),
    ]
    assert len({record.question_id for record in records}) == 1
    assert {record.source for record in records} == {"GBaker/MedQA-USMLE-4-options"}
    assert records[0].licence.startswith("MIT") and grader_of(records[0].data_source) == "objective"
    assert reasons == [
        (4, option_answers.NOT_AMONG, False),
        (5, NO_ANSWER, False),
        (6, option_answers.NOT_AMONG, False),
        (7, option_answers.SAME, False),
        (8, MISSING, True),
    ]


def test_bbh_with_options_and_without(tmp_path):
    rows = [
        {"input": "Which is it?\nOptions:\n(A) the dog\n(B) the cat", "target": "(B)"},
        {"input": "not ( True ) is", "target": "False"},
        {"input": "Is it so?\nOptions:\n- Yes\n- No", "target": "No"},
    ]
    records, reasons = convert(question_source("bbh"), write(tmp_path / "b.jsonl", rows))
    assert [(r.question, r.options, r.answer) for r in records] == [
        ("Which is it?", ("the dog", "the cat"), "B"),
        ("not ( True ) is", None, "False"),
        ("Is it so?\nOptions:\n- Yes\n- No", None, "No"),
    ]
    assert reasons == []


def test_gpqa(tmp_path):
    rows = [
        gpqa(),
        gpqa(**{"Record ID": ""}),
        gpqa(**{"Incorrect Answer 3": "right"}),
        gpqa(**{"Incorrect Answer 2": None}),
        {"Question": "What?"},
    ]
    records, reasons = convert(question_source("gpqa"), write(tmp_path / "g.jsonl", rows))
    assert [record.answer_text for record in records] == ["right", "right"]
    assert set(records[0].options) == {"right", "wrong one", "wrong two", "wrong three"}
    assert records[0].question_id == "gpqa:rec1" != records[1].question_id and records[0].subject == "Physics"
    assert "canary" not in str(records).lower()
    assert reasons == [(3, option_answers.SAME, False), (4, EMPTY, True), (5, MISSING, True)]


def test_gpqas_options_are_ordered_by_seed_and_question_alone():
    source = question_source("gpqa")

    def letters(seed):
        return [source.record(gpqa(number), HERE, seed).answer for number in range(400)]

    assert letters(1) == letters(1) != letters(2)
    assert all(70 < count < 130 for count in Counter(letters(1)).values())


def test_private_sources_are_those_whose_about_says_so():
    made = {name: factory() for name, factory in QUESTION_SOURCES.items()}
    assert {name for name, source in made.items() if source.about.private} == PRIVATE_SOURCES == {"gpqa"}
    assert not made["gpqa"].about.redistributable


def test_alignx_test_shows_more_of_the_user_under_a_name_of_its_own():
    comments = [{"prompt": f"q{number}", "comment": f"c{number}"} for number in range(9)]
    row = preference(**{"User-Generated Content": comments, "profile": "likes q"})
    del row["Pair-wise Comparative Feedback"]
    trained, held_out = (question_source(name).record(row, HERE, 1) for name in ("alignx", "alignx_test"))
    assert trained.persona.count('- On "q') == 2 and held_out.persona.count('- On "q') == 4
    assert (held_out.data_source, trained.data_source) == ("alignx_test", "AlignX")
    assert held_out.question_id == trained.question_id and held_out.options == trained.options
    assert grader_of(held_out.data_source) == "personalized" and held_out.source == "JinaLeejnl/AlignX-test"
    fewer = question_source("alignx_test", settings={"comments": 1}).record(row, HERE, 1)
    assert fewer.persona.count('- On "q') == 1


def test_prefeval_in_both_layouts(tmp_path):
    stated = {"preference": "I avoid hotels with nightlife.", "question": "Where in Las Vegas?", "explanation": "..."}
    options = ["a quiet lodge", "the Palms", "the MGM", "a club"]
    chosen = {**stated, "implicit_query": "Good hotels?", "options": options[::-1], "topic": "travel_hotel"}
    rows = [
        {**stated, "classification_task_options": options},
        {**chosen, "aligned_op": "A quiet lodge."},
        stated,
        {**chosen, "aligned_op": "a tent"},
        {**stated, "classification_task_options": ["one", "one", "two", "three"]},
        {**stated, "classification_task_options": "one"},
        {**stated, "preference": " ", "classification_task_options": options},
    ]
    records, reasons = convert(question_source("prefeval"), write(tmp_path / "p.jsonl", rows))
    assert [record.answer_text for record in records] == ["a quiet lodge"] * 2
    assert [record.question.split("\n")[0] for record in records] == ["Where in Las Vegas?", "Good hotels?"]
    for record in records:
        assert set(record.options) == set(options) and record.persona == stated["preference"]
        assert (record.condition, record.right_mode, record.ability) == (schema.PERSONAL, "personalized", PREFERENCE)
    assert (records[0].subject, records[1].subject) == ("", "travel_hotel")
    assert grader_of("prefeval") == "personalized" and "NC" in records[0].licence
    assert reasons == [
        (3, prefeval.NO_CHOICES, False),
        (4, option_answers.NOT_AMONG, False),
        (5, option_answers.SAME, False),
        (6, option_answers.UNREADABLE, True),
        (7, EMPTY, True),
    ]


@pytest.fixture
def personamem_files(tmp_path):
    return write_personamem(tmp_path)


def reading(folder, settings=None):
    source = question_source("personamem", settings=settings)
    assert source.look_beside(str(folder), "32k") == str(folder / "questions_32k.csv")
    return source


def test_personamem_with_the_conversation_up_to_the_rows_end(personamem_files):
    records, reasons = convert(reading(personamem_files), personamem_files / "questions_32k.csv")
    assert reasons == []
    first, second = records
    assert first.persona == f"{MESSAGES[0]['content']}\n\nUser: I took up gardening.\n\nAssistant: How nice!"
    assert second.persona == f"{first.persona}\n\nUser: I gave it up again."
    assert first.options == tuple(REPLIES) and (first.answer, second.answer) == ("B", "D")
    assert first.question.startswith("What should I do on weekend 0?\n\n") and first.question_id == "personamem:q-0"
    assert (first.condition, first.right_mode) == (schema.PERSONAL, "personalized")
    assert first.subject == "track_full_preference_evolution" and grader_of("personamem") == "personalized"


def test_a_bounded_conversation_keeps_the_description_and_the_latest(personamem_files):
    source = reading(personamem_files, {"characters": len(MESSAGES[0]["content"]) + 30})
    told = source.record(asked(end_index_in_shared_context="4"), HERE, 1).persona
    assert told == f"{MESSAGES[0]['content']}\n\nUser: I gave it up again."
    assert len(reading(personamem_files, {"characters": 5}).record(asked(), HERE, 1).persona) == 5


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"shared_context_id": "c9"}, (personamem.NO_CONTEXT, "shared_context_id", True)),
        ({"end_index_in_shared_context": 0}, (personamem.EMPTY_CONTEXT, "end_index_in_shared_context", False)),
        ({"end_index_in_shared_context": "-1"}, (WRONG_KIND, "end_index_in_shared_context", True)),
        ({"correct_answer": "(e)"}, (option_answers.NOT_AMONG, "correct_answer", True)),
        ({"all_options": "(a) x (b) y"}, (option_answers.UNREADABLE, "all_options", True)),
        ({"all_options": "['(a) x', __import__('os')]"}, (option_answers.UNREADABLE, "all_options", True)),
        ({"all_options": "['(a) x', '(b) y'"}, (option_answers.UNREADABLE, "all_options", True)),
        ({"all_options": ["x", "y"]}, (option_answers.UNREADABLE, "all_options", True)),
        ({"all_options": ["(a) x", "(b) x"]}, (option_answers.SAME, "options", False)),
    ],
)
def test_personamem_rows_that_are_refused(personamem_files, fields, reason):
    assert rejected(reading(personamem_files), asked(**fields)) == reason


def test_many_quotes_are_read_in_linear_time():
    assert rejected(question_source("personamem"), asked(all_options="['" + r"\'" * 300_000))[2]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("mmlu", {"comments": 1}, "source mmlu: it has no settings"),
        ("personamem", {"characters": 0}, "settings.characters: a number above 0"),
        ("personamem", {"chars": 1}, "settings.chars: unknown key; did you mean characters"),
        ("alignx_test", {"comments": "4"}, "settings.comments: a whole number is needed"),
    ],
)
def test_settings_that_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        question_source(name, settings=settings)
