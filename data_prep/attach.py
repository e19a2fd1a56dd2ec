"""Which persona a question gets: none, one that has nothing to do with it, one that helps, or one that misleads.

Only questions that come without an asker get one. The condition is drawn by shares from the question's key; an
unaligned persona is drawn from the split's own personas, seeded by the question, and must not contain the answer.
Aligned and conflicting personas are written for the question by a served model (``served.personas``).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from personadual import schema
from personadual.data_prep import hashing
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.hashing import Keys
from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.served.texts import occurs
from personadual.modes import Modes

ATTACHED = (schema.NONE, schema.UNALIGNED, schema.ALIGNED, schema.CONFLICTING)
"""The conditions that are attached, in the order of the bits of a row's conditions."""
SERVED = (schema.ALIGNED, schema.CONFLICTING)
"""Those of them whose personas a served model writes."""

# Which of two modes answers a question of fact better, where that follows from the persona: 0 by facts, 1 by persona.
_RIGHT_MODE = {schema.NONE: 0, schema.UNALIGNED: 0, schema.CONFLICTING: 0, schema.ALIGNED: 1}

_TRIES = 16
NO_FITTING_PERSONA = "no persona without the answer"
NO_SERVED_PERSONA = "no persona from the served model"


@dataclass(frozen=True)
class PersonaPool:
    """The personas that may be attached in each split, as compact arrow arrays."""

    by_split: Mapping[str, pa.Array]

    def unaligned(self, record: Record, split: str, seed: int) -> str:
        """A persona that does not contain the answer of ``record``; depends on seed, question and pool alone.

        Raises:
            Rejected: none was found in a bounded number of draws.
        """
        pool = self.by_split[split]
        answers = (record.answer_text, *record.accept)
        rng = random.Random(f"{seed}/unaligned/{record.question_id}")
        for _ in range(_TRIES if len(pool) else 0):
            persona = pool[rng.randrange(len(pool))].as_py()
            if not any(occurs(answer, persona) for answer in answers):
                return persona
        raise Rejected(NO_FITTING_PERSONA, f"{_TRIES} draws from {len(pool)} personas of {split}", field="persona")


def condition_bits(
    question_keys: Keys,
    bare: NDArray[np.bool_],
    every: NDArray[np.bool_],
    shares: Mapping[str, float],
    all_of: Collection[str],
    seed: int,
) -> NDArray[np.uint8]:
    """Bits of ``ATTACHED`` for each row: one by the shares, all of ``all_of`` for rows of ``every``.

    0 for rows that are not ``bare``: they keep what they have.
    """
    parts = [shares.get(condition, 0.0) for condition in ATTACHED]
    drawn = np.uint8(1) << hashing.choose(hashing.mix(question_keys, f"{seed}/condition"), parts)
    all_bits = np.uint8(sum(1 << place for place, condition in enumerate(ATTACHED) if condition in all_of))
    bits = np.where(every, all_bits, drawn)
    return np.where(bare, bits, 0).astype(np.uint8)


def conditions_of(bits: int) -> Sequence[str | None]:
    """The conditions of a row's bits; ``[None]``, "as it is", for none."""
    return [name for place, name in enumerate(ATTACHED) if bits >> place & 1] or [None]


def attach(
    record: Record,
    condition: str | None,
    split: str,
    pool: PersonaPool,
    served: Mapping[tuple[str, str], str],
    seed: int,
) -> Record:
    """``record`` under ``condition`` (None: as it is). ``served`` has personas by question id and condition.

    Raises:
        Rejected: there is no persona for it.
    """
    if condition is None or condition == schema.NONE:
        return record
    if condition == schema.UNALIGNED:
        persona = pool.unaligned(record, split, seed)
    elif not (persona := served.get((record.question_id, condition), "")):
        raise Rejected(NO_SERVED_PERSONA, condition, field="persona")
    # What the source says of the right mode was said of the question alone.
    return replace(record, condition=condition, persona=persona, right_mode=None)


def right_mode(record: Record, modes: Modes) -> int | None:
    """Index of the mode known to be better: what the source says, else what follows from the condition."""
    if record.right_mode is not None:
        return modes.index_of(record.right_mode)
    if len(modes) != 2:
        return None
    return 1 if record.condition == schema.PERSONAL else _RIGHT_MODE.get(record.condition)


def check_pool(
    pool: PersonaPool, shares: Mapping[str, float], split_shares: Sequence[float], rejected: Mapping[str, int]
) -> None:
    """Refuses shares that no persona could serve. ``rejected`` counts the personas that were left out, by reason.

    Raises:
        ValueError: unaligned personas are asked for in a split that has none.
    """
    if not shares.get(schema.UNALIGNED, 0.0):
        return
    for split, share in zip(SPLITS, split_shares, strict=True):
        if share > 0 and not len(pool.by_split[split]):
            raise ValueError(
                f"personas: none fell to the {split} split, which needs unaligned ones; give more personas, or set "
                f"splits.{split}: 0{_left_out(rejected)}"
            )


def _left_out(rejected: Mapping[str, int]) -> str:
    if not rejected:
        return ""
    reason = max(rejected, key=lambda name: rejected[name])
    return f" ({sum(rejected.values())} were left out, {rejected[reason]} of them as: {reason})"
