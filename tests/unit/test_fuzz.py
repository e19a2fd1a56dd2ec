"""The fuzz targets on a few thousand cases; ``python tests/fuzz/run.py`` gives them a million."""

import pytest
from fuzz.run import cases, run_random
from fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_random_cases_are_refused_by_name_or_taken_and_both_happens(target, tmp_path):
    count = 400 if target == "read" else 3000
    assert 0.01 * count < run_random(target, count, seed=7, findings=tmp_path) < 0.9 * count


@pytest.mark.parametrize(
    "target, case",
    [
        # modes and mode_shares as a number.
        ("config", bytes([0] * 4 + [7] * 4)),
        ("config", bytes([12] * 4 + [7] * 4)),
    ],
)
def test_what_once_was_found(target, case):
    TARGETS[target](case)


def test_cases_are_the_same_for_a_seed():
    assert [*cases(3, 50)] == [*cases(3, 50)] != [*cases(4, 50)]
