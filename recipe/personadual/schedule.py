"""Which mode a rollout session is forced into: a pure function of its number, so that any n is balanced."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

FREE_SLOT = -1
"""Slot of a session whose mode the model chooses itself."""


def session_slot(session_id: int, shares: Sequence[float]) -> int:
    """Mode index that session ``session_id`` (0-based, within its prompt) is forced into, or ``FREE_SLOT``.

    ``shares`` are those of ``DualGRPOSettings.rollout_shares``: one per mode, the free share last. Each session goes
    to the slot that is furthest behind its share, so after any number n of sessions every slot is within one of its
    due, and exact where n times the shares are whole. The session needs not know n, which verl lets each row set.
    """
    if session_id < 0:
        raise ValueError(f"session_id must be >= 0, found {session_id}")
    return _slots(tuple(shares), session_id + 1)[session_id]


@lru_cache(maxsize=64)
def _slots(shares: tuple[float, ...], n: int) -> tuple[int, ...]:
    taken = [0] * len(shares)
    slots = []
    for session in range(n):
        due = [share * (session + 1) - count for share, count in zip(shares, taken, strict=True)]
        # Rounding keeps ties ties: the first of the equally late slots is taken.
        slot = max(range(len(shares)), key=lambda index: (round(due[index], 9), -index))
        taken[slot] += 1
        slots.append(slot if slot < len(shares) - 1 else FREE_SLOT)
    return tuple(slots)
