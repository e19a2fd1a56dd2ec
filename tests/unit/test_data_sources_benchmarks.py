"""Benchmarks as ``datasets`` serves them, and the quickstart's facts, to records."""

from test_data_sources import HERE, convert, rejected, write

from personadual.data_prep import option_answers
from personadual.data_prep.sources import choices, facts, question_source
from personadual.data_prep.sources.base import OwnRows
from personadual.data_prep.sources.fields import WRONG_KIND
from personadual.reward_fns.graders import check_data_sources


def test_mmlu(tmp_path):
    good = {"question": "2 + 2?", "subject": "elementary_mathematics", "choices": ["3", "4", "5", "6"], "answer": 1}
    rows = [
        good,
        {"train": {**good, "subject": "", "answer": 3}},
        {**good, "answer": 4},
        {**good, "answer": "B"},
        {**good, "answer": True},
        {**good, "choices": ["3", "3", "4", "5"]},
        {**good, "choices": None},
    ]
    records, reasons = convert(question_source("mmlu"), write(tmp_path / "m.jsonl", rows))
    assert [(r.answer, r.options, r.subject) for r in records] == [
        ("B", ("3", "4", "5", "6"), "elementary_mathematics"),
        ("D", ("3", "4", "5", "6"), ""),
    ]
    assert records[0].question_id == records[1].question_id and records[0].data_source == "mmlu"
    assert reasons == [
        (3, option_answers.NOT_AMONG, True),
        (4, WRONG_KIND, True),
        (5, WRONG_KIND, True),
        (6, option_answers.SAME, False),
        (7, option_answers.UNREADABLE, True),
    ]


def test_arc_with_letters_and_numbers_as_labels(tmp_path):
    def arc(labels, key):
        held = {"text": ["ice", "steam", "sand", "air"][: len(labels)], "label": labels}
        return {"id": "Mercury_7175875", "question": "What melts?", "choices": held, "answerKey": key}

    rows = [arc(list("ABCD"), "A"), arc(list("1234"), "3"), arc(list("ABC"), "C"), arc(list("1234"), "A")]
    records, reasons = convert(question_source("arc"), write(tmp_path / "arc.jsonl", [*rows, arc(["A", "A"], "A")]))
    assert [(r.answer, r.answer_text) for r in records] == [("A", "ice"), ("C", "sand"), ("C", "sand")]
    assert records[0].question_id == "arc:Mercury_7175875" and records[0].licence == "CC-BY-SA-4.0"
    assert reasons == [(4, option_answers.NOT_AMONG, True), (5, option_answers.NOT_AMONG, True)]


def test_gsm8k(tmp_path):
    solution = "She sold 48/2 = <<48/2=24>>24 clips.\nSo 48+24 = 72.\n#### "
    rows = [{"question": "How many?", "answer": solution + end} for end in ("72", "1,072", "-3.5", "$18", "many", "")]
    records, reasons = convert(
        question_source("gsm8k"), write(tmp_path / "g.jsonl", [*rows, {"question": "x", "answer": "7"}])
    )
    assert [record.answer for record in records] == ["72", "1072", "-3.5", "18"]
    assert all(record.options is None and record.data_source == "gsm8k" for record in records)
    assert reasons == [(line, choices.NO_NUMBER, True) for line in (5, 6, 7)]


def test_the_quickstarts_facts_need_no_input():
    source = question_source("facts")
    assert isinstance(source, OwnRows) and not isinstance(question_source("flan"), OwnRows)
    rows = list(source.rows())
    records = [source.record(row, HERE, 1) for row in rows]
    by_id = {record.question_id: record for record in records}
    assert len(by_id) == len(records) > 400 and rows == list(source.rows())
    france = by_id["capital-FR"]
    assert france.answer == "Paris" and "France" in france.question and france.subject == "capital"
    assert by_id["language-BR"].answer == "Portuguese" and france.licence == "CC-BY-4.0"
    check_data_sources({record.data_source for record in records})
    assert records == [source.record(row, HERE, 1) for row in rows]
    assert any(one.question != source.record(row, HERE, 2).question for one, row in zip(records, rows, strict=True))
    assert rejected(source, {**rows[0], "relation": "anthem"}) == ("unknown relation", "relation", True)
    assert {row["iso"] for row in facts.Facts(min_population=10**9).rows()} == {"CN", "IN"}
