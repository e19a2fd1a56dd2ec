"""Failure signs: what went wrong in a run, as far as its own metrics tell.

Each sign is judged on the last quarter of the run's steps unless it says otherwise, on the values as logged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from personadual.evaluation.text import number
from personadual.metrics import TRAIN, VALIDATION
from personadual.monitor import series
from personadual.monitor.series import Curve, mode_names, pick, shown
from personadual.monitor.thresholds import (
    COLLAPSE,
    COLLAPSE_BELOW,
    CUT_ABOVE,
    FORMAT_ONLY,
    GAP_BELOW,
    INVALID,
    INVALID_ABOVE,
    LENGTHS,
    LOOK_NEXT,
    NO_CONTRAST,
    NO_REWARD,
    ROUNDING,
    UNTAGGED_ABOVE,
    UNTAUGHT,
    UNTAUGHT_INVALID,
    UNTAUGHT_PROBABILITY,
)


@dataclass(frozen=True)
class Sign:
    """``shows`` is None where the metrics to judge by are missing; ``metric`` then says which they are."""

    name: str
    shows: bool | None
    metric: str
    value: str

    @property
    def look_next(self) -> str:
        return LOOK_NEXT[self.name]


@dataclass(frozen=True)
class Judged:
    """A log with its curves."""

    log: pd.DataFrame
    curves: Sequence[Curve]
    format_weight: float = FORMAT_ONLY

    def pick(self, where: str, measure: str, mode: str = series.ALL) -> list[Curve]:
        return pick(self.curves, where, measure, mode)

    @property
    def modes(self) -> list[str]:
        return mode_names(self.curves)

    def values(self, curve: Curve) -> pd.Series:
        return self.log[curve.metric].dropna()

    def late(self, curve: Curve) -> float:
        """Mean over the last quarter of the run's steps; the last value where it has none there (validation)."""
        return self.late_mean(self.values(curve))

    def late_mean(self, values: pd.Series) -> float:
        first, last = self.log.index.min(), self.log.index.max()
        late = values[values.index >= last - (last - first) / 4]
        return float(late.mean() if len(late) else values.iloc[-1])

    def first(self, curve: Curve) -> float:
        return float(self.values(curve).iloc[0])


def judge(log: pd.DataFrame, curves: Sequence[Curve], format_weight: float = FORMAT_ONLY) -> list[Sign]:
    """Every sign, in the order in which to look: each makes those behind it likely.

    ``format_weight``: the reward of an answer's form alone.
    """
    run = Judged(log, curves, format_weight)
    return [check(run) for check in CHECKS]


def _untaught(run: Judged) -> Sign:
    invalid = run.pick(VALIDATION, series.SHARE_INVALID)
    found = []
    if invalid:
        share = sum(map(run.first, invalid)) / len(invalid)
        value = f"{number(share)} of the first validation's free answers have no tag"
        found.append(Sign(UNTAUGHT, share > UNTAUGHT_INVALID, _every(invalid), value))
    tags = _tag_probability(run, Judged.first)
    if tags is not None:
        value = f"the tags hold {number(tags)} of the deciding token's probability at the first step"
        metric = f"{TRAIN}/*/{series.PROB}_*/mean"
        found.append(Sign(UNTAUGHT, tags < UNTAUGHT_PROBABILITY, metric, value))
    if not found:
        return _unknown(UNTAUGHT, "share_invalid, prob_*")
    return next((sign for sign in found if sign.shows), found[0])


def _invalid(run: Judged) -> Sign:
    curves = [*run.pick(VALIDATION, series.SHARE_INVALID), *run.pick(TRAIN, series.SHARE_INVALID)]
    worst = max(curves, key=run.late, default=None)
    if worst is not None and (worst.where == VALIDATION or run.late(worst) > 0):
        value = f"{number(run.late(worst))} of the answers in {shown(worst.source)}"
        return Sign(INVALID, run.late(worst) > INVALID_ABOVE, worst.metric, value)
    # Rollouts are forced and nothing was validated: no sample could have been invalid.
    tags = _tag_probability(run, Judged.late)
    if tags is None:
        return _unknown(INVALID, "share_invalid")
    value = f"no free answer logged; the tags leave {number(max(0.0, 1 - tags))} of the probability"
    return Sign(INVALID, 1 - tags > UNTAGGED_ABOVE, f"{TRAIN}/*/{series.PROB}_*/mean", value)


def _no_reward(run: Judged) -> Sign:
    best: dict[str, tuple[float, str]] = {}
    for mode in run.modes:
        for curve in run.pick(TRAIN, series.REWARD, mode):
            best[curve.source] = max(best.get(curve.source, (-1.0, "")), (float(run.values(curve).max()), curve.metric))
    if not best:
        return _unknown(NO_REWARD, "reward_*")
    never_right = _never_right(run)
    without = [s for s, (value, _) in best.items() if value <= run.format_weight + ROUNDING or s in never_right]
    if not without:
        source = min(best, key=lambda key: best[key][0])
        return Sign(NO_REWARD, False, best[source][1], f"reaches {number(best[source][0])} in {shown(source)}")
    where = "every source" if len(without) == len(best) else ", ".join(map(shown, without))
    highest = max(best[source][0] for source in without)
    value = f"no mode above {number(highest)} at any step in {where}; "
    if highest > run.format_weight + ROUNDING:
        value += "no answer of any validation was right there"
    else:
        value += f"the format alone gives {number(run.format_weight)}"
    return Sign(NO_REWARD, True, best[without[0]][1], value)


