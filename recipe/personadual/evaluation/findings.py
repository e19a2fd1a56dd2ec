"""What the numbers show, in sentences made from the numbers alone."""

from __future__ import annotations

import pandas as pd

from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.columns import ALL, MODEL
from personadual.evaluation.measures import ACC_FREE, REGRET, SELECTION_ERROR, TAG_VALIDITY, acc, prob
from personadual.evaluation.summary import FACTUAL, conditions_of, lookup
from personadual.evaluation.text import estimate_text, foreign, number
from personadual.schema import PERSONAL

BETTER, WORSE, UNCLEAR = "better", "worse", "no clear difference"
CERTAIN = 0.01  # a mode less probable than this, or more than 1 - this, is as good as decided


def verdict(difference: Estimate, lower_is_better: bool) -> str:
    """Better or worse if the interval leaves out 0; without an interval nothing is claimed."""
    if not (difference.low > 0 or difference.high < 0):
        return UNCLEAR
    return BETTER if (difference.high < 0) == lower_is_better else WORSE


def compared_measures(modes: list[str]) -> dict[str, tuple[str, bool]]:
    """Measures whose difference between two models is told: their name in a sentence, and if lower is better."""
    found = {
        SELECTION_ERROR: ("expected selection error", True),
        TAG_VALIDITY: ("tag validity of free answers", False),
        ACC_FREE: ("accuracy of the free answers", False),
        REGRET: ("regret to the better mode", True),
    }
    return {**found, **{acc(mode): (f"accuracy when forced into {mode}", False) for mode in modes}}


def what_it_shows(summary: pd.DataFrame, differences: pd.DataFrame, modes: list[str]) -> list[str]:
    """One sentence per finding about the last pair of models; without a pair, the levels of the only one."""
    if not len(differences):
        return [_level(summary, model) for model in pd.unique(summary[MODEL])]
    before, after = differences.iloc[-1][["before", "after"]]
    pair = differences[(differences["before"] == before) & (differences["after"] == after)]
    told = []
    for scope in (PERSONAL, FACTUAL, ALL):
        for measure, (words, lower) in compared_measures(modes).items():
            if scope != ALL and measure != SELECTION_ERROR:
                continue
            difference = lookup(pair, condition=scope, measure=measure)
            old = lookup(summary, model=before, condition=scope, measure=measure)
            new = lookup(summary, model=after, condition=scope, measure=measure)
            if difference and old and new:
                where = "all items" if scope == ALL else f"{scope} questions"
                told.append(
                    f"**{where}, {words}**: {number(old.value)} with {foreign(before)}, {number(new.value)} with "
                    f"{foreign(after)}; difference {estimate_text(difference, signed=True)} "
                    f"(n = {difference.n} items, {difference.clusters} questions): {verdict(difference, lower)}."
                )
    told += _by_condition(summary, pair, modes)
    return told + _certainty(summary, after, modes[1])


def _level(summary: pd.DataFrame, model: str) -> str:
    error = lookup(summary, model=model, condition=ALL, measure=SELECTION_ERROR)
    shown = f"{estimate_text(error)} (n = {error.n} items)" if error else "unknown: no item has a right mode"
    return f"Expected selection error of {foreign(model)} over all items: {shown}. There is no second model to compare."


def _by_condition(summary: pd.DataFrame, pair: pd.DataFrame, modes: list[str]) -> list[str]:
    """Where something got worse, and conditions whose selection error can't be told apart."""
    told = []
    for measure, (words, lower) in compared_measures(modes).items():
        sorted_out: dict[str, list[str]] = {BETTER: [], WORSE: [], UNCLEAR: []}
        for condition in conditions_of(summary):
            if difference := lookup(pair, condition=condition, measure=measure):
                text = f"{foreign(condition)} ({estimate_text(difference, signed=True)})"
                sorted_out[verdict(difference, lower)].append(text)
        if sorted_out[WORSE]:
            told.append(f"**Worse, {words}**: {', '.join(sorted_out[WORSE])}.")
        if measure == SELECTION_ERROR and sorted_out[UNCLEAR]:
            told.append(f"No clear difference in {words}: {', '.join(sorted_out[UNCLEAR])}.")
    return told


def _certainty(summary: pd.DataFrame, model: str, mode: str) -> list[str]:
    """Whether the choice has become certain, and whether it is the same everywhere."""
    means = {c: lookup(summary, model=model, condition=c, measure=prob(mode)) for c in conditions_of(summary)}
    values = {condition: estimate.value for condition, estimate in means.items() if estimate}
    certain = [foreign(c) for c, value in values.items() if value < CERTAIN or value > 1 - CERTAIN]
    told = []
    if certain:
        told.append(
            f"P({mode}) of {foreign(model)} is below {CERTAIN} or above {1 - CERTAIN} in {', '.join(certain)}: "
            "the choice there is as good as fixed, and free sampling would hardly explore the other mode."
        )
    if len(values) > 1 and (min(values.values()) > 0.9 or max(values.values()) < 0.1):
        told.append(
            f"**P({mode}) of {foreign(model)} is about the same in every condition** ({number(min(values.values()))} "
            f"to {number(max(values.values()))}): it has not learnt to choose."
        )
    return told
