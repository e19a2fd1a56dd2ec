"""Connected components, vectorised: union by smallest member, in place, edge list by edge list."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]


def singletons(count: int) -> Labels:
    """Labels of ``count`` members, each alone in its component."""
    return np.arange(count, dtype=np.int32)


def join(labels: Labels, left: NDArray[np.integer], right: NDArray[np.integer]) -> Labels:
    """Labels after the components of each ``left[i]`` and ``right[i]`` are joined.

    A label is the smallest member of its component. Every round hooks each root that has a smaller neighbour onto it,
    so at least half of the roots that still have edges go, and the rounds are logarithmic in the members.
    """
    while True:
        one, other = labels[left], labels[right]
        apart = one != other
        if not apart.any():
            return labels
        left, right, one, other = left[apart], right[apart], one[apart], other[apart]
        labels = labels.copy()
        np.minimum.at(labels, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(shorter := labels[labels], labels):
            labels = shorter


def join_equal(labels: Labels, values: NDArray[np.uint64], among: NDArray[np.bool_] | None = None) -> Labels:
    """Labels after all members with equal ``values`` are joined, of those that ``among`` marks."""
    members = np.arange(len(values)) if among is None else np.flatnonzero(among)
    order = members[np.argsort(values[members], kind="stable")]
    same = values[order[1:]] == values[order[:-1]]
    return join(labels, order[:-1][same], order[1:][same])
