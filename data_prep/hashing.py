"""64-bit hashes by which everything "random" of a build is decided: from a text and the seed, never from the order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def key(text: str) -> int:
    """64 bits of ``text``, the same on every machine; a lone surrogate is hashed as what it is."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def keys(texts: Iterable[str]) -> Keys:
    return np.fromiter(map(key, texts), dtype=np.uint64)


def mix(values: Keys, salt: str) -> Keys:
    """Other keys, as good as drawn anew for each ``salt`` (SplitMix64's finaliser)."""
    with np.errstate(over="ignore"):
        mixed = values + np.uint64(key(salt))
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def unit(values: Keys) -> NDArray[np.float64]:
    """Keys as numbers in [0, 1)."""
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose(values: Keys, shares: Iterable[float]) -> NDArray[np.uint8]:
    """For each key one of the places of ``shares`` (which sum to 1), each as often as its share."""
    bounds = np.cumsum(list(shares))
    # The last place with a share takes the rest, so that rounding of the sum leaves no gap.
    last = int(np.flatnonzero(np.diff(bounds, prepend=0.0) > 0)[-1])
    return np.minimum(np.searchsorted(bounds, unit(values), side="right"), last).astype(np.uint8)