def _never_right(run: Judged) -> set[str]:
    """Sources whose validation answers, free and forced, were all wrong at every step; a source not validated is not
    among them. Rewards alone can't say it where the format's weight was configured and not named here.
    """
    accuracies = run.pick(VALIDATION, series.ACC_FREE)
    for mode in run.modes:
        accuracies = accuracies + run.pick(VALIDATION, series.ACC_FORCED, mode)
    right = {curve.source for curve in accuracies if run.values(curve).max() > 0}
    return {curve.source for curve in accuracies} - right


def _no_contrast(run: Judged) -> Sign:
    gaps = run.pick(TRAIN, series.GAP)
    if not gaps:
        return _unknown(NO_CONTRAST, series.GAP)
    widest = max(gaps, key=run.late)
    value = f"the widest gap between modes is {number(run.late(widest))}, in {shown(widest.source)}"
    return Sign(NO_CONTRAST, run.late(widest) < GAP_BELOW, widest.metric, value)


def _collapse(run: Judged) -> Sign:
    for where, measure in ((TRAIN, series.PROB), (VALIDATION, series.SHARE)):
        highest = {mode: max(curves, key=run.late) for mode in run.modes if (curves := run.pick(where, measure, mode))}
        if len(highest) > 1:
            break
    else:
        return _unknown(COLLAPSE, "prob_*")
    lost = [mode for mode, curve in highest.items() if run.late(curve) < COLLAPSE_BELOW]
    least = min(highest, key=lambda mode: run.late(highest[mode]))
    value = f"{least} has {number(run.late(highest[least]))} in {shown(highest[least].source)}, its highest"
    if len(lost) == len(highest):  # not one mode instead of another, but none
        return Sign(COLLAPSE, False, highest[least].metric, f"{value}; no mode has more")
    return Sign(COLLAPSE, bool(lost), highest[least].metric, value)


SCORES = (series.LOWEST_SCORE, series.MEAN_SCORE, series.HIGHEST_SCORE)


def _cut_off(run: Judged) -> Sign:
    found = {
        measure: curves[0]
        for measure in (series.AT_LONGEST, series.LONGEST, series.LENGTH, *SCORES)
        if (curves := run.pick(TRAIN, measure))
    }
    if series.AT_LONGEST not in found or series.LONGEST not in found:
        return _unknown(LENGTHS, "response_length/*")
    # The limit is not logged. Responses are taken as cut off where they are as long as any of the run's, and where
    # some response got no reward at all: one that is cut off has no answer block, and so not even the format's.
    longest = run.values(found[series.LONGEST])
    # Only steps that have it all: the log of a killed run ends inside one, and a score that is no number is left out.
    whole = pd.DataFrame({name: run.values(curve) for name, curve in found.items() if name != series.LENGTH}).dropna()
    if whole.empty:
        return _unknown(LENGTHS, "response_length/* and critic/score/* of one step")
    cut = whole[series.AT_LONGEST].where(whole[series.LONGEST] == longest.max(), 0.0)
    if series.LOWEST_SCORE in found:
        cut = cut.where(whole[series.LOWEST_SCORE] <= 0, 0.0)
    if series.MEAN_SCORE in found and series.HIGHEST_SCORE in found:
        # Nor can more have no reward than the mean leaves room for: 1 - mean / highest of them, at most.
        mean, highest = whole[series.MEAN_SCORE], whole[series.HIGHEST_SCORE]
        room = (1 - mean / highest).where(highest > 0, 1.0)
        cut = cut.where(cut < room, room)
    share = run.late_mean(cut)
    value = f"{number(share)} of the responses look cut off, at {longest.max():.0f} tokens"
    if series.LENGTH in found:
        length = found[series.LENGTH]
        value += f"; mean length {run.first(length):.0f} at first, {run.late(length):.0f} at last"
    return Sign(LENGTHS, share > CUT_ABOVE, found[series.AT_LONGEST].metric, value)


CHECKS: tuple[Callable[[Judged], Sign], ...] = (_untaught, _invalid, _no_reward, _no_contrast, _collapse, _cut_off)


def _tag_probability(run: Judged, at: Callable[[Judged, Curve], float]) -> float | None:
    """Sum over the modes of the deciding token's probability, mean over the sources; None where it is not logged."""
    sums: dict[str, float] = {}
    for mode in run.modes:
        for curve in run.pick(TRAIN, series.PROB, mode):
            sums[curve.source] = sums.get(curve.source, 0.0) + at(run, curve)
    return sum(sums.values()) / len(sums) if sums else None


def _every(curves: Sequence[Curve]) -> str:
    """One metric's name for all sources."""
    return curves[0].metric if len(curves) == 1 else f"{curves[0].where}/*/{curves[0].measure}/mean"


def _unknown(name: str, metric: str) -> Sign:
    return Sign(name, None, metric, "not logged")
