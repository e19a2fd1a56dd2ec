"""Each set of the paper in its own format, broken and unfit rows among them, to records."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual import schema
from personadual.data_prep import option_answers, readers
from personadual.data_prep.items import PREFERENCE
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources import (
    PERSONA_SOURCES,
    QUESTION_SOURCES,
    alignx,
    flan,
    persona_source,
    question_source,
    ultramedical,
)
from personadual.data_prep.sources.fields import EMPTY, MISSING, WRONG_KIND, id_of, shortened
from personadual.data_prep.sources.personahub import NO_DESCRIPTION, NOT_ENGLISH, TOO_LONG, in_first_person
from personadual.reward_fns.graders import check_data_sources, grader_of
from personadual.reward_fns.matching import is_right

HERE = Where("here", 1)


def write(path: Path, rows) -> Path:
    """JSONL; a text among the rows is a line as it is."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def convert(source, path, seed=1):
    """Records of a file, and the reasons of the others with their lines."""
    records, reasons = [], []
    for where, row in readers.rows(path):
        try:
            if isinstance(row, Rejected):
                raise row
            records.append(source.record(row, where, seed))
        except Rejected as error:
            reasons.append((where.row, error.reason, error.malformed))
    for record in records:
        check_data_sources([record.data_source])
        assert record.answer_text and record.licence and record.where.file == str(path)
        assert is_right(record.answer, record.answer, record.options, record.accept)
        assert is_right(record.answer_text, record.answer, record.options, record.accept)
    return records, reasons


def rejected(source, row):
    with pytest.raises(Rejected) as caught:
        source.record(row, HERE, 1)
    return caught.value.reason, caught.value.field, caught.value.malformed


def medical(question, answer="B", **fields):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": "... So, the answer is B."}]
    score = "This question would be rated a 7."
    return {"id": "MedQA,1592", "type": "Exam", "conversations": turns, "answer": answer, "score": score, **fields}


PATIENT = "A 68-year-old woman has pain in her toes.\nK+ 5.3 mEq/L\nWhich condition is she at risk for?"
MEDICAL_OPTIONS = ("Acute kidney injury", "Basophilia", "Contracture", "Thrombophlebitis")
LISTED = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", MEDICAL_OPTIONS, strict=True))


def test_ultramedical(tmp_path):
    turns_first = [{"value": f"{PATIENT}\n\n{LISTED}", "from": "human"}]
    rows = [
        medical(f"{PATIENT}\n\n{LISTED}"),
        medical("Context: x.\nDoes it?\n\nA. yes\nB. no\nC. maybe", "C", id="PubMedQA,20804554", type="Literature"),
        medical("How do I treat a cold?", None, id="ChatDoctor,1"),
        medical("How do I treat a cold?", "", id="ChatDoctor,2"),
        medical(f"{PATIENT}\n\n{LISTED}", "E"),
        medical(f"{PATIENT}\n\n{LISTED}", "yes"),
        medical("Which one?", "A"),
        medical(LISTED, "A"),
        medical("Which?\n\nA. x\nB. x", "A"),
        medical(PATIENT, "D.", options=list(MEDICAL_OPTIONS)),
        medical(
            f"{PATIENT}\n{LISTED}", options=dict(zip("ABCD", MEDICAL_OPTIONS, strict=True)), id="TextBookQA,Gray_28"
        ),
        {**medical(""), "conversations": turns_first},
        '{"id": "MedQA,3", "type": "Exam", "conversations": [{"from": "hum',
        {**medical("x"), "conversations": []},
        {**medical("x"), "conversations": "x"},
        {**medical("x"), "id": 7},
        {key: value for key, value in medical(f"x\n{LISTED}").items() if key != "answer"},
    ]
    records, reasons = convert(question_source("ultramedical"), write(tmp_path / "u.jsonl", rows))
    assert [(r.question, r.options, r.answer, r.subject) for r in records] == [
        (PATIENT, MEDICAL_OPTIONS, "B", "MedQA"),
        ("Context: x.\nDoes it?", ("yes", "no", "maybe"), "C", "PubMedQA"),
        (PATIENT, MEDICAL_OPTIONS, "D", "MedQA"),
        (PATIENT, MEDICAL_OPTIONS, "B", "TextBookQA"),
        (PATIENT, MEDICAL_OPTIONS, "B", "MedQA"),
    ]
    assert reasons == [
        (3, ultramedical.NO_LETTER, False),
        (4, ultramedical.NO_LETTER, False),
        (5, option_answers.NOT_AMONG, False),
        (6, ultramedical.NO_LETTER, False),
        (7, ultramedical.NO_OPTIONS, False),
        (8, ultramedical.NO_OPTIONS, False),
        (9, option_answers.SAME, False),
        (13, "not JSON", True),
        (14, MISSING, True),
        (15, WRONG_KIND, True),
        (16, WRONG_KIND, True),
        (17, MISSING, True),
    ]
    first = records[0]
    assert (first.question_id, first.data_source, first.licence) == ("UltraMedical:MedQA,1592", "UltraMedical", "MIT")
    assert (first.condition, first.persona, first.right_mode) == (schema.NONE, "", None)


