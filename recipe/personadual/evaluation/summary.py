"""Means of the measures per model and condition, per data source, and per training seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from personadual.evaluation.bootstrap import Estimate, draw, estimates
from personadual.evaluation.columns import ALL, MODEL, in_order
from personadual.evaluation.grid import Grid
from personadual.evaluation.measures import (
    ACC_FREE,
    GREEDY_ERROR,
    HYBRID,
    REGRET,
    SELECTION_ERROR,
    TAG_VALIDITY,
    acc,
    measure_names,
)
from personadual.schema import (
    ALIGNED,
    CONDITION,
    CONFLICTING,
    DERIVED_CONDITIONS,
    NONE,
    ORDERS_PREFIX,
    PERSONAL,
    SOURCE,
    UNALIGNED,
)

MEASURE, SEEDS = "measure", "seeds"
FACTUAL = "factual"
GROUPS: Mapping[str, Sequence[str]] = {PERSONAL: (PERSONAL,), FACTUAL: (NONE, UNALIGNED, ALIGNED, CONFLICTING)}
"""Questions whose answer lies in the persona, and questions about a fact that no persona changes."""


def is_derived(condition: str) -> bool:
    """Whether ``eval`` made the condition's items out of others; they are in no group and not in ``ALL``."""
    return condition in DERIVED_CONDITIONS or condition.startswith(ORDERS_PREFIX)


def main_measures(modes: Sequence[str]) -> list[str]:
    """What the choice and the answers come down to: compared between models, and shown per seed."""
    return [SELECTION_ERROR, GREEDY_ERROR, TAG_VALIDITY, ACC_FREE, HYBRID, REGRET]


def groups_of(grid: Grid) -> dict[str, np.ndarray]:
    """The items, as a mask, of each group that has any, and of ``ALL``: every item of a condition of the data's own."""
    own = [name for name in in_order(grid.items[CONDITION]) if not is_derived(name)]
    groups = {name: grid.conditions(*conditions) for name, conditions in GROUPS.items()}
    found = {name: mask for name, mask in groups.items() if mask.any()}
    return found | ({ALL: grid.conditions(*own)} if own else {})


def conditions_in(grid: Grid) -> dict[str, np.ndarray]:
    """The items of each condition, as a mask, in reading order, derived conditions last."""
    names = sorted(in_order(grid.items[CONDITION]), key=is_derived)
    return {name: grid.conditions(name) for name in names}


def summarise(grid: Grid, modes: list[str]) -> pd.DataFrame:
    """Long frame (model, condition, measure, value, low, high, n, clusters, seeds).

    ``condition`` is also each of ``GROUPS``, and ``ALL``. Values of several seeds are averaged.
    """
    return long_frame(_means(grid, conditions_in(grid) | groups_of(grid), measure_names(modes), CONDITION))


def by_source(grid: Grid, modes: list[str]) -> pd.DataFrame:
    """Accuracies and selection error per data source and condition, with ``ALL`` conditions of the source.

    Long frame as ``summarise``'s with ``source``; empty if there is one source.
    """
    own = groups_of(grid).get(ALL, np.zeros(len(grid.items), dtype=bool))
    names = list(pd.unique(grid.items[SOURCE][own]))
    measures = [SELECTION_ERROR, ACC_FREE, *(acc(mode) for mode in modes)]
    found = []
    for source in names if len(names) > 1 else []:
        inside = own & (grid.items[SOURCE] == source).to_numpy()
        parts = {name: mask & inside for name, mask in conditions_in(grid).items()} | {ALL: inside}
        rows = _means(grid, {name: mask for name, mask in parts.items() if mask.any()}, measures, CONDITION)
        found += [{SOURCE: source, **row} for row in rows]
    return long_frame(found)


def seed_spread(grid: Grid, modes: list[str]) -> pd.DataFrame:
    """How far a model's training runs lie apart: long frame (model, condition, measure, seeds, mean, sd, min, max).

    Of each seed the mean over the items; then over the seeds mean, standard deviation (n - 1), smallest, largest.
    For models with two seeds or more; empty if there are none.
    """
    found = []
    measures = [*main_measures(modes), *(acc(mode) for mode in modes)]
    for model, seeds in grid.seeds.items():
        for condition, mask in (conditions_in(grid) | groups_of(grid)).items() if len(seeds) > 1 else ():
            values = grid.of(model, measures)[:, mask]
            present = ~np.isnan(values)
            with np.errstate(invalid="ignore"):
                means = np.where(present, values, 0.0).sum(1) / present.sum(1)
            for measure, column in zip(measures, means.T, strict=True):
                column = column[~np.isnan(column)]
                if len(column) > 1:
                    spread = {"mean": column.mean(), "sd": column.std(ddof=1), "min": column.min(), "max": column.max()}
                    key = {MODEL: model, CONDITION: condition, MEASURE: measure}
                    found.append({**key, SEEDS: len(column), **{name: float(x) for name, x in spread.items()}})
    return long_frame(found)


def _means(grid: Grid, scopes: Mapping[str, np.ndarray], measures: Sequence[str], column: str) -> list[dict[str, Any]]:
    found = []
    for model in grid.values:
        values = grid.of(model, measures)
        for name, mask in scopes.items():
            shown = estimates(draw(values[:, mask], grid.questions[mask]))
            for measure, estimate in zip(measures, shown, strict=True):
                found.append({MODEL: model, column: name, MEASURE: measure, **estimate._asdict()})
    return found


def conditions_of(summary: pd.DataFrame) -> list[str]:
    """The conditions themselves, without groups."""
    return sorted(in_order(set(summary[CONDITION]) - {ALL, FACTUAL}), key=is_derived)


def lookup(summary: pd.DataFrame, **keys: Any) -> Estimate | None:
    """The estimate of the one row with these values, None where there is none or it rests on no item.

    Of a frame of comparisons, the difference with its interval.
    """
    if not len(summary):
        return None
    hit = np.ones(len(summary), dtype=bool)
    for name, wanted in keys.items():
        hit &= summary[name].to_numpy() == wanted
    place = np.flatnonzero(hit)
    if not len(place) or not summary["n"].to_numpy()[place[0]]:
        return None
    value = "value" if "value" in summary else "difference"
    return Estimate(*(summary[name].to_numpy()[place[0]].item() for name in (value, *Estimate._fields[1:])))


def long_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """``rows`` as a frame whose texts are Python strings: ``lookup`` compares them twice as fast as pandas' own."""
    frame = pd.DataFrame(rows)
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.astype({name: object for name in texts})
