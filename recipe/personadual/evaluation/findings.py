"""What the numbers show, in sentences made from the numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.columns import ALL, MODEL
from personadual.evaluation.comparisons import NEW, OLD
from personadual.evaluation.measures import (
    ACC_FREE,
    GREEDY_ERROR,
    HYBRID,
    REGRET,
    SELECTION_ERROR,
    TAG_VALIDITY,
    acc,
    prob,
)
from personadual.evaluation.summary import FACTUAL, MEASURE, conditions_of, lookup
from personadual.evaluation.text import estimate_text, foreign, number, p_text, seeds_text
from personadual.schema import CONDITION, PERSONAL, RIGHT_MODE

BETTER, WORSE, UNCLEAR = "better", "worse", "no clear difference"
CERTAIN = 0.01  # a mode less probable than this, or more than 1 - this, is as good as decided
SIGNIFICANT = 0.05  # of the corrected p


def outcome(difference: Estimate, p_adjusted: float, lower_is_better: bool) -> str:
    """Better or worse if the interval leaves out 0 and the corrected p is small; without either nothing is claimed."""
    if not (difference.low > 0 or difference.high < 0) or not p_adjusted < SIGNIFICANT:
        return UNCLEAR
    return BETTER if (difference.high < 0) == lower_is_better else WORSE


def compared_measures(modes: list[str]) -> dict[str, tuple[str, bool]]:
    """Measures whose difference between two models is told: their name in a sentence, and if lower is better."""
    found = {
        SELECTION_ERROR: ("expected selection error", True),
        GREEDY_ERROR: ("greedy selection error", True),
        TAG_VALIDITY: ("tag validity of free answers", False),
        ACC_FREE: ("accuracy of the free answers", False),
        HYBRID: ("Hybrid Accuracy", False),
        REGRET: ("regret to the better mode", True),
    }
    return {**found, **{acc(mode): (f"accuracy when forced into {mode}", False) for mode in modes}}


def what_it_shows(
    summary: pd.DataFrame, values: pd.DataFrame, comparisons: pd.DataFrame, checks: pd.DataFrame, modes: list[str]
) -> list[str]:
    """One sentence per finding about the last pair of models, and about other pairs what is clear; without a pair, the
    levels of each model.

    ``values``: of the items (``measures.item_values``).
    """
    if not len(comparisons):
        models = pd.unique(summary[MODEL])
        alone = "There is no second model to compare."
        apart = "Nothing could be compared: no item has answers of every run of two models."
        return [f"{_level(summary, model)} {alone if len(models) == 1 else apart}" for model in models]
    both = pd.concat([comparisons, checks], ignore_index=True)
    records: list[dict[Any, Any]] = both.to_dict("records")
    rows: dict[Any, dict[Any, Mapping[str, Any]]] = {}
    for row in records:
        rows.setdefault((row[OLD], row[NEW]), {})[row[MEASURE], row[CONDITION]] = row
    *others, last = dict.fromkeys(comparisons[[OLD, NEW]].itertuples(index=False, name=None))
    told = []
    for old, new in others:
        found = _by_outcome(rows[old, new], modes, (ALL,))
        told += [text for kind in (BETTER, WORSE) for _, text in found[kind]]
        if found[UNCLEAR]:
            unclear = ", ".join(name for name, _ in found[UNCLEAR])
            told.append(f"No clear difference between {foreign(old)} and {foreign(new)}, all items: {unclear}.")
    pair = rows[last]
    told += [text for texts in _by_outcome(pair, modes, (PERSONAL, FACTUAL, ALL)).values() for _, text in texts]
    told += _by_condition(summary, pair, modes)
    return told + _certainty(summary, values, last[1], modes[1])


def _by_outcome(
    pair: Mapping[Any, Mapping[str, Any]], modes: list[str], scopes: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    """(name of a measure, sentence about it) by what came out."""
    told: dict[str, list[tuple[str, str]]] = {BETTER: [], WORSE: [], UNCLEAR: []}
    for scope in scopes:
        for measure, (words, lower) in compared_measures(modes).items():
            if (scope != ALL and measure != SELECTION_ERROR) or (measure, scope) not in pair:
                continue
            row = pair[measure, scope]
            difference = _estimate(row)
            kind = outcome(difference, row["p_adjusted"], lower)
            where = "all items" if scope == ALL else f"{scope} questions"
            text = (
                f"**{where}, {words}**: {number(row['old_value'])} with {foreign(row[OLD])}, "
                f"{number(row['new_value'])} with {foreign(row[NEW])}; "
                f"difference {estimate_text(difference, signed=True)} "
                f"(n = {difference.n} items, {difference.clusters} questions, {seeds_text(difference.seeds)}; "
                f"corrected {p_text(row['p_adjusted'])}): {kind}."
            )
            told[kind].append((words, text))
    return told


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(row["difference"], row["low"], row["high"], row["n"], row["clusters"], row["seeds"])


def _level(summary: pd.DataFrame, model: str) -> str:
    error = lookup(summary, model=model, condition=ALL, measure=SELECTION_ERROR)
    shown = f"{estimate_text(error)} (n = {error.n} items)" if error else "unknown: no item has a right mode"
    return f"Expected selection error of {foreign(model)} over all items: {shown}."


def _by_condition(summary: pd.DataFrame, pair: Mapping[Any, Mapping[str, Any]], modes: list[str]) -> list[str]:
    """Where something got worse, and conditions whose selection error can't be told apart."""
    told = []
    for measure, (words, lower) in compared_measures(modes).items():
        sorted_out: dict[str, list[str]] = {BETTER: [], WORSE: [], UNCLEAR: []}
        for condition in conditions_of(summary):
            if (measure, condition) in pair:
                row = pair[measure, condition]
                text = f"{foreign(condition)} ({estimate_text(_estimate(row), signed=True)})"
                sorted_out[outcome(_estimate(row), row["p_adjusted"], lower)].append(text)
        if sorted_out[WORSE]:
            told.append(f"**Worse, {words}**: {', '.join(sorted_out[WORSE])}.")
        if measure == SELECTION_ERROR and sorted_out[UNCLEAR]:
            told.append(f"No clear difference in {words}: {', '.join(sorted_out[UNCLEAR])}.")
    return told