def test_ultramedical_as_parquet_of_either_layout(tmp_path):
    row = medical(f"{PATIENT}\n\n{LISTED}")
    turns = row["conversations"]
    lists = {**row, "conversations": {key: [turn[key] for turn in turns] for key in ("from", "value")}}
    for name, layout in (("structs", row), ("lists", lists)):
        pq.write_table(pa.Table.from_pylist([layout]), tmp_path / f"{name}.parquet")
        records, reasons = convert(question_source("ultramedical"), tmp_path / f"{name}.parquet")
        assert not reasons and records[0].options == MEDICAL_OPTIONS and records[0].question == PATIENT


def test_a_letter_of_ultramedical_is_the_labels_where_these_have_a_gap():
    row = medical(PATIENT, "C", options={"A": "x", "B": None, "C": "y", "D": "z"})
    assert question_source("ultramedical").record(row, HERE, 1).answer_text == "y"


def instruct(task, inputs, targets):
    return {"inputs": inputs, "targets": targets, "task": f"{task}_10templates"}


def test_flan(tmp_path):
    rows = [
        instruct("bool_q", "Rain falls.\n\nIs it true that it rains?\n\nOPTIONS:\n- yes\n- no\n", "yes"),
        instruct("ag_news_subset", "Cup final.\nTopic?\nOPTIONS:\n- World\n- Sports\n- Science/Tech", "Sports"),
        instruct("arc_easy", "Pick.\n\nOPTIONS:\n- 1.0\n- 2", "1"),
        instruct("natural_questions", "Question: who wrote hamlet?\nAnswer:", "Shakespeare"),
        instruct("math_dataset", "Solve this math problem\n\n2*x = 8", "4"),
        instruct("wmt16_translate_deen", "Translate to German\n\nyes", "ja"),
        instruct("cnn_dailymail", "Summarize: x", "x"),
        instruct("true_case", "yes sir", "Yes sir"),
        instruct("common_gen", "Keywords: dog, run", "A dog runs."),
        instruct("coqa", "Text\n1. Who?\n2. Where?", "1. Ann\n2. home"),
        instruct("imdb_reviews", "Generate a movie review with positive sentiment.", "Great!"),
        instruct("squad_v1", "Ask a question about Oxygen.", "What is it?"),
        instruct("drop", "Write an article that answers: who?", "It was a long day in the city when the game began."),
        instruct("trivia_qa", "Who?", ""),
        instruct("rte", "x\n\nOPTIONS:\n- yes\n- no", "maybe"),
        instruct("rte", "x\n\nOPTIONS:\n- yes\n- no\nBecause", "yes"),
        instruct("record", "x\n\nOPTIONS:\n- the dog\n- the dog", "the dog"),
        instruct("copa", "x\n\nOPTIONS:\n- B\n- A", "A"),
        instruct("brand_new", "What is the answer?", "42"),
        '["not", "an object"]',
        {"inputs": "x", "targets": "y"},
        {"inputs": "", "targets": "y", "task": "rte_10templates"},
        {"inputs": "x", "targets": 3, "task": "rte_10templates"},
    ]
    records, reasons = convert(question_source("flan"), write(tmp_path / "f.jsonl", rows))
    assert [(r.question, r.options, r.answer, r.subject) for r in records] == [
        ("Rain falls.\n\nIs it true that it rains?", ("yes", "no"), "A", "bool_q"),
        ("Cup final.\nTopic?", ("World", "Sports", "Science/Tech"), "B", "ag_news_subset"),
        ("Pick.", ("1.0", "2"), "A", "arc_easy"),
        ("Question: who wrote hamlet?\nAnswer:", None, "Shakespeare", "natural_questions"),
        ("Solve this math problem\n\n2*x = 8", None, "4", "math_dataset"),
    ]
    assert reasons == [
        (6, flan.TRANSLATION, False),
        (7, flan.SUMMARISATION, False),
        (8, flan.REWRITING, False),
        (9, flan.GENERATION, False),
        (10, flan.SEVERAL_ANSWERS, False),
        (11, flan.FREE_TEXT, False),
        (12, flan.REVERSED, False),
        (13, flan.LONG_ANSWER, False),
        (14, flan.NO_ANSWER, False),
        (15, option_answers.NOT_AMONG, False),
        (16, flan.UNREADABLE, False),
        (17, option_answers.SAME, False),
        (18, option_answers.LETTER_OF_ANOTHER, False),
        (19, flan.FREE_TEXT, False),
        (20, "not a JSON object", True),
        (21, MISSING, True),
        (22, EMPTY, True),
        (23, WRONG_KIND, True),
    ]
    assert len({record.question_id for record in records}) == len(records)


