"""Splits share no group; selections keep their limits and their proportions."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.data_prep import hashing, neardup, selection, splits
from personadual.data_prep.splits import Splits

NEAR = neardup.NearDuplicates()


def split_of(questions, texts, personas=None, shares=None, seed=1):
    shares = shares or Splits()
    keys = hashing.keys(questions)
    people = None if personas is None else np.array([splits.persona_key(p) for p in personas], dtype=np.uint64)
    labels = splits.group_questions(keys, neardup.signatures(texts, NEAR), people, NEAR)
    return splits.split_groups(splits.group_keys(labels, keys), shares, seed).tolist()


HALVES = Splits(train=0.4, val=0.3, test=0.3)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_no_question_text_or_persona_stands_in_two_splits(rows, seed):
    questions = [f"q{question}" for question, _, _ in rows]
    texts = [f"text number {text}" for _, text, _ in rows]
    personas = [f"I am person {person}" if person else "" for _, _, person in rows]
    found = split_of(questions, texts, personas, HALVES, seed)
    for values in (questions, texts, [persona or None for persona in personas]):
        homes = {}
        for value, split in zip(values, found, strict=True):
            if value is not None:
                assert homes.setdefault(value, split) == split


def test_personas_may_recur_where_they_are_not_asked_to_stay_together():
    count = 60
    questions, texts = [f"q{n}" for n in range(count)], [f"w{n} x{n} y{n} z{n}" for n in range(count)]
    assert len(set(split_of(questions, texts, ["I am one person"] * count, HALVES))) == 1
    assert len(set(split_of(questions, texts, None, HALVES))) == 3


def test_rows_added_elsewhere_move_nothing_and_the_order_is_of_no_account():
    questions, texts = [f"q{n}" for n in range(50)], [f"a{n} b{n} c{n}" for n in range(50)]
    before = dict(zip(questions, split_of(questions, texts), strict=True))
    more = [*reversed(questions), "new1", "new2"]
    after = dict(zip(more, split_of(more, [*reversed(texts), "k l m", "n o p"]), strict=True))
    assert {name: after[name] for name in questions} == before


def test_shares_hold_for_groups_of_any_size():
    # 3,000 groups, a third of one question, a third of two, a third of six: large ones must not be drawn more often.
    sizes = [1, 2, 6] * 1000
    questions = [f"{group}-{member}" for group, size in enumerate(sizes) for member in range(size)]
    texts = [f"a{group} b{group} c{group}" for group, size in enumerate(sizes) for _ in range(size)]
    found = Counter(split_of(questions, texts, shares=Splits(train=0.5, val=0.25, test=0.25)))
    assert abs(found[0] / len(texts) - 0.5) < 0.03 and abs(found[1] / len(texts) - 0.25) < 0.03


def test_another_seed_gives_another_split():
    questions, texts = [f"q{n}" for n in range(100)], [f"a{n} b{n} c{n}" for n in range(100)]
    assert split_of(questions, texts, shares=HALVES) != split_of(questions, texts, shares=HALVES, seed=2)


def test_the_key_of_a_persona_is_that_of_its_words():
    assert (
        splits.persona_key("I am a NURSE.") == splits.persona_key("i am a  nurse") != splits.persona_key("I am a nun")
    )
    assert splits.persona_key("") == 0


@pytest.mark.parametrize(
    "values", [{"train": 0.5}, {"train": 0.0, "val": 0.5, "test": 0.5}, {"train": 1.1, "val": -0.1, "test": 0.0}]
)
def test_shares_that_do_not_sum_to_one_are_refused(values):
    with pytest.raises(ValueError, match="splits: shares of train, val, test"):
        Splits(**values)


def test_one_group_that_holds_nearly_everything_is_refused_by_name():
    count = 1000
    labels = np.zeros(count, dtype=np.int32)
    with pytest.raises(ValueError, match=r"val is empty, because 1000 of 1000 rows of mine belong together"):
        splits.check_groups(labels, np.zeros(count, dtype=np.uint8), Splits(), ["mine"])
    splits.check_groups(labels[:20], np.zeros(20, dtype=np.uint8), Splits(), ["mine"])  # too few to tell


def take(groups, **limits):
    groups = np.array(groups)
    keys = hashing.keys(f"row{n}" for n in range(len(groups)))
    rows = selection.take(keys, groups, np.ones(len(groups), dtype=bool), "salt", **limits)
    return Counter(groups[rows].tolist())


def test_a_limit_takes_each_subject_in_proportion():
    assert take([0] * 600 + [1] * 300 + [2] * 100, limit=20) == {0: 12, 1: 6, 2: 2}
    assert take([0] * 3 + [1] * 2, limit=50) == {0: 3, 1: 2}


def test_a_limit_per_subject():
    assert take([0] * 600 + [1] * 300 + [2] * 5, per_group=10) == {0: 10, 1: 10, 2: 5}
    assert take([0] * 600 + [1] * 300 + [2] * 5, per_group=10, limit=5) == {0: 2, 1: 2, 2: 1}


def test_weights_hold_until_a_source_runs_out():
    assert take([0] * 500 + [1] * 500, limit=40, weights={0: 3.0, 1: 1.0}) == {0: 30, 1: 10}
    assert take([0] * 10 + [1] * 500, limit=40, weights={0: 3.0, 1: 1.0}) == {0: 10, 1: 30}


@given(st.permutations(range(30)), st.integers(1, 30))
def test_what_is_taken_does_not_depend_on_the_order(order, limit):
    def taken(names):
        keys = hashing.keys(f"row{n}" for n in names)
        groups = np.array([n % 3 for n in names])
        rows = selection.take(keys, groups, np.ones(30, dtype=bool), "salt", limit=limit)
        return {name for name, yes in zip(names, rows, strict=True) if yes}

    assert taken(order) == taken(range(30)) and len(taken(order)) == limit


def test_only_marked_rows_are_taken():
    among = np.array([True, False, True, False])
    keys = hashing.keys("abcd")
    assert selection.take(keys, np.zeros(4, dtype=int), among, "salt").tolist() == among.tolist()
    assert not selection.take(keys, np.zeros(4, dtype=int), np.zeros(4, dtype=bool), "salt", limit=2).any()


def test_the_first_of_equal_rows_is_kept():
    assert selection.first_of_equal(np.array([5, 3, 5, 3, 9], dtype=np.uint64)).tolist() == [
        True,
        True,
        False,
        False,
        True,
    ]
