"""Measures per model and condition, contrasts between conditions, and differences between models, with intervals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from personadual.evaluation.bootstrap import Estimate, cluster_mean
from personadual.evaluation.columns import ALL, MODEL, in_order
from personadual.evaluation.measures import acc, measure_names
from personadual.schema import (
    ALIGNED,
    CONDITION,
    CONFLICTING,
    FREE,
    ITEM,
    NONE,
    PERSONAL,
    QUESTION_ID,
    UNALIGNED,
)

FACTUAL = "factual"
GROUPS: Mapping[str, Sequence[str]] = {PERSONAL: (PERSONAL,), FACTUAL: (NONE, UNALIGNED, ALIGNED, CONFLICTING)}
"""Questions whose answer lies in the persona, and questions about a fact that no persona changes."""


def summarise(values: pd.DataFrame, modes: list[str]) -> pd.DataFrame:
    """Long frame (model, condition, measure, value, low, high, n, clusters).

    ``condition`` is also each of ``GROUPS``, and ``ALL``, which pools every item.
    """
    found = []
    for model in pd.unique(values[MODEL]):
        of_model = values[values[MODEL] == model]
        for condition, part in _parts(of_model).items():
            for measure in measure_names(modes):
                estimate = cluster_mean(part[measure], part[QUESTION_ID])
                found.append({MODEL: model, CONDITION: condition, "measure": measure, **estimate._asdict()})
    return pd.DataFrame(found)


def contrasts(values: pd.DataFrame, modes: list[str]) -> pd.DataFrame:
    """What a persona does to accuracy, over the questions that stand under both conditions, each counted once.

        interference_c = acc(none) - acc(c),  c = unaligned, conflicting     (positive: the persona hurts)
        aligned_gain   = acc(aligned) - acc(none)                            (positive: the persona helps)

    Long frame as in ``summarise``, with ``asked_mode`` (free, or the mode that was forced).
    """
    pairs = {
        f"interference_{UNALIGNED}": (NONE, UNALIGNED),
        f"interference_{CONFLICTING}": (NONE, CONFLICTING),
        "aligned_gain": (ALIGNED, NONE),
    }
    found = []
    for model, (name, (plus, minus)) in itertools.product(pd.unique(values[MODEL]), pairs.items()):
        part = values[values[MODEL] == model]
        for asked_mode in (FREE, *modes):
            means = part.pivot_table(index=QUESTION_ID, columns=CONDITION, values=acc(asked_mode), aggfunc="mean")
            if plus not in means or minus not in means:
                continue
            difference = means[plus] - means[minus]
            estimate = cluster_mean(difference, difference.index)
            found.append({MODEL: model, "asked_mode": asked_mode, "measure": name, **estimate._asdict()})
    return pd.DataFrame(found)


def paired_differences(values: pd.DataFrame, before: str, after: str, measures: Sequence[str]) -> pd.DataFrame:
    """Mean over items of (value under ``after`` - value under ``before``), per condition and per group.

    Items are paired (a model's seeds are averaged first) and resampled by question, so what the two models share,
    such as a hard question, does not widen the interval. A negative difference of an error is an improvement.
    """
    found = []
    for measure in measures:
        sides = [values[values[MODEL] == model].groupby(ITEM)[measure].agg(_mean_of_all) for model in (before, after)]
        items = values.drop_duplicates(ITEM).set_index(ITEM)[[QUESTION_ID, CONDITION]]
        items["difference"] = sides[1] - sides[0]
        for condition, part in _parts(items).items():
            estimate = cluster_mean(part["difference"], part[QUESTION_ID])
            found.append({"before": before, "after": after, CONDITION: condition, "measure": measure})
            found[-1].update(estimate._asdict())
    return pd.DataFrame(found)


def _mean_of_all(seeds: pd.Series) -> float:
    return seeds.mean(skipna=False)


def _parts(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    parts = {name: frame[frame[CONDITION] == name] for name in in_order(frame[CONDITION])}
    groups = {name: frame[frame[CONDITION].isin(conditions)] for name, conditions in GROUPS.items()}
    return {**parts, **{name: part for name, part in groups.items() if len(part)}, ALL: frame}


def conditions_of(summary: pd.DataFrame) -> list[str]:
    """The conditions themselves, without groups."""
    return in_order(set(summary[CONDITION]) - {ALL, FACTUAL})


def lookup(summary: pd.DataFrame, **keys: Any) -> Estimate | None:
    """The estimate of the one row with these values, None where there is none or it rests on no item."""
    if not len(summary):
        return None
    hit = summary
    for name, value in keys.items():
        hit = hit[hit[name] == value]
    if not len(hit) or not hit.iloc[0]["n"]:
        return None
    return Estimate(*(hit.iloc[0][name] for name in Estimate._fields))
