"""Train, validation and test, so that nothing of one stands in another.

The unit is a *group* of questions: all rows with one question id, all near-duplicates of it, and, where personas come
with the questions (AlignX), all rows with the same persona; and so on transitively. A group goes to one split as a
whole. Which one depends on the seed and on the smallest key of its question ids alone, so that rows added elsewhere
move nothing. Personas that are attached to questions (PersonaHub) have one split each, by their text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personadual.data_prep import hashing, neardup
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.components import Labels, join_equal
from personadual.data_prep.hashing import Keys


@dataclass(frozen=True)
class Splits:
    """Shares of the splits; ``own_personas`` False lets personas that come with their questions recur across splits.

    A set that is only evaluated on has ``test`` 1 and nothing else.
    """

    train: float = 0.9
    val: float = 0.05
    test: float = 0.05
    own_personas: bool = True

    def __post_init__(self) -> None:
        to_train = self.train > 0 or self.test == 1
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6 or not to_train:
            raise ValueError(
                f"splits: shares of {', '.join(SPLITS)} of 0 or more that sum to 1 are needed, and train above 0 (or "
                f"test 1, to evaluate only); found {', '.join(map(str, self.shares))}"
            )

    @property
    def shares(self) -> tuple[float, float, float]:
        return self.train, self.val, self.test


def group_questions(
    question_keys: Keys,
    signatures: neardup.Signatures,
    persona_keys: Keys | None,
    settings: neardup.NearDuplicates,
) -> Labels:
    """Label of each row's group, the number of its first row. ``persona_keys`` are 0 for rows without a persona."""
    labels = join_equal(neardup.clusters(signatures, settings), question_keys)
    if persona_keys is not None:
        labels = join_equal(labels, persona_keys, among=persona_keys != 0)
    return labels


def group_keys(labels: Labels, question_keys: Keys) -> Keys:
    """For each row the smallest key of its group's question ids: what stands for the group, whatever the order."""
    smallest = np.full(len(labels), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, labels, question_keys)
    return smallest[labels]


def split_groups(keys_of_groups: Keys, splits: Splits, seed: int) -> NDArray[np.uint8]:
    """Place in ``SPLITS`` of each row, by ``group_keys``."""
    return hashing.choose(hashing.mix(keys_of_groups, f"{seed}/split"), splits.shares)


def split_personas(persona_keys: Keys, splits: Splits, seed: int) -> NDArray[np.uint8]:
    """Place in ``SPLITS`` of each persona that is attached to questions, by the key of its normalised text."""
    return hashing.choose(hashing.mix(persona_keys, f"{seed}/persona split"), splits.shares)


def persona_key(persona: str) -> int:
    """Key of a persona's text without case, space and the final full stop; 0 for no persona."""
    return hashing.key(" ".join(persona.casefold().split()).rstrip(".")) or 1 if persona else 0


def check_groups(labels: Labels, split_of: NDArray[np.uint8], splits: Splits, sources: Sequence[str]) -> None:
    """Refuses splits that came out empty though the rows are many.

    Raises:
        ValueError: one group holds most of the rows, with what to change.
    """
    if not len(labels):
        return
    found = np.bincount(split_of, minlength=len(SPLITS))
    largest = int(np.bincount(labels).max())
    for name, share, rows in zip(SPLITS, splits.shares, found, strict=True):
        if share > 0 and not rows and largest > len(labels) / 2 and share * len(labels) >= 10:
            raise ValueError(
                f"splits: {name} is empty, because {largest} of {len(labels)} rows of {', '.join(sources)} belong "
                "together: near-duplicates, one question id, or one persona. Raise near_duplicates.threshold, or set "
                "splits.own_personas: false where few personas come with many questions"
            )