def test_flan_ids_are_those_of_the_text():
    source = question_source("flan")
    ids = [
        source.record(instruct("trivia_qa", inputs, "Ann"), HERE, seed).question_id
        for inputs, seed in (("Who  is she?", 1), ("who is\nshe?", 2), ("Who is he?", 1))
    ]
    assert ids[0] == ids[1] != ids[2] and ids[0].startswith("flan:")


def preference(**fields):
    return {
        "prompt": "What should I cook?",
        "chosen": "Try a hearty stew.",
        "rejected": "Order a pizza.",
        "Preference Direction": [0.5] * 90,
        "Demographic Information": "A middle-aged gardener who likes slow food.",
        "User-Generated Content": [
            {"prompt": "Best soup?", "comment": "Leek,\nalways.", "Preference Direction": [1] * 90}
        ],
        "Pair-wise Comparative Feedback": [
            {"prompt": "Tea?", "chosen": "Green.", "rejected": "None.", "Preference Direction": [0] * 90}
        ],
        **fields,
    }


def test_alignx(tmp_path):
    rows = [
        preference(),
        preference(**{"User-Generated Content": [], "Pair-wise Comparative Feedback": None}),
        preference(chosen="Order a pizza.", rejected="Try a hearty stew."),
        preference(chosen=""),
        preference(rejected=None),
        preference(chosen="Same.", rejected=" Same. "),
        preference(**{name: [] for name in (alignx.COMMENTS, alignx.CHOICES)}, **{alignx.DEMOGRAPHICS: ""}),
        preference(prompt=None),
        preference(**{alignx.COMMENTS: ["x"]}),
        preference(**{alignx.CHOICES: [{"prompt": "Tea?", "chosen": "Green."}]}),
        '{"prompt": "What should I cook?", "chosen": ',
    ]
    records, reasons = convert(question_source("alignx"), write(tmp_path / "a.jsonl", rows))
    assert reasons == [
        (4, alignx.EMPTY_RESPONSE, False),
        (5, alignx.EMPTY_RESPONSE, False),
        (6, alignx.SAME_RESPONSES, False),
        (7, alignx.NO_PROFILE, False),
        (8, EMPTY, True),
        (9, WRONG_KIND, True),
        (10, MISSING, True),
        (11, "not JSON", True),
    ]
    first, bare, swapped = records
    assert first.persona == (
        "A middle-aged gardener who likes slow food.\n"
        'Comments by this user:\n- On "Best soup?": "Leek, always."\n'
        'Responses that this user preferred:\n- On "Tea?": "Green." rather than "None."'
    )
    assert bare.persona == "A middle-aged gardener who likes slow food."
    assert first.question == "What should I cook?\n\nWhich of these two responses would I prefer?"
    assert set(first.options) == {"Try a hearty stew.", "Order a pizza."}
    assert first.answer_text == "Try a hearty stew." and swapped.answer_text == "Order a pizza."
    assert swapped.question_id == first.question_id and swapped.options == first.options
    assert (first.condition, first.right_mode, first.ability) == (schema.PERSONAL, "personalized", PREFERENCE)
    assert grader_of(first.data_source) == "personalized"


def test_alignx_orders_the_options_by_seed_and_question_alone():
    source = question_source("alignx")

    def letters(seed):
        return [source.record(preference(prompt=f"Question {n}?"), HERE, seed).answer for n in range(200)]

    assert letters(1) == letters(1) != letters(2)
    assert 70 < Counter(letters(1))["A"] < 130


def test_alignx_profiles_are_bounded_and_do_not_tell_the_answer():
    pairs = [{"prompt": f"p{n}", "chosen": f"c{n}", "rejected": f"r{n}"} for n in range(9)]
    comments = [{"prompt": f"q{n}", "comment": "word " * 999} for n in range(9)]
    row = preference(**{alignx.CHOICES: pairs, alignx.COMMENTS: comments, alignx.DEMOGRAPHICS: "old " * 9999})
    told = alignx.AlignX(alignx.ProfileLimits(demographics=50, comments=3, choices=1, response=40)).persona(row)
    assert [line[:10] for line in told.split("\n")] == [
        *("old old ol", "Comments b", '- On "q0":', '- On "q1":', '- On "q2":', "Responses ", '- On "p0":')
    ]
    assert all(len(line) <= 60 for line in told.split("\n"))
    telling = [
        {"prompt": "What should I cook?", "chosen": "Soup.", "rejected": "Salad."},
        {"prompt": "Dinner?", "chosen": "Try a hearty stew.", "rejected": "Salad."},
        {"prompt": "Tea?", "chosen": "Green.", "rejected": "None."},
    ]
    told = alignx.AlignX().persona(preference(**{alignx.CHOICES: telling}))
    assert "Tea?" in told and "stew" not in told and "cook" not in told and "Dinner" not in told


