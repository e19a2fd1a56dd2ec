"""What a persona does to the answers, over the questions that stand under both conditions, each counted once.

With acc(c, m) the accuracy under condition c of answers asked for in m (free, or forced into a mode), and plain the
accuracy without a persona when forced into the plain mode, acc(none, plain mode):

    interference_c   acc(none, m) - acc(c, m), c = unaligned, conflicting, shuffled      (positive: the persona hurts)
    aligned_gain     acc(aligned, m) - acc(none, m)                                      (positive: the persona helps)
    kept_gain        (acc(aligned, free) - plain) / (acc(aligned, personalized mode) - plain): of what personalizing
                     adds to a plain answer, the share that the free answers keep. Both start from the same plain
                     accuracy, so it is 1 for a model that always personalizes aligned questions, however bad its
                     personalized answers are elsewhere. No value where the interval of what is divided by contains 0
    order_obeyed     share of free answers in the mode that the persona orders, minus the same share on the item without
                     the order: how far an order in the persona gets its way; n counts items here
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from personadual.evaluation.bootstrap import Draws, Estimate, draw, estimates
from personadual.evaluation.columns import BASE_ITEM, MODEL
from personadual.evaluation.grid import Grid
from personadual.evaluation.measures import acc, share
from personadual.evaluation.summary import long_frame
from personadual.schema import (
    ALIGNED,
    CONDITION,
    CONFLICTING,
    FREE,
    ITEM,
    NONE,
    ORDERS_PREFIX,
    SHUFFLED,
    UNALIGNED,
)

EFFECT = "effect"
INTERFERENCE, ALIGNED_GAIN, KEPT_GAIN, ORDER_OBEYED = "interference", "aligned_gain", "kept_gain", "order_obeyed"
NO_GAIN = "the interval of the gain to divide by contains 0"


def effects(grid: Grid, modes: list[str]) -> pd.DataFrame:
    """Long frame (model, effect, condition, mode, value, low, high, n, clusters, seeds, note); n counts questions."""
    asked = (FREE, *modes)
    contrasts = [(INTERFERENCE, condition, NONE, condition) for condition in (UNALIGNED, CONFLICTING, SHUFFLED)]
    contrasts.append((ALIGNED_GAIN, ALIGNED, ALIGNED, NONE))
    found = []
    for model in grid.values:
        accuracies = grid.of(model, [acc(mode) for mode in asked])
        means = {
            condition: grid.per_question(accuracies, grid.conditions(condition))
            for condition in (NONE, UNALIGNED, CONFLICTING, SHUFFLED, ALIGNED)
        }
        for effect, condition, plus, minus in contrasts:
            estimated = estimates(_of_questions(means[plus] - means[minus]))
            for mode, estimate in zip(asked, estimated, strict=True):
                found += effect_row(model, effect, condition, mode, estimate)
        found += _kept_gain(model, means[ALIGNED][:, :, [0, 2]], means[NONE][:, :, [1]])
        for mode in modes:
            found += _order_obeyed(grid, model, mode)
    return long_frame(found)


def _kept_gain(model: str, aligned: np.ndarray, plain: np.ndarray) -> list[dict[str, Any]]:
    """Of per-question accuracies: aligned, free and personalized (S, Q, 2); plain without a persona (S, Q, 1)."""
    gains = aligned - plain
    gains[np.isnan(gains).any(-1)] = np.nan
    found = _of_questions(gains)
    full = estimates(found)[1]
    if full.low > 0 or full.high < 0:
        return effect_row(model, KEPT_GAIN, ALIGNED, FREE, estimates(_ratio(found))[0])
    nothing = full._replace(value=np.nan, low=np.nan, high=np.nan)
    return effect_row(model, KEPT_GAIN, ALIGNED, FREE, nothing, NO_GAIN)


def _ratio(found: Draws) -> Draws:
    """Of the first mean to the second; its interval may reach as far as its resamples do."""
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = found.draws[:, :1] / found.draws[:, 1:]
        value = found.value[:1] / found.value[1:]
    draws[~np.isfinite(draws)] = np.nan
    parts = [(variance[:1], freedom[:1]) for variance, freedom in found.parts]
    return Draws(value, draws, parts, np.array([[-np.inf], [np.inf]]), found.n[:1], found.clusters[:1], found.seeds[:1])


def ordered_items(grid: Grid, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Places in ``grid`` of the items whose persona orders ``mode``, and of their base items; (N,) int both."""
    ordered = np.flatnonzero(grid.conditions(ORDERS_PREFIX + mode))
    place = pd.Series(range(len(grid.items)), index=grid.items[ITEM])
    places = grid.items[BASE_ITEM].iloc[ordered].map(place).to_numpy(dtype=float)
    return ordered[~np.isnan(places)], places[~np.isnan(places)].astype(int)


def _order_obeyed(grid: Grid, model: str, mode: str) -> list[dict[str, Any]]:
    ordered, base = ordered_items(grid, mode)
    shares = grid.of(model, [share(mode)])
    found = draw(shares[:, ordered] - shares[:, base], grid.questions[ordered])
    return effect_row(model, ORDER_OBEYED, ORDERS_PREFIX + mode, mode, estimates(found)[0])


def _of_questions(values: np.ndarray) -> Draws:
    return draw(values, np.arange(values.shape[1]))


def effect_row(
    model: str, effect: str, condition: str, mode: str, estimate: Estimate, note: str | None = None
) -> list[dict[str, Any]]:
    """One row of the frame of ``effects``, or none if the estimate rests on nothing."""
    key = {MODEL: model, EFFECT: effect, CONDITION: condition, "mode": mode}
    return [{**key, **estimate._asdict(), "note": note}] if estimate.n else []
