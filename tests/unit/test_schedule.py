"""The mode of a rollout session: balanced for any number of sessions, modes and shares."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.schedule import FREE_SLOT, session_slot


def slots(n: int, shares) -> list[int]:
    return [session_slot(session, shares) for session in range(n)]


def counts(n: int, shares) -> list[int]:
    """Sessions per mode, and last the free ones."""
    found = Counter(slots(n, shares))
    return [found[mode] for mode in range(len(shares) - 1)] + [found[FREE_SLOT]]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 16, 31])
def test_equal_halves_alternate_whatever_n_is(n):
    assert slots(n, [0.5, 0.5, 0.0]) == [session % 2 for session in range(n)]


@pytest.mark.parametrize(
    ("n", "shares", "expected"),
    [
        (8, [0.5, 0.5, 0.0], [4, 4, 0]),
        (8, [0.25, 0.25, 0.5], [2, 2, 4]),
        (8, [0.75, 0.25, 0.0], [6, 2, 0]),
        (9, [1 / 3, 1 / 3, 1 / 3, 0.0], [3, 3, 3, 0]),
        (7, [2 / 7, 4 / 7, 1 / 7], [2, 4, 1]),
        (10, [0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4]),
        (8, [0.0, 0.0, 1.0], [0, 0, 8]),
        (8, [1.0, 0.0, 0.0], [8, 0, 0]),
    ],
)
def test_every_slot_gets_its_due_where_it_is_whole(n, shares, expected):
    assert counts(n, shares) == expected


def test_a_mode_without_a_share_is_never_forced():
    assert 1 not in slots(200, [0.6, 0.0, 0.3, 0.1])


weights = st.lists(st.integers(0, 9), min_size=3, max_size=6).filter(any)


@given(weights=weights, n=st.integers(1, 60))
def test_every_slot_is_within_one_of_its_due(weights, n):
    shares = [weight / sum(weights) for weight in weights]
    for count, weight in zip(counts(n, shares), weights, strict=True):
        due = Fraction(weight * n, sum(weights))
        assert abs(count - due) <= 1
        if not weight:
            assert count == 0


@given(weights=weights, rounds=st.integers(1, 4))
def test_the_due_is_met_exactly_after_whole_rounds(weights, rounds):
    shares = [weight / sum(weights) for weight in weights]
    assert counts(rounds * sum(weights), shares) == [rounds * weight for weight in weights]


@given(weights=weights, session=st.integers(0, 40), more=st.integers(0, 40))
def test_a_session_keeps_its_slot_whatever_else_was_asked(weights, session, more):
    shares = [weight / sum(weights) for weight in weights]
    alone = session_slot(session, shares)
    session_slot(session + more, shares)
    assert session_slot(session, list(shares)) == alone


def test_a_negative_session_is_refused():
    with pytest.raises(ValueError, match="session_id must be >= 0, found -1"):
        session_slot(-1, [0.5, 0.5, 0.0])
