"""One value per item for every measure. A measure of a condition is the mean of its items' values (``summary``).

For one item, with the model's free answer and its answer forced into each mode m:

    acc_free, acc_m     accuracy of the answer chosen freely / forced into m, greedy decoding
    tag_validity        1 if the free answer starts with a mode's tag, else 0; an invalid answer counts in no mode
    share_m             1 if the free answer is in m
    prob_m              P(m) = exp(tag_logprob_m): the probability that the model, sampling at temperature 1, writes
                        m's prefix token for token
    choice_m            P(m) / sum_k P(k): the choice between the modes, given that a valid tag is written
    selection_error     1 - P(right mode): expected mode-selection error
    choice_error        1 - choice of the right mode: the same, given a valid tag
    greedy_error        1 if the free answer is not in the right mode (an invalid one is not)
    hybrid              1 if the freely chosen mode is one of the most accurate, acc_chosen = max_m acc_m; an invalid
                        answer is 0 even where all modes tie. Its mean is the Hybrid Accuracy
    regret              max_m acc_m - acc_free: accuracy that a perfect choice of mode would add
    truncated           1 if the length limit ended the free answer

A value is NaN, and left out of every mean, where it does not exist: no right mode is known, or an answer is missing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from personadual.evaluation.columns import MODE, MODEL, SEED, TAG_LOGPROB, TRUNCATED
from personadual.schema import ACC, ASKED_MODE, CONDITION, DATA_SOURCE, FREE, INVALID, ITEM, QUESTION_ID, RIGHT_MODE

KEY = [MODEL, SEED, ITEM]
TAG_VALIDITY, SELECTION_ERROR, CHOICE_ERROR = "tag_validity", "selection_error", "choice_error"
GREEDY_ERROR, HYBRID, REGRET = "greedy_error", "hybrid", "regret"
ACC_FREE = f"acc_{FREE}"


def acc(mode: str) -> str:
    return f"acc_{mode}"


def share(mode: str) -> str:
    return f"share_{mode}"


def prob(mode: str) -> str:
    return f"prob_{mode}"


def choice(mode: str) -> str:
    return f"choice_{mode}"


def measure_names(modes: list[str]) -> list[str]:
    """Columns of ``item_values`` that hold a measure, in reading order."""
    per_mode = [name(mode) for name in (share, prob, choice) for mode in modes]
    accuracies = [ACC_FREE, *(acc(mode) for mode in modes)]
    return [
        TAG_VALIDITY,
        *per_mode,
        SELECTION_ERROR,
        CHOICE_ERROR,
        GREEDY_ERROR,
        *accuracies,
        HYBRID,
        REGRET,
        TRUNCATED,
    ]


def item_values(rows: pd.DataFrame, modes: list[str]) -> pd.DataFrame:
    """The measures of each (model, seed, item); formulae above."""
    keep = KEY + [QUESTION_ID, CONDITION, DATA_SOURCE, RIGHT_MODE]
    values = rows.drop_duplicates(KEY)[keep].set_index(KEY)
    free = rows[rows[ASKED_MODE] == FREE].set_index(KEY).reindex(values.index)
    answered = free[MODE].notna()
    values[TAG_VALIDITY] = (free[MODE] != INVALID).where(answered).astype(float)
    values[ACC_FREE] = free[ACC].astype(float)
    values[TRUNCATED] = free[TRUNCATED].astype(float)
    for mode in modes:
        forced = rows[rows[ASKED_MODE] == mode].set_index(KEY).reindex(values.index)
        values[acc(mode)] = forced[ACC].astype(float)
        values[prob(mode)] = np.exp(forced[TAG_LOGPROB].astype(float))
        values[choice(mode)] = forced[TAG_LOGPROB].astype(float)
        values[share(mode)] = (free[MODE] == mode).where(answered).astype(float)
    choices = [choice(mode) for mode in modes]
    values[choices] = _softmax(values[choices].to_numpy())

    values[SELECTION_ERROR] = 1 - _of_mode(values, values[RIGHT_MODE], prob, modes)
    values[CHOICE_ERROR] = 1 - _of_mode(values, values[RIGHT_MODE], choice, modes)
    values[GREEDY_ERROR] = 1 - _of_mode(values, values[RIGHT_MODE], share, modes)
    # max(skipna=False): without all the forced answers the best mode is not known.
    best = values[[acc(mode) for mode in modes]].max(axis=1, skipna=False)
    chosen = _of_mode(values, free[MODE], acc, modes)
    values[HYBRID] = (chosen == best).where(answered & best.notna()).astype(float)
    values[REGRET] = best - values[ACC_FREE]
    return values.reset_index()


def _softmax(logprobs: np.ndarray) -> np.ndarray:
    """Row-wise exp(x) / sum exp(x), NaN where a mode's log-prob is missing; exact even where all P underflow."""
    shifted = np.exp(logprobs - logprobs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _of_mode(values: pd.DataFrame, mode: pd.Series, column, modes: list[str]) -> pd.Series:  # type: ignore[no-untyped-def]
    """Of each row the value in ``column(its mode)``; NaN where ``mode`` names none of the modes."""
    found = pd.Series(np.nan, index=values.index)
    for name in modes:
        found = found.mask(mode == name, values[column(name)])
    return found
