"""The samples of a validation by what their rows asked for: pure functions, no verl.

verl averages the samples of a data source, and counts those that it waited for and did not get as wrong. Rows that are
forced into a mode would be averaged into the free ones, so each mode's get a data source of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from personadual.modes import INVALID_MODE, Modes

FORCED_SOURCE = "{source}:forced_{mode}"

Counts = Mapping[tuple[str, str], int]
"""Samples that verl waited for, by (data source, uid)."""


def split_source(source: Any, forced_mode: str | None) -> str:
    """Data source under which a validation row is reported: that of forced rows names their mode."""
    return str(source) if forced_mode is None else FORCED_SOURCE.format(source=source, mode=forced_mode)


def split_counts(expected: Counts, mode_of: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """The counts under the data sources of their rows, also where no sample of a row came back.

    ``mode_of``: uid -> name of the mode, of forced rows.
    """
    return {(split_source(source, mode_of.get(uid)), uid): count for (source, uid), count in expected.items()}


def lost_rollouts(
    expected: Counts, uids: Iterable[str], acc: Iterable[float | None], mode_of: Mapping[str, str], modes: Modes
) -> Counter[tuple[str, int]]:
    """How many samples have no accuracy, by data source and index of the mode they were asked in (-1 for free ones).

    Args:
        uids, acc: of the samples that came back; None where one was not scored. expected, mode_of: see above.
    """
    scored = Counter(uid for uid, value in zip(uids, acc, strict=True) if value is not None)
    # The loop refuses a mode that is not configured: such a row has no sample, and no number that it could lower.
    index: dict[str | None, int] = {None: INVALID_MODE, **{name: at for at, name in enumerate(modes.names)}}
    lost: Counter[tuple[str, int]] = Counter()
    for (source, uid), count in expected.items():
        asked = mode_of.get(uid)
        if asked in index:
            lost[source, index[asked]] += max(count - scored[uid], 0)
    return lost


def indices(values: Sequence[Any]) -> list[int]:
    """Modes or items as our reward functions return them; -1 where a sample has none."""
    return [INVALID_MODE if value is None else int(value) for value in values]
