"""Validation rows by what they asked for, and the rollouts of theirs that are lost."""

import pytest

from personadual.modes import DEFAULT_MODES
from personadual.validation import lost_rollouts, split_counts, split_source

EXPECTED = {("math", "a"): 2, ("math", "b"): 2, ("math", "c"): 1, ("taste", "d"): 3, ("taste", "e"): 1}
MODE_OF = {"b": "general", "c": "personalized", "e": "no_such_mode"}


def test_forced_rows_have_a_data_source_of_their_own():
    assert split_source("math", None) == "math"
    assert split_source("math", "general") == "math:forced_general"
    assert split_counts({("math", "a"): 2, ("math", "b"): 1}, MODE_OF) == {
        ("math", "a"): 2,
        ("math:forced_general", "b"): 1,
    }


@pytest.mark.parametrize(
    ("samples", "lost"),
    [
        # All there; a row that asked for a mode that does not exist never has a sample.
        ([("a", 1.0), ("a", 0.0), ("b", 1.0), ("b", 1.0), ("c", 0.0), ("d", 0.0), ("d", 0.0), ("d", 0.0)], {}),
        ([], {("math", -1): 2, ("math", 0): 2, ("math", 1): 1, ("taste", -1): 3}),
        # One of a row's two, one that was not scored, and more than were asked for.
        (
            [("a", 1.0), ("b", None), ("b", 1.0), ("c", 1.0), ("c", 1.0), ("d", 1.0)],
            {("math", -1): 1, ("math", 0): 1, ("taste", -1): 2},
        ),
    ],
)
def test_lost_rollouts_are_counted_by_source_and_what_was_asked(samples, lost):
    uids, acc = [uid for uid, _ in samples], [value for _, value in samples]
    found = lost_rollouts(EXPECTED, uids, acc, MODE_OF, DEFAULT_MODES)
    assert {key: count for key, count in found.items() if count} == lost
