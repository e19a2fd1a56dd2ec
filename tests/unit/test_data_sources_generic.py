"""Files of the user's own, by a mapping of their columns."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_data_sources import HERE, convert, rejected, write

from personadual import schema
from personadual.data_prep import option_answers, readers
from personadual.data_prep.record import Rejected
from personadual.data_prep.sources import persona_source, question_source
from personadual.data_prep.sources.base import ChecksColumns
from personadual.data_prep.sources.fields import EMPTY, MISSING, WRONG_KIND
from personadual.data_prep.sources.generic import (
    NO_ANSWER,
    PERSONA_AND_CONDITION,
    UNKNOWN_CONDITION,
    UNKNOWN_MODE,
)
from personadual.data_prep.sources.personahub import NOT_ENGLISH
from personadual.modes import Mode, Modes

OPEN = {"question": "q", "answer": "a", "data_source": "quickstart_own"}


def generic(**keys):
    return question_source("generic", {**OPEN, **keys})


def test_a_csv_file_with_a_column_for_each_option(tmp_path):
    (tmp_path / "own.csv").write_text(
        "q,o1,o2,o3,right,who,about\n"
        '"Which, then?",red,blue,green,B,I like blue.,colours\n'
        "Which?,red,blue,,red,I like red.,\n"
        "Which?,red,,green,red,I like red.,\n"
        "Which?,red,blue,green,,I like red.,\n"
        "Which?,red,blue,green,C,,\n"
        ",red,blue,green,C,me,\n"
        "Which?,red,blue\n"
    )
    mapping = tmp_path / "own.yaml"
    mapping.write_text(
        "question: q\noptions: [o1, o2, o3]\nanswer: right\npersona: who\ncondition: {value: personal}\n"
        "right_mode: {value: personalized}\nsubject: about\ndata_source: quickstart_own\nlicence: mine\n"
        "ability: preference\n"
    )
    records, reasons = convert(question_source("generic", mapping), tmp_path / "own.csv")
    first, second = records
    assert (first.question, first.options, first.answer) == ("Which, then?", ("red", "blue", "green"), "B")
    assert (first.persona, first.condition, first.right_mode) == ("I like blue.", schema.PERSONAL, "personalized")
    assert (first.subject, first.ability, first.licence) == ("colours", "preference", "mine")
    assert (second.options, second.answer, second.subject) == (("red", "blue"), "A", "")
    assert reasons == [
        (4, option_answers.EMPTY, False),
        (5, NO_ANSWER, False),
        (6, PERSONA_AND_CONDITION, True),
        (7, EMPTY, True),
        (8, "wrong number of cells", True),
    ]


def test_nested_json_open_questions_and_further_answers(tmp_path):
    rows = [
        {"q": " Who? ", "meta": {"answers": ["Ann", "Anna"], "id": 7}, "more": ["Annie", ""]},
        {"q": "How many?", "meta": {"answers": [42.0], "id": 8}, "more": '["42 pieces"]'},
        {"q": "Where?", "meta": {"answers": ["here"], "id": 9}, "more": "in this place"},
        {"q": "Why?", "meta": {"answers": ["so"], "id": 10}, "more": None},
        {"q": "When?", "meta": {"answers": [], "id": 11}, "more": None},
        {"q": "When?", "meta": {"answers": [True], "id": 11}, "more": None},
        {"q": "When?", "meta": {"answers": ["now"], "id": None}, "more": None},
        {"q": "When?", "meta": {"answers": ["now"], "id": 12}, "more": "[1,"},
        {"q": "When?", "meta": {"answers": ["now"], "id": 12}},
    ]
    source = generic(answer="meta.answers.0", accept="more", question_id="meta.id")
    records, reasons = convert(source, write(tmp_path / "own.jsonl", rows))
    assert [(r.question, r.answer, r.accept, r.question_id) for r in records] == [
        ("Who?", "Ann", ("Annie",), "quickstart_own:7"),
        ("How many?", "42", ("42 pieces",), "quickstart_own:8"),
        ("Where?", "here", ("in this place",), "quickstart_own:9"),
        ("Why?", "so", (), "quickstart_own:10"),
    ]
    assert [reason for _, reason, _ in reasons] == [MISSING, WRONG_KIND, EMPTY, WRONG_KIND, MISSING]
    assert all(record.options is None and record.condition == schema.NONE for record in records)


def test_texts_of_zero_width_characters_are_blank():
    source = generic(accept="more", options="o")
    row = {"q": "Who?", "a": "Ann", "more": ["\u200b", "Anna"], "o": None}
    assert source.record(row, HERE, 1).accept == ("Anna",)
    for change, reason in (
        ({"a": "\ufeff"}, NO_ANSWER),
        ({"q": "\u200b "}, EMPTY),
        ({"o": ["Ann", "\u2060"]}, option_answers.EMPTY),
    ):
        with pytest.raises(Rejected) as error:
            source.record({**row, **change}, HERE, 1)
        assert error.value.reason == reason


def test_a_name_with_a_dot_comes_before_a_path():
    record = generic(answer="a.b").record({"q": "Who?", "a.b": "Ann", "a": {"b": "Bob"}}, HERE, 1)
    assert record.answer == "Ann"


def test_parquet_with_structs(tmp_path):
    held = [{"text": ["ice", "sand"], "label": ["1", "2"]}, {"text": ["2", "1"], "label": ["1", "2"]}, None]
    table = pa.table({"q": ["What melts?", "What is 2?", "What is wet?"], "a": ["1", "2", "rain"], "o": held})
    pq.write_table(table, tmp_path / "own.parquet")
    records, reasons = convert(generic(options="o"), tmp_path / "own.parquet")
    assert [(record.answer, record.options) for record in records] == [("A", ("ice", "sand")), ("rain", None)]
    assert reasons == [(2, option_answers.AMBIGUOUS, False)]


@pytest.mark.parametrize(
    ("keys", "row", "options", "answer"),
    [
        ({"options": "o"}, {"a": "yes", "o": ["yes", "no"]}, ("yes", "no"), "A"),
        ({"options": "o"}, {"a": "b", "o": {"a": "yes", "b": "no"}}, ("yes", "no"), "B"),
        ({"options": "o"}, {"a": "(B)", "o": "A. yes\nB. no"}, ("yes", "no"), "B"),
        ({"options": "o"}, {"a": "no", "o": '["yes", "no"]'}, ("yes", "no"), "B"),
        ({"options": "q"}, {"q": "Is it?\nA) yes\nB) no", "a": "B"}, ("yes", "no"), "B"),
        ({"options": "q"}, {"q": "Is it?", "a": "yes"}, None, "yes"),
        ({"options": "o", "answer_base": 0}, {"a": 1, "o": ["yes", "no"]}, ("yes", "no"), "B"),
        ({"options": "o", "answer_base": 1}, {"a": "1", "o": ["yes", "no"]}, ("yes", "no"), "A"),
        ({"options": "o", "answer_base": 1}, {"a": "1", "o": ["2", "1"]}, ("2", "1"), "A"),
        ({"options": "o"}, {"a": "1", "o": ["2", "1"]}, ("2", "1"), "B"),
        ({"options": "o"}, {"a": "C", "o": {"A": "x", "B": None, "C": "y", "D": "z"}}, ("x", "y", "z"), "B"),
        ({"options": "o"}, {"a": "(c)", "o": '{"A": "x", "C": "y", "D": "z"}'}, ("x", "y", "z"), "B"),
        ({"options": "o"}, {"a": "d. z", "o": {"a": "x", "c": "y", "d": "z"}}, ("x", "y", "z"), "C"),
        ({"options": "o"}, {"a": "y", "o": {"A": "x", "C": "y", "D": "z"}}, ("x", "y", "z"), "B"),
        ({"options": "o"}, {"a": "A", "o": {"text": ["two", "one"], "label": ["B", "A"]}}, ("two", "one"), "B"),
        ({"options": "o"}, {"a": "B", "o": {"text": ["ice", "sand"], "label": ["1", "2"]}}, ("ice", "sand"), "B"),
        ({"options": ["o", "p"]}, {"a": "rain", "o": "", "p": None}, None, "rain"),
        ({"options": "o", "answer_base": 1}, {"a": "rain", "o": None}, None, "rain"),
        ({"options": "o"}, {"a": 7, "o": None}, None, "7"),
        ({}, {"a": "B"}, None, "B"),
    ],
)
def test_ways_to_give_options(keys, row, options, answer):
    record = generic(**keys).record({"q": "Is it?", **row}, HERE, 1)
    assert (record.question, record.options, record.answer) == ("Is it?", options, answer)


@pytest.mark.parametrize(
    ("keys", "row", "reason"),
    [
        ({"options": "o"}, {"a": 1, "o": ["yes", "no"]}, option_answers.NOT_AMONG),
        ({"options": "o", "answer_base": 1}, {"a": 0, "o": ["yes", "no"]}, option_answers.NOT_AMONG),
        ({"options": "o", "answer_base": 1}, {"a": "B", "o": ["yes", "no"]}, option_answers.NOT_AMONG),
        ({"options": "o", "answer_base": 0}, {"a": "9" * 5000, "o": ["yes", "no"]}, option_answers.NOT_AMONG),
        ({"options": "o"}, {"a": "yes", "o": "yes, no"}, option_answers.UNREADABLE),
        ({"options": "o"}, {"a": "B", "o": {"A": "x", "B": None, "C": "y"}}, option_answers.NOT_AMONG),
        ({"options": "o"}, {"a": "A", "o": {"text": ["x", "y"], "label": ["A", "A"]}}, option_answers.AMBIGUOUS),
        ({"options": "o", "answer_base": 1}, {"a": 2, "o": {"A": "x", "C": "y"}}, option_answers.AMBIGUOUS),
        ({"options": ["o", "p"]}, {"a": "B", "o": "", "p": ""}, option_answers.TOO_FEW),
        ({"options": "o"}, {"a": "(b)", "o": None}, option_answers.TOO_FEW),
        ({"options": ["o", "p"], "answer_base": 1}, {"a": 2, "o": "", "p": ""}, option_answers.TOO_FEW),
        ({"options": "q", "answer_base": 1}, {"a": 2}, option_answers.TOO_FEW),
        ({"options": "o"}, {"a": "yes"}, MISSING),
        ({}, {"a": float("nan")}, WRONG_KIND),
        ({}, {"a": ["x"]}, WRONG_KIND),
        ({"persona": "p", "condition": "c"}, {"a": "x", "p": "me", "c": "persona"}, UNKNOWN_CONDITION),
        ({"persona": "p", "condition": "c"}, {"a": "x", "p": "me", "c": ""}, PERSONA_AND_CONDITION),
        ({"right_mode": "m"}, {"a": "x", "m": "personal"}, UNKNOWN_MODE),
    ],
)
def test_rows_that_are_rejected(keys, row, reason):
    assert rejected(generic(**keys), {"q": "Is it?", **row})[0] == reason


def test_conditions_and_modes_of_the_file():
    modes = Modes([Mode("facts", "[F]"), Mode("user", "[U]")])
    keys = {**OPEN, "persona": "p", "condition": "c", "right_mode": "m"}
    source = question_source("generic", keys, modes)
    row = {"q": "Who?", "a": "Ann", "p": "I am Bob.", "c": "Conflicting", "m": "facts"}
    record = source.record(row, HERE, 1)
    assert (record.condition, record.right_mode, record.persona) == (schema.CONFLICTING, "facts", "I am Bob.")
    bare = source.record({**row, "p": None, "c": None, "m": None}, HERE, 1)
    assert (bare.condition, bare.right_mode, bare.persona) == (schema.NONE, None, "")


def test_the_same_question_has_the_same_id_whatever_its_persona():
    source = generic(persona="p", condition={"value": "unaligned"}, options="o")
    row = {"q": "Is it?", "a": "A", "o": ["yes", "no"], "p": "I am Ann."}
    one = source.record(row, HERE, 1).question_id
    assert one == source.record({**row, "p": "I am Bob.", "q": "is  it?"}, HERE, 2).question_id
    assert one != source.record({**row, "o": ["yes", "never"]}, HERE, 1).question_id


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"anser": "x"}, "mapping.anser: unknown key; did you mean answer"),
        ({"persona": "p"}, "mapping.condition: persona and condition go together"),
        ({"condition": "c"}, "mapping.persona: persona and condition go together"),
        ({"subject": {"const": "x"}}, "mapping.subject: a column or .value: TEXT. is needed"),
        ({"answer_base": 2, "options": "o"}, "mapping.answer_base: 0 or 1"),
        ({"answer_base": 1}, "mapping.answer_base: 0 or 1, beside options"),
        ({"question": ""}, "mapping.question: a name is needed"),
        ({"question": 3}, "mapping.question: a text is needed, found 3"),
        ({"options": []}, "mapping.options"),
    ],
)
def test_mappings_that_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        generic(**keys)


def test_a_mapping_without_a_required_key_names_it(tmp_path):
    with pytest.raises(ValueError, match=r"mapping: .*data_source"):
        question_source("generic", {"question": "q", "answer": "a"})
    with pytest.raises(ValueError, match=r"none\.yaml"):
        question_source("generic", tmp_path / "none.yaml")


def test_a_column_that_the_file_lacks_is_found_before_every_row_is_rejected(tmp_path):
    (tmp_path / "own.csv").write_text("q,answer,who\nWho?,Ann,me\n")
    source = generic(persona="wo", condition={"value": "personal"}, answer="answer")
    assert isinstance(source, ChecksColumns) and not isinstance(question_source("flan"), ChecksColumns)
    [(_, row)] = readers.rows(tmp_path / "own.csv")
    with pytest.raises(
        ValueError, match=r"mapping.persona: .* no column 'wo' .*; it has q, answer, who; did you mean who"
    ):
        source.check_columns(row)
    generic(answer="answer").check_columns(row)
    with pytest.raises(ValueError, match=r"mapping.options: .*'o2'"):
        generic(answer="answer", options=["q", "o2"]).check_columns(row)


def test_own_personas(tmp_path):
    source = persona_source("personas")
    file = write(tmp_path / "own.jsonl", [{"persona": "A nurse from Bonn", "id": 1}])
    [(where, row)] = readers.rows(file)
    assert source.persona(row, where) == "I am a nurse from Bonn."


@pytest.mark.parametrize(
    "told",
    [
        "Eine Krankenschwester aus Bonn, die gern wandert und an den Wochenenden ihre Eltern besucht",
        "Ich bin Krankenschwester in Bonn und wandere gern mit meinen Freunden.",
        "住在杭州的儿科护士",
    ],
)
def test_own_personas_may_be_in_any_language(told):
    assert persona_source("personas").persona({"persona": f" {told}\n"}, HERE) == told
    with pytest.raises(Rejected, match=NOT_ENGLISH):
        persona_source("personahub").persona({"persona": told}, HERE)