def _certainty(summary: pd.DataFrame, values: pd.DataFrame, model: str, mode: str) -> list[str]:
    """Whether the choice has become certain, and whether it is the same whichever mode is right."""
    means = {c: lookup(summary, model=model, condition=c, measure=prob(mode)) for c in conditions_of(summary)}
    chances = {condition: estimate.value for condition, estimate in means.items() if estimate}
    certain = [foreign(c) for c, value in chances.items() if value < CERTAIN or value > 1 - CERTAIN]
    told = []
    if certain:
        told.append(
            f"P({mode}) of {foreign(model)} is below {CERTAIN} or above {1 - CERTAIN} in {', '.join(certain)}: "
            "the choice there is as good as fixed, and free sampling would hardly explore the other mode."
        )
    right = values.groupby(CONDITION)[RIGHT_MODE].agg(["nunique", "first"])
    single = right["first"][right["nunique"] == 1]
    known = [chance for condition, chance in chances.items() if condition in single]
    # Where one mode is right everywhere, always taking it is to choose well.
    to_choose = single[single.index.isin(list(chances))].nunique() > 1
    if to_choose and (min(known) > 0.9 or max(known) < 0.1):
        side = "above 0.9" if min(known) > 0.9 else "below 0.1"
        told.append(
            f"**P({mode}) of {foreign(model)} is {side} in every condition with a right mode, whichever it is** "
            f"({number(min(known))} to {number(max(known))}): it has not learnt to choose."
        )
    return told
