"""Answers of open questions that conflicting personas may assert."""

import random

from personadual.data_prep.pipeline import answers
from personadual.data_prep.pipeline.answers import AnswerPools
from personadual.data_prep.record import Record


def record(answer, subject="capitals", data_source="mine", **fields):
    return Record(f"q {answer}", "Which is it?", answer, data_source, "", "mine", subject=subject, **fields)


def test_answers_are_those_of_the_source_and_the_subject():
    pools = AnswerPools(
        [
            *(record(name) for name in ("Paris", "Rome", "Rome")),
            record("red", subject="colours"),
            record("Oslo", data_source="other"),
            record("B", options=("Bonn", "Bern")),
            record("x" * (answers.LONGEST + 1)),
        ]
    )
    assert set(pools.of(record("Lima"))) == {"Paris", "Rome"}
    assert pools.of(record("blue", subject="colours")) == ("red",)
    assert pools.of(record("tall", subject="sizes")) == ()


def test_memory_is_bounded_and_the_order_changes_nothing():
    records = [record(f"town {number}") for number in range(20 * answers.HELD)]
    held = AnswerPools(records).of(records[0])
    assert len(held) == answers.HELD
    random.Random(1).shuffle(records)
    assert AnswerPools(records).of(records[0]) == held


def test_the_number_of_subjects_is_bounded(monkeypatch):
    monkeypatch.setattr(answers, "SUBJECTS", 2)
    pools = AnswerPools([record(name, subject=name) for name in ("a", "b", "c", "a")])
    assert [len(pools.of(record("x", subject=name))) for name in "abc"] == [1, 1, 0]
