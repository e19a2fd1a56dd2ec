"""Differences between two models on the same items, each with its interval, its test, and p corrected for many.

difference    mean over items of (value under ``new`` - value under ``old``); a negative one of an error is a gain
bootstrap     test and interval from resampled questions (``bootstrap.p_values``): what the models share, such as a
              hard question, does not widen them. Models with equally many training seeds are paired by seed, which
              is right whether or not the runs share a start; otherwise each model's seeds are drawn apart
mcnemar       exact test (McNemar 1947) for greedy choices, where every question stands once and each model has one
              seed: with b items right under ``old`` alone and c under ``new`` alone, two-sided binomial with
              b + c trials and probability 1/2. Items of one question are not independent trials, nor are seeds:
              there the bootstrap tests
p_adjusted    by Holm (1979, the probability of any false finding) or Benjamini and Hochberg (1995, the share of
              false findings), over all comparisons of the same family
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from personadual.evaluation.bootstrap import Draws, draw, estimates, p_values
from personadual.evaluation.columns import ALL
from personadual.evaluation.grid import Grid
from personadual.evaluation.measures import BOTH_TAGS, GREEDY_ERROR, TRUNCATED, acc, tokens
from personadual.evaluation.summary import MEASURE, conditions_in, groups_of, is_derived, long_frame, main_measures
from personadual.schema import CONDITION, FREE

OLD, NEW, FAMILY = "old", "new", "family"
GROUPED, CONDITIONS = "groups", "conditions"
BOOTSTRAP, MCNEMAR = "bootstrap", "mcnemar"
CORRECTIONS = {"holm": "holm", "bh": "fdr_bh"}
"""Our names of the corrections and those of statsmodels."""


def comparisons(grid: Grid, pairs: Sequence[tuple[str, str]], modes: Sequence[str], correction: str) -> pd.DataFrame:
    """The main measures between the models of each pair (old, new).

    Long frame (old, new, measure, condition, old_value, new_value, difference, low, high, n, clusters, seeds, test, p,
    p_adjusted, family); ``old_value`` and ``new_value`` over the items that both models answered. ``family``:
    "groups", over which the claims are made, and "conditions", the details; each is corrected by itself.
    """
    single = {name: mask for name, mask in conditions_in(grid).items() if not is_derived(name)}
    grouped = {name: mask for name, mask in groups_of(grid).items()}
    parts = [
        _compare(grid, pairs, main_measures(modes), scopes).assign(**{FAMILY: family})
        for family, scopes in (
            (GROUPED, grouped),
            (CONDITIONS, {name: mask for name, mask in single.items() if name not in grouped}),
        )
    ]
    return _corrected(parts, correction)


def checks(grid: Grid, pairs: Sequence[tuple[str, str]], modes: Sequence[str], correction: str) -> pd.DataFrame:
    """What training may have spoilt or gamed, over all items, as a frame like ``comparisons``'s.

    Accuracy forced into each mode, lengths in tokens, share of answers with the tags of two modes, share cut off.
    """
    asked = (FREE, *modes)
    measures = [*(acc(mode) for mode in modes), *(tokens(mode) for mode in asked), BOTH_TAGS, TRUNCATED]
    scopes = {name: mask for name, mask in groups_of(grid).items() if name == ALL}
    return _corrected([_compare(grid, pairs, measures, scopes).assign(**{FAMILY: "checks"})], correction)


def _compare(
    grid: Grid, pairs: Sequence[tuple[str, str]], measures: Sequence[str], scopes: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    found: list[dict[str, Any]] = []
    for old, new in pairs:
        for condition, mask in scopes.items():
            questions = grid.questions[mask]
            sides = _complete(grid.of(old, measures)[:, mask], grid.of(new, measures)[:, mask])
            drawn = _difference(*sides, questions)
            tested = zip(measures, estimates(drawn), p_values(drawn), strict=True)
            for k, (measure, estimate, p) in enumerate(tested):
                if not estimate.n:
                    continue
                before, after = (side[:, :, k] for side in sides)
                exact = measure == GREEDY_ERROR and estimate.n == estimate.clusters and len(before) == len(after) == 1
                levels = {"old_value": np.nanmean(before), "new_value": np.nanmean(after)}
                numbers = estimate._asdict()
                found.append(
                    {
                        **{OLD: old, NEW: new, MEASURE: measure, CONDITION: condition, **levels},
                        **{"difference": numbers.pop("value"), **numbers},
                        "test": MCNEMAR if exact else BOOTSTRAP,
                        "p": mcnemar_p(before[0], after[0]) if exact else p,
                    }
                )
    return long_frame(found)


def _complete(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, I, M) of each model, without the items of which either lacks a value under any of its seeds."""
    missing = np.isnan(old).any(0) | np.isnan(new).any(0)
    return np.where(missing, np.nan, old), np.where(missing, np.nan, new)


def _difference(old: np.ndarray, new: np.ndarray, questions: np.ndarray) -> Draws:
    if len(old) == len(new):
        return draw(new - old, questions)
    return draw(new, questions) - draw(old, questions)


def mcnemar_p(old: np.ndarray, new: np.ndarray) -> float:
    """Exact two-sided p of paired errors, 0 or 1; NaN takes no part. Values between count as an error from 1/2 on."""
    from statsmodels.stats.contingency_tables import mcnemar

    kept = ~np.isnan(old) & ~np.isnan(new)
    wrong, still = old[kept] >= 0.5, new[kept] >= 0.5
    table = [[int((~wrong & ~still).sum()), int((~wrong & still).sum())]]
    table.append([int((wrong & ~still).sum()), int((wrong & still).sum())])
    return float(min(mcnemar(table, exact=True).pvalue, 1.0)) if table[0][1] + table[1][0] else 1.0


def _corrected(parts: Sequence[pd.DataFrame], correction: str) -> pd.DataFrame:
    """``parts`` joined, each a family with its corrected p."""
    found = [part.assign(p_adjusted=adjusted(part["p"], correction)) for part in parts if len(part)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def adjusted(p: Any, correction: str) -> np.ndarray:
    """p corrected over the whole family; NaN, a comparison without a test, takes no part.

    Raises:
        ValueError: an unknown correction.
    """
    from statsmodels.stats.multitest import multipletests

    if correction not in CORRECTIONS:
        raise ValueError(f"correction {correction!r} does not exist; it is one of {', '.join(CORRECTIONS)}")
    p = np.asarray(p, dtype=float)
    found, tested = np.full(len(p), np.nan), ~np.isnan(p)
    if tested.any():
        found[tested] = multipletests(p[tested], method=CORRECTIONS[correction])[1]
    return found
