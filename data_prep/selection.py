"""Which rows of many are taken: the first of equal ones, limits per source and subject, and shares of a mix.

All of it on keys of the rows, so that a million rows cost a few numbers each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from personadual.data_prep import hashing
from personadual.data_prep.hashing import Keys

Rows = NDArray[np.bool_]


def first_of_equal(row_keys: Keys) -> Rows:
    """Marks the first of the rows with one key."""
    first = np.zeros(len(row_keys), dtype=bool)
    first[np.unique(row_keys, return_index=True)[1]] = True
    return first


def with_several(row_keys: Keys, values: Keys, among: Rows) -> Rows:
    """Marks the rows of ``among`` whose key comes with more than one value there."""
    rows = np.flatnonzero(among)
    rows = rows[np.lexsort((values[rows], row_keys[rows]))]
    ordered = row_keys[rows]
    differ = (ordered[1:] == ordered[:-1]) & (values[rows[1:]] != values[rows[:-1]])
    return among & np.isin(row_keys, ordered[1:][differ])


def take(
    keys: Keys,
    groups: NDArray[np.integer] | Keys,
    among: Rows,
    salt: str,
    *,
    limit: int | None = None,
    per_group: int | None = None,
    weights: dict[int, float] | None = None,
) -> Rows:
    """Marks at most ``limit`` of the rows of ``among``, and at most ``per_group`` of each group.

    A group is taken from in proportion to its rows, or to its ``weights`` (by group) as long as it has rows: 2,000 of
    70 tasks hold each task by its size. Within a group the keys and ``salt`` decide, not the order of the rows.
    """
    rows = np.flatnonzero(among)
    groups = groups[rows]
    order = np.lexsort((hashing.mix(keys[rows], salt), groups))
    rows, groups = rows[order], groups[order]
    values, starts, inverse, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    rank = np.arange(len(rows)) - starts[inverse]
    if per_group is not None:
        sizes = np.minimum(sizes, per_group)
    kept = rank < sizes[inverse]
    if limit is not None and kept.sum() > limit:
        weight = sizes.astype(float) if weights is None else np.array([weights.get(int(v), 1.0) for v in values])
        # The k-th row of a group comes up at k / weight: cut anywhere, the groups stand in the ratio of their weights.
        due = np.where(kept, (rank + 0.5) / weight[inverse], np.inf)
        kept = np.zeros(len(rows), dtype=bool)
        kept[np.lexsort((hashing.mix(keys[rows], salt), due))[:limit]] = True
    taken = np.zeros(len(among), dtype=bool)
    taken[rows[kept]] = True
    return taken
