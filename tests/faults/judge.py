"""What a fault lost: what a run did that was hurt and started again, beside an undisturbed one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from faults.scene import TRACKER

DISTANCE = "actor/kl_loss"
"""Of the weights with which a step begins from those of the start model: 0 in the first step, then more and more."""
ALIKE = 1.6
"""Distances of two runs before the same step are within this factor: sampling makes a tenth, a step about two times."""


@dataclass(frozen=True)
class Done:
    """What a run did: metrics by step, its newest checkpoint's step and updates, what each step rolled out, and whether
    the model beside that checkpoint holds its weights.
    """

    metrics: dict[int, dict[str, float]]
    saved: int | None
    updates: set[int]
    order: dict[int, Counter]
    exported: bool = True


def unrecorded(saved: int | None, after: Done) -> bool:
    """Whether step ``saved`` has no record of its rollouts: verl writes that, and its metrics, after the checkpoint."""
    return bool(saved) and saved not in after.order


def lost(saved: int | None, restart: int | None, after: Done, undisturbed: Done) -> list[str]:
    """What was lost, in words.

    Args:
        saved: step of the newest checkpoint when the run was started again; None if its tracker held no number.
        restart: exit code of the second run; None if it did not end.
        after: metrics of the second run, the rest of both.
    """
    problems = [] if saved is not None else [f"{TRACKER} held no number after the fault"]
    if restart != 0:
        return [*problems, "the restart hangs" if restart is None else f"the restart ended with {restart}"]
    last, again = max(undisturbed.metrics), list(after.metrics)
    if again != list(range((saved or 0) + 1, last + 1)):
        problems.append(f"steps {again} after a checkpoint of step {saved}")
    if after.saved != last:
        problems.append(f"the newest checkpoint is of step {after.saved}, not of {last}")
    if again:
        first = again[0]
        found, expected = (run.metrics.get(first, {}).get(DISTANCE, math.nan) for run in (after, undisturbed))
        if not expected / ALIKE <= found <= expected * ALIKE:
            problems.append(
                f"step {first} began with other weights: {DISTANCE} {found:.2g}, {expected:.2g} undisturbed"
            )
    if after.updates != undisturbed.updates:
        problems.append(
            f"the optimizer counts {sorted(after.updates)} updates, {sorted(undisturbed.updates)} undisturbed"
        )
    if not after.exported:
        problems.append(f"the model beside the checkpoint of step {after.saved} is not its weights")
    for step in sorted(undisturbed.order.keys() | after.order.keys()):
        if step == saved and unrecorded(saved, after):
            continue
        rollouts, wanted = (run.order.get(step, Counter()) for run in (after, undisturbed))
        if rollouts - wanted:
            problems.append(f"prompts or modes of step {step} differ from the undisturbed run's")
        elif missing := (wanted - rollouts).total():
            # So does a step go on whose sessions failed with the process.
            problems.append(f"step {step} lacks {missing} of {wanted.total()} rollouts")
    return problems
