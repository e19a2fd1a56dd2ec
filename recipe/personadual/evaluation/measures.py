"""One value per item for every measure. A measure of a condition is the mean of its items' values (``summary``).

For one item of one training run, with its free answers and its answers forced into each mode m. Several samples of an
answer are averaged; where an item has greedy and sampled answers, the sampled ones are, and the greedy one counts in
``greedy_error`` alone. The first mode is the plain one, which disregards the persona; the second is the personalized.

    acc_free, acc_m     accuracy of the answers chosen freely / forced into m
    tag_validity        share of free answers that start with a mode's tag; the invalid rate is 1 - tag_validity, and
                        an invalid answer counts in no mode
    share_m             share of free answers in m
    prob_m              P(m) = exp(tag_logprob_m): the probability that the model, sampling at temperature 1, writes
                        m's prefix token for token
    choice_m            P(m) / sum_k P(k): the choice between the modes, given that a valid tag is written
    selection_error     1 - P(right mode): expected mode-selection error
    choice_error        1 - choice of the right mode: the same, given a valid tag
    greedy_error        1 if the greedy free answer is not in the right mode (an invalid one is not)
    over_personalized   share of free answers in the personalized mode, on objective items: those whose right mode is
                        the plain one. Its mean is the over-personalization rate
    hybrid              share of free answers whose mode is one of the most accurate, acc_m = max_k acc_k; an invalid
                        answer is 0 even where all modes tie. Its mean is the Hybrid Accuracy
    regret              max_m acc_m - acc_free: accuracy that a perfect choice of mode would add
    truncated           share of free answers ended by the length limit
    both_tags           share of free answers that contain the tags of two modes, wherever they stand
    tokens_free, _m     length of the free answers / of those forced into m, in tokens, prefix and end token included

A value is NaN, and left out of every mean, where it does not exist: no right mode is known, or an answer is missing.
With few samples max_m acc_m is the maximum of noisy means: it lies too high, and regret with it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from personadual.evaluation.columns import (
    BASE_ITEM,
    MODE,
    MODEL,
    N_TOKENS,
    RESPONSE,
    SEED,
    TAG_LOGPROB,
    TEMPERATURE,
    TRUNCATED,
)
from personadual.schema import (
    ACC,
    ASKED_MODE,
    CONDITION,
    DATA_SOURCE,
    FREE,
    INVALID,
    ITEM,
    QUESTION_ID,
    RIGHT_MODE,
    SOURCE,
)

KEY = [MODEL, SEED, ITEM]
DESCRIBED = [QUESTION_ID, CONDITION, DATA_SOURCE, SOURCE, RIGHT_MODE, BASE_ITEM]
TAG_VALIDITY, SELECTION_ERROR, CHOICE_ERROR = "tag_validity", "selection_error", "choice_error"
GREEDY_ERROR, OVER_PERSONALIZED, HYBRID, REGRET = "greedy_error", "over_personalized", "hybrid", "regret"
BOTH_TAGS = "both_tags"
ACC_FREE = f"acc_{FREE}"
SAME = 1e-9  # accuracies that differ by less are equal


def acc(mode: str) -> str:
    return f"acc_{mode}"


def share(mode: str) -> str:
    return f"share_{mode}"


def prob(mode: str) -> str:
    return f"prob_{mode}"


def choice(mode: str) -> str:
    return f"choice_{mode}"


def tokens(asked_mode: str) -> str:
    return f"tokens_{asked_mode}"


def acc_as(mode: str) -> str:
    """Column beside the measures: mean over the free answers of acc * 1[the answer is in ``mode``]."""
    return f"acc_as_{mode}"


def measure_names(modes: list[str]) -> list[str]:
    """Columns of ``item_values`` that hold a measure, in reading order."""
    per_mode = [name(mode) for name in (share, prob, choice) for mode in modes]
    errors = [SELECTION_ERROR, CHOICE_ERROR, GREEDY_ERROR, OVER_PERSONALIZED]
    accuracies = [ACC_FREE, *(acc(mode) for mode in modes), HYBRID, REGRET]
    lengths = [tokens(FREE), *(tokens(mode) for mode in modes)]
    return [TAG_VALIDITY, *per_mode, *errors, *accuracies, TRUNCATED, BOTH_TAGS, *lengths]


def item_values(rows: pd.DataFrame, modes: list[str]) -> pd.DataFrame:
    """The measures of each (model, seed, item); formulae above. ``SOURCE`` falls back on ``DATA_SOURCE``."""
    rows = rows.reset_index(drop=True)
    values = rows.drop_duplicates(KEY)[[*KEY, *DESCRIBED]].set_index(KEY)
    values[SOURCE] = values[SOURCE].fillna(values[DATA_SOURCE])
    temperature, free = rows[TEMPERATURE].astype(float), rows[ASKED_MODE] == FREE
    answers = _free_answers(rows[free], modes, tags_of(rows, modes))
    means = _mean_per_item(answers, _measured(rows[free], temperature[free]))
    values = values.join(means)
    greedy = _mean_per_item(answers[[share(mode) for mode in modes]], temperature[free] == 0).reindex(values.index)
    for mode in modes:
        part = rows[rows[ASKED_MODE] == mode]
        forced = part[KEY].assign(**{acc(mode): part[ACC].astype(float), tokens(mode): part[N_TOKENS].astype(float)})
        values = values.join(_mean_per_item(forced.set_index(KEY), _measured(part, temperature[part.index])))
        # The tag's probability is the prompt's, not an answer's: whichever rows have it.
        logprob = part[KEY].assign(**{choice(mode): part[TAG_LOGPROB].astype(float)}).set_index(KEY)
        values = values.join(_mean_per_item(logprob, logprob[choice(mode)].notna()))
        values[prob(mode)] = np.exp(values[choice(mode)])
    choices = [choice(mode) for mode in modes]
    values[choices] = _softmax(values[choices].to_numpy())

    right = values[RIGHT_MODE]
    values[SELECTION_ERROR] = 1 - _of_mode(values, right, prob, modes)
    values[CHOICE_ERROR] = 1 - _of_mode(values, right, choice, modes)
    values[GREEDY_ERROR] = 1 - _of_mode(greedy, right, share, modes)
    values[OVER_PERSONALIZED] = values[share(modes[1])].where(right == modes[0])
    # max(skipna=False): without all the forced answers the best mode is not known.
    best = values[[acc(mode) for mode in modes]].max(axis=1, skipna=False)
    in_best = [values[share(mode)].where(values[acc(mode)] >= best - SAME, 0.0) for mode in modes]
    values[HYBRID] = sum(in_best).where(values[TAG_VALIDITY].notna() & best.notna())  # type: ignore[union-attr]
    values[REGRET] = best - values[ACC_FREE]
    return values.reset_index()


def _free_answers(rows: pd.DataFrame, modes: list[str], tags: list[str]) -> pd.DataFrame:
    """What is averaged of the free answers, one row each, indexed by item."""
    found = rows[KEY].assign(
        **{
            TAG_VALIDITY: (rows[MODE] != INVALID).astype(float),
            ACC_FREE: rows[ACC].astype(float),
            TRUNCATED: rows[TRUNCATED].astype(float),
            tokens(FREE): rows[N_TOKENS].astype(float),
        }
    )
    for mode in modes:
        inside = rows[MODE] == mode
        found[share(mode)] = inside.astype(float)
        found[acc_as(mode)] = rows[ACC].astype(float).where(inside, 0.0)
    counts = sum(rows[RESPONSE].str.contains(tag, regex=False).astype(int) for tag in tags)
    found[BOTH_TAGS] = (counts > 1).astype(float) if tags else np.nan  # type: ignore[union-attr]
    return found.set_index(KEY)


def tags_of(rows: pd.DataFrame, modes: list[str]) -> list[str]:
    """The modes' tags, read off the answers: an answer in a mode has the tag as its first line (``modes.parse_mode``).

    Empty where some mode has no answer, or the lines don't tell the modes apart (rows that were not written by eval).
    """
    firsts = rows.drop_duplicates(MODE).set_index(MODE)[RESPONSE]
    found = [firsts[mode].split("\n", 1)[0] for mode in modes if mode in firsts]
    return found if all(found) and len(set(found)) == len(modes) else []


def _measured(rows: pd.DataFrame, temperature: pd.Series) -> pd.Series:
    """Whether a row is averaged: the sampled answers of an item where it has any, else the greedy ones."""
    sampled = temperature > 0
    if not sampled.any():
        return ~sampled
    return sampled == sampled.groupby([rows[name] for name in [*KEY, ASKED_MODE]]).transform("any")


def _mean_per_item(answers: pd.DataFrame, kept: pd.Series) -> pd.DataFrame:
    """Mean of each column over the ``kept`` rows of each item."""
    return answers[kept.to_numpy()].groupby(level=KEY, sort=False).mean()


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