@given(st.text(max_size=300), st.integers(2, 80))
def test_texts_are_cut_to_their_limit(text, limit):
    cut = shortened(text, limit)
    assert len(cut) <= limit and "\n" not in cut
    assert cut == " ".join(text.split()) or cut.endswith("…") or len(text) > 4 * limit


def test_ids_differ_by_more_than_space_and_case():
    assert id_of("A  b") == id_of(" a\nB ") != id_of("a", "b")
    assert len({id_of(str(number)) for number in range(10_000)}) == 10_000
    assert id_of("ü") == id_of("Ü") and len(id_of("\ud800")) == 16


PERSONAS = [
    ("A pediatric nurse who loves cats", "I am a pediatric nurse who loves cats."),
    ("An avid reader of novels.", "I am an avid reader of novels."),
    ("The mother of three young children!", "I am the mother of three young children!"),
    ("I am a baker from a small town", "I am a baker from a small town."),
    ("I'm A baker from a small town;", "I am a baker from a small town."),
    ("I’m someone who hates to wait", "I am someone who hates to wait."),
    ('"A Phillies fan\n who travels"', "I am a Phillies fan who travels."),
    ("Political analyst of El Salvador", "I am Political analyst of El Salvador."),
    ("I work as a teacher in the city", "I work as a teacher in the city."),
    ('A fan of the song "Help!"', 'I am a fan of the song "Help!"'),
    ("A doctor who asks: why?", "I am a doctor who asks: why?"),
]


def test_personahub(tmp_path):
    rows = [{"persona": told} for told, _ in PERSONAS]
    rows += [
        {"persona": text}
        for text in ("一位热爱数学的小学老师", "Nurse", "He is a nurse in a hospital", "", "A nurse\0 at work")
    ]
    rows += [{"persona": "A nurse " * 999}, {"persona": ["A nurse"]}, {"text": "A nurse"}, "{'persona': 'A nurse'}"]
    source = persona_source("personahub")
    found, reasons = [], []
    for where, row in readers.rows(write(tmp_path / "persona.jsonl", rows)):
        try:
            if isinstance(row, Rejected):
                raise row
            found.append(source.persona(row, where))
        except Rejected as error:
            reasons.append((error.reason, error.malformed))
    assert found == [wanted for _, wanted in PERSONAS]
    assert reasons == [
        (NOT_ENGLISH, False),
        (NO_DESCRIPTION, False),
        (NO_DESCRIPTION, False),
        (EMPTY, True),
        ("NUL or lone surrogate", True),
        (TOO_LONG, False),
        (WRONG_KIND, True),
        (MISSING, True),
        ("not JSON", True),
    ]


@given(st.sampled_from([told for told, _ in PERSONAS]))
def test_a_persona_in_the_first_person_stays_as_it_is(told):
    once = in_first_person(told)
    assert in_first_person(once) == once


def test_every_source_says_what_it_is():
    for name, factory in {**QUESTION_SOURCES, **PERSONA_SOURCES}.items():
        about = factory().about
        assert about.name == name and about.licence
    assert not persona_source("personahub").about.redistributable
    assert question_source("ultramedical").about.hub_id == "TsinghuaC3I/UltraMedical"


@pytest.mark.parametrize(
    ("name", "mapping", "message"),
    [
        ("ultramed", None, "there are ultramedical, .*generic; did you mean ultramedical"),
        ("zzz", None, "source 'zzz': there are"),
        ("flan", {"question": "q"}, "source flan: it knows its columns"),
        ("generic", None, "a mapping is needed"),
    ],
)
def test_sources_that_are_refused(name, mapping, message):
    with pytest.raises(ValueError, match=message):
        question_source(name, mapping)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats()
nested = st.recursive(
    scalars, lambda held: st.lists(held, max_size=3) | st.dictionaries(st.text(max_size=3), held), max_leaves=5
)
KEYS = ["id", "conversations", "answer", "inputs", "targets", "task", "prompt", "chosen", "rejected", "question"]
KEYS += ["choices", "answerKey", "options", "train", "iso", "relation", "country", "accept", "persona"]
KEYS += [alignx.DEMOGRAPHICS, alignx.COMMENTS, alignx.CHOICES]


@given(st.sampled_from(sorted(QUESTION_SOURCES)), st.dictionaries(st.sampled_from(KEYS), nested))
def test_any_row_is_a_record_or_rejected(name, row):
    try:
        record = question_source(name).record(row, HERE, 1)
    except Rejected as error:
        assert error.reason
    else:
        assert isinstance(record, Record)
