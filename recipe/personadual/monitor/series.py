"""Which curve a metric's name means: where it was measured, of which data source, what, and of which mode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from personadual.metrics import TRAIN, VALIDATION, metric_label
from personadual.schema import INVALID, QUICKSTART_SOURCE_PREFIX

ALL = ""
"""Source of a curve over all rows, and mode of one that is of no mode."""

SHARE, REWARD, WIN, PROB, ACC_FORCED = "share", "reward", "win", "prob", "acc_forced"
PER_MODE = (SHARE, REWARD, WIN, PROB, ACC_FORCED)
GAP, HYBRID, ACC_FREE, REGRET, SHARE_INVALID = "mode_gap", "hybrid_accuracy", "acc_free", "regret", "share_invalid"
PLAIN = (GAP, HYBRID, ACC_FREE, REGRET, SHARE_INVALID)
KL, LENGTH, LONGEST, AT_LONGEST = "kl", "length", "longest", "at_longest"
LOWEST_SCORE, MEAN_SCORE, HIGHEST_SCORE = "lowest_score", "mean_score", "highest_score"
# verl's own names. A run has the first where KL is a loss, the second where it is in the reward.
OF_VERL = {
    "actor/kl_loss": KL,
    "actor/reward_kl_penalty": KL,
    "response_length/mean": LENGTH,
    "response_length/max": LONGEST,
    # The share that is as long as the batch's longest (metric_utils.py:460), not as the configured limit.
    "response_length/clip_ratio": AT_LONGEST,
    "critic/score/min": LOWEST_SCORE,
    "critic/score/mean": MEAN_SCORE,
    "critic/score/max": HIGHEST_SCORE,
}


@dataclass(frozen=True)
class Curve:
    """``metric`` is the name in the log; ``source`` as ``metrics.metric_label`` writes it."""

    metric: str
    where: str
    source: str
    measure: str
    mode: str = ALL


def curve_of(metric: str) -> Curve | None:
    """None for a metric that is not drawn. A data source's name may hold slashes, a mode's can't."""
    if metric in OF_VERL:
        return Curve(metric, TRAIN, ALL, OF_VERL[metric])
    where, *middle = metric.split("/")
    if where not in (TRAIN, VALIDATION) or len(middle) < 2 or middle[-1] != "mean":
        return None
    # Training metrics carry the label already; a second time would put in no further dots.
    source, last = metric_label("/".join(middle[:-2])), middle[-2]
    if last in PLAIN:
        return Curve(metric, where, source, last)
    for measure in PER_MODE:
        if last.startswith(f"{measure}_") and last != f"{SHARE}_{INVALID}":
            return Curve(metric, where, source, measure, last.removeprefix(f"{measure}_"))
    return None


def curves_of(log: pd.DataFrame) -> list[Curve]:
    """The curves that have values, in the log's order."""
    found = (curve_of(str(name)) for name in log.columns if log[name].notna().any())
    return [curve for curve in found if curve is not None]


def pick(curves: Iterable[Curve], where: str, measure: str, mode: str = ALL) -> list[Curve]:
    """The curves of one measure, one per source; the one over all rows only where there is no other."""
    found = [curve for curve in curves if (curve.where, curve.measure, curve.mode) == (where, measure, mode)]
    return [curve for curve in found if curve.source != ALL] or found


def mode_names(curves: Iterable[Curve]) -> list[str]:
    return list(dict.fromkeys(curve.mode for curve in curves if curve.mode != ALL))


def shown(source: str) -> str:
    """A source as figures and tables write it."""
    return source.removeprefix(QUICKSTART_SOURCE_PREFIX) or "all"
