"""The fuzz targets on a few thousand cases; ``python tests/fuzz/run.py`` gives them a million."""

import pytest
from fuzz.run import cases, run_random
from fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_random_cases(target, tmp_path):
    run_random(target, 200 if target == "read" else 3000, seed=7, findings=tmp_path)


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
