"""Near-duplicate questions: MinHash signatures (rensa), and clusters of all of them by banding (numpy).

A text is its set of shingles, runs of a few words without case, accents and punctuation. The share of equal places of
two signatures estimates the Jaccard similarity of the two sets. Texts of which a band, a few places of the signature,
is equal are compared; a cluster is a connected component of pairs at or above the threshold. Nothing is done per pair
in Python, and the memory beside the signatures is a few numbers per text.

MinHash: Broder (1997), "On the resemblance and containment of documents". Banding: Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3. The order within a band: Bawa, Condie and Ganesan (2005), "LSH Forest".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personadual.data_prep.components import Labels, join, join_equal, singletons
from personadual.reward_fns.normalise import bound_marks

Signatures = NDArray[np.uint32]

# Scripts without spaces between words: each character is a word, else a whole sentence would be one.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_WORD = re.compile(r"\w+")

_RECALL = 0.995  # of pairs exactly at the threshold, by which the bands are chosen
_NEIGHBOURS = 64  # how far apart two texts of one band's bucket may stand and still be compared
_ORDERED_BY = 12  # places behind the band that order a bucket with more texts than that; an even number
_PAIRS_AT_ONCE = 1 << 16
_RENSA_SEED = 1  # the permutations are part of the method, not of a build's seed


@dataclass(frozen=True)
class NearDuplicates:
    """What counts as nearly the same question.

    ``threshold`` on the estimated Jaccard similarity of the texts' sets of ``shingle`` words; ``num_perm`` places in a
    signature (4 bytes each per question; the estimate's standard deviation at 0.8 is 0.4 / sqrt(num_perm)). Only equal
    ``question_id`` and equal text count where ``threshold`` is 1.
    """

    threshold: float = 0.8
    num_perm: int = 48
    shingle: int = 3

    def __post_init__(self) -> None:
        if not 0.3 <= self.threshold <= 1:
            raise ValueError(f"near_duplicates.threshold: a number from 0.3 to 1 is needed, found {self.threshold!r}")
        if not 16 <= self.num_perm <= 256:
            raise ValueError(f"near_duplicates.num_perm: 16 to 256, found {self.num_perm!r}")
        if not 1 <= self.shingle <= 8:
            raise ValueError(f"near_duplicates.shingle: 1 to 8 words, found {self.shingle!r}")

    def bands(self) -> list[slice]:
        """Columns of the bands: as long as they can be while a pair at the threshold still shares one almost surely."""
        fitting = [
            rows
            for rows in range(1, self.num_perm + 1)
            if 1 - (1 - self.threshold**rows) ** (self.num_perm // rows) >= _RECALL
        ]
        rows = max(fitting)
        return [slice(start, start + rows) for start in range(0, self.num_perm - rows + 1, rows)]


def words(text: str) -> list[str]:
    """The words of a text in order, without case and accents. A text without any is one word, itself.

    Coarser than ``reward_fns.normalise``, which says when answers are the same, and made for long texts.
    """
    if not text.isascii():
        text = bound_marks(text.encode("utf-8", "replace").decode("utf-8"))
        decomposed = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
        text = _UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFC", decomposed))
    text = text.casefold()
    return _WORD.findall(text) or [" ".join(text.split())]


def signatures(texts: Sequence[str], settings: NearDuplicates) -> Signatures:
    """One row of ``num_perm`` places per text."""
    from rensa import RMinHash

    if not texts:
        return np.empty((0, settings.num_perm), dtype=np.uint32)
    size = settings.shingle
    # A text shorter than a shingle is one shingle, filled up with empty words.
    split = [found + [""] * (size - len(found)) for found in map(words, texts)]
    lengths = np.array([len(found) for found in split])
    ends = np.cumsum(lengths)
    hashes = np.concatenate([np.array(row, dtype=np.uint64) for row in RMinHash.hash_token_sets(split)])
    starts = len(hashes) - size + 1
    shingles = hashes[:starts].copy()
    with np.errstate(over="ignore"):
        for step in range(1, size):
            shingles = (shingles ^ (shingles >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
            shingles += hashes[step : step + starts]
    whole = np.ones(starts, dtype=bool)  # shingles that do not reach over the end of their text
    for step in range(1, size):
        whole[ends[:-1] - step] = False
    offsets = np.concatenate([[0], np.cumsum(lengths - size + 1)]).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles[whole], offsets, settings.num_perm, _RENSA_SEED)
    return np.array(matrix.to_rows(), dtype=np.uint32)


def clusters(found: Signatures, settings: NearDuplicates) -> Labels:
    """Label of each text's cluster: the row of the first text in it."""
    labels = singletons(len(found))
    if len(found) < 2:
        return labels
    labels = join_equal(labels, _row_hashes(found))
    if settings.threshold >= 1:
        return labels
    # Texts with the same signature are compared once.
    distinct = np.flatnonzero(labels == np.arange(len(labels)))
    for band in settings.bands():
        labels = _join_band(labels, found, distinct, band, settings)
    return labels


def matches(found: Signatures, against: Signatures, settings: NearDuplicates) -> list[tuple[int, int, float]]:
    """(row of ``found``, the most similar row of ``against``, similarity), for rows at or above the threshold."""
    best, which = np.zeros(len(found)), np.zeros(len(found), dtype=np.intp)
    for band in settings.bands():
        hashes = _row_hashes(found[:, band])
        theirs = _row_hashes(against[:, band])
        order = np.argsort(theirs, kind="stable")
        low = np.searchsorted(theirs[order], hashes, side="left")
        high = np.searchsorted(theirs[order], hashes, side="right")
        if len(found) and (high - low).max() > _NEIGHBOURS:
            order, low = _nearest(found, against, hashes, theirs, band)
        for distance in range(_NEIGHBOURS):
            rows = np.flatnonzero(low + distance < high)
            if not len(rows):
                break
            others = order[low[rows] + distance]
            similar = _similarities(found, rows, against, others)
            better = similar > best[rows]
            best[rows[better]], which[rows[better]] = similar[better], others[better]
    return [(int(row), int(which[row]), float(best[row])) for row in np.flatnonzero(best >= settings.threshold)]


def _join_band(
    labels: Labels, found: Signatures, distinct: NDArray[np.intp], band: slice, settings: NearDuplicates
) -> Labels:
    hashes = _row_hashes(found[:, band])[distinct]
    order = np.argsort(hashes, kind="stable")
    crowded = _crowded(hashes[order])
    if crowded.any():
        inside = order[crowded]
        order[crowded] = inside[np.lexsort((*_behind(found, band, distinct[inside]), hashes[inside]))]
    hashes, members = hashes[order], distinct[order]
    for distance in range(1, min(_NEIGHBOURS, len(members) - 1) + 1):
        same = np.flatnonzero(hashes[distance:] == hashes[:-distance])
        if not len(same):
            break
        left, right = members[same], members[same + distance]
        apart = labels[left] != labels[right]
        left, right = left[apart], right[apart]
        similar = _similarities(found, left, found, right) >= settings.threshold
        labels = join(labels, left[similar], right[similar])
    return labels


def _nearest(
    found: Signatures, against: Signatures, hashes: NDArray[np.uint64], theirs: NDArray[np.uint64], band: slice
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of ``against`` in order, and for each of ``found`` where the ``_NEIGHBOURS`` most like it begin."""
    keys = [np.concatenate(pair) for pair in zip(_behind(found, band), _behind(against, band), strict=True)]
    joined = np.lexsort((*keys, np.concatenate([hashes, theirs])))
    is_theirs = joined >= len(found)
    before = np.cumsum(is_theirs)[~is_theirs]
    place = np.empty(len(found), dtype=np.intp)
    place[joined[~is_theirs]] = before
    order = joined[is_theirs] - len(found)
    low = np.searchsorted(theirs[order], hashes, side="left")
    high = np.searchsorted(theirs[order], hashes, side="right")
    return order, np.maximum(low, np.minimum(place - _NEIGHBOURS // 2, high - _NEIGHBOURS))


def _crowded(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Of sorted hashes, those that stand in a run too long to compare all of it."""
    starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
    lengths = np.diff(np.append(starts, len(hashes)))
    return np.repeat(lengths > _NEIGHBOURS + 1, lengths)


def _behind(rows: Signatures, band: slice, among: slice | NDArray[np.intp] = slice(None)) -> list[NDArray[np.uint64]]:
    """The places behind the band, two in a number, the last first: keys for ``np.lexsort``."""
    places = (band.stop + np.arange(_ORDERED_BY)) % rows.shape[1]
    pairs = zip(places[::2], places[1::2], strict=True)
    return [rows[among, one].astype(np.uint64) << np.uint64(32) | rows[among, other] for one, other in pairs][::-1]


def _similarities(
    one: Signatures, rows: NDArray[np.intp], other: Signatures, other_rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    similar = np.empty(len(rows))
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        similar[part] = (one[rows[part]] == other[other_rows[part]]).mean(axis=1)
    return similar


def _row_hashes(rows: Signatures) -> NDArray[np.uint64]:
    """64 bits per row, column by column, so that no copy of the matrix is made."""
    hashes = np.zeros(len(rows), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in range(rows.shape[1]):
            hashes = (hashes ^ (hashes >> np.uint64(29)) ^ rows[:, column]) * np.uint64(0x9E3779B97F4A7C15)
    return hashes
