"""Which persona a question gets."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from personadual import schema
from personadual.data_prep import attach, hashing
from personadual.data_prep.attach import ATTACHED, PersonaPool, conditions_of
from personadual.data_prep.build_config import Personas
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.items import FACT, PREFERENCE
from personadual.data_prep.record import Record, Rejected
from personadual.modes import DEFAULT_MODES, Mode, Modes


def record(number=1, **changes):
    values = {
        "question_id": f"q{number}",
        "question": "What is the capital of France?",
        "answer": "Paris",
        "data_source": "mine",
        "licence": "",
        "source": "mine",
    }
    return Record(**{**values, **changes})


def pool(*personas, **by_split):
    return PersonaPool({split: pa.array(by_split.get(split, personas), pa.string()) for split in SPLITS})


def test_conditions_come_by_their_shares_and_stay_when_rows_are_added():
    keys = hashing.keys(f"q{n}" for n in range(8000))
    bare, never = np.ones(8000, dtype=bool), np.zeros(8000, dtype=bool)
    shares = {schema.NONE: 0.5, schema.UNALIGNED: 0.25, schema.CONFLICTING: 0.25}
    bits = attach.condition_bits(keys, bare, never, shares, (), seed=1)
    counts = Counter(condition for row in bits for condition in conditions_of(int(row)))
    assert set(counts) == set(shares)
    assert all(abs(counts[name] / 8000 - share) < 0.02 for name, share in shares.items())
    fewer = attach.condition_bits(keys[::2], bare[::2], never[::2], shares, (), seed=1)
    assert (fewer == bits[::2]).all()
    assert (attach.condition_bits(keys, bare, never, shares, (), seed=2) != bits).any()


def test_every_condition_where_that_is_asked_for_and_none_for_questions_with_an_asker():
    keys = hashing.keys("abc")
    bits = attach.condition_bits(
        keys,
        bare=np.array([True, True, False]),
        every=np.array([True, False, True]),
        shares={schema.UNALIGNED: 0.5, schema.ALIGNED: 0.5},
        all_of={schema.ALIGNED, schema.NONE, schema.UNALIGNED},
        seed=1,
    )
    assert conditions_of(int(bits[0])) == [schema.NONE, schema.UNALIGNED, schema.ALIGNED]
    assert len(conditions_of(int(bits[1]))) == 1
    assert conditions_of(int(bits[2])) == [None]


@pytest.mark.parametrize(
    ("shares", "served", "every"),
    [
        ({schema.UNALIGNED: 1.0}, False, (schema.NONE, schema.UNALIGNED)),
        ({schema.NONE: 0.0, schema.UNALIGNED: 1.0}, False, (schema.NONE, schema.UNALIGNED)),
        ({schema.UNALIGNED: 0.5, schema.ALIGNED: 0.5}, True, ATTACHED),
        ({schema.ALIGNED: 1.0, schema.CONFLICTING: 0.0}, True, (schema.NONE, schema.ALIGNED)),
    ],
)
def test_every_condition_holds_what_a_verdict_compares(shares, served, every):
    assert Personas(shares=shares).every_condition(served) == every


def test_an_unaligned_persona_never_names_the_answer():
    people = pool("I am from Paris.", "I am a baker.", "I love PARIS, really.", "I am a nurse.")
    drawn = {people.unaligned(record(number), "train", seed=1) for number in range(100)}
    assert drawn == {"I am a baker.", "I am a nurse."}


def test_options_and_further_answers_count_as_the_answer():
    people = pool("I eat rice.", "I eat bread.", "I eat corn.")
    asked = record(answer="B", options=("bread", "rice"), accept=("corn",))
    assert people.unaligned(asked, "train", seed=1) == "I eat bread."
    # A part of a word is not the word.
    assert pool("I like parisian hats.").unaligned(record(), "train", seed=1) == "I like parisian hats."


def test_a_question_that_no_persona_fits_is_rejected_after_a_bounded_search():
    for people in (pool("I am from Paris."), pool()):
        with pytest.raises(Rejected, match="no persona without the answer"):
            people.unaligned(record(), "train", seed=1)


def test_the_persona_depends_on_split_seed_and_question_alone():
    people = pool(train=["I am a baker."], val=["I am a nurse."], test=[f"I am number {n}." for n in range(50)])
    assert people.unaligned(record(), "train", 1) != people.unaligned(record(), "val", 1)
    draws = [people.unaligned(record(number), "test", seed) for seed in (1, 2) for number in range(20)]
    assert draws == [people.unaligned(record(number), "test", seed) for seed in (1, 2) for number in range(20)]
    assert draws[:20] != draws[20:] and len(set(draws)) > 10


def test_served_personas_are_looked_up_and_their_absence_is_a_reason():
    served = {("q1", schema.ALIGNED): "I am a Parisian guide."}
    found = attach.attach(record(right_mode="general"), schema.ALIGNED, "train", pool(), served, seed=1)
    assert (found.persona, found.condition) == ("I am a Parisian guide.", schema.ALIGNED)
    assert attach.right_mode(found, DEFAULT_MODES) == 1  # what the source said was said without this persona
    with pytest.raises(Rejected, match="no persona from the served model"):
        attach.attach(record(), schema.CONFLICTING, "train", pool(), served, seed=1)


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, 0),
        ({"condition": schema.UNALIGNED}, 0),
        ({"condition": schema.CONFLICTING}, 0),
        ({"condition": schema.ALIGNED}, 1),
        ({"condition": schema.PERSONAL, "ability": PREFERENCE}, 1),
        ({"condition": schema.AMBIGUOUS}, None),
        ({"right_mode": "personalized", "ability": FACT}, 1),
    ],
)
def test_the_right_mode(changes, mode):
    assert attach.right_mode(record(**changes), DEFAULT_MODES) == mode


def test_more_than_two_modes_have_no_right_one_unless_the_source_says_so():
    three = Modes([*DEFAULT_MODES, Mode("other", "[Other]")])
    assert attach.right_mode(record(), three) is None
    assert attach.right_mode(record(right_mode="other"), three) == 2


def test_a_split_without_personas_is_refused():
    people = pool(train=["I am a baker."])
    attach.check_pool(people, {schema.UNALIGNED: 1.0}, (1.0, 0.0, 0.0), {})
    attach.check_pool(people, {schema.NONE: 1.0}, (0.9, 0.1, 0.0), {})
    with pytest.raises(ValueError, match=r"none fell to the val split, .*splits\.val: 0$"):
        attach.check_pool(people, {schema.UNALIGNED: 1.0}, (0.9, 0.1, 0.0), {})
    with pytest.raises(ValueError, match=r"\(7 were left out, 4 of them as: not English\)$"):
        attach.check_pool(people, {schema.UNALIGNED: 1.0}, (0.9, 0.1, 0.0), {"empty field": 3, "not English": 4})
