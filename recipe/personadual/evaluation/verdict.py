"""The falsification test: does a model that may personalize fall below a plain one on objective questions?

What would settle the paper's claim is a set of objective questions on which a model that chooses its mode does worse
than a plain, non-personalized baseline. Per question q whose right mode is the plain one:

    loss_q = acc_free(q, with an unaligned or conflicting persona) - plain(q, without a persona)

and the loss is its mean over the questions that have both. With a margin m, in accuracy:

    falsified        the whole interval of the loss lies below -m
    not falsified    the whole interval lies above -m
    undecided        neither; or fewer than ``MIN_QUESTIONS`` questions; or a plain accuracy of m or less, which leaves
                     nothing to lose

plain(q) is the free accuracy of a baseline model where one is named. Otherwise it is the model's own accuracy on q when
forced into the plain mode: the same weights without persona and choice, so that the loss is theirs alone. A first model
in a report is often an untrained one, whose accuracy no model falls below; as a silent default it would make the test
easy to pass. What training did to all modes alike, the own baseline can't show: name a baseline for that.

The interval is the bootstrap's over the questions and two more, one won outright and one lost (Bonett and Price 2012
add the same to a paired difference of proportions). Without them a handful of questions that all agree has an
interval without width, and would decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from personadual.evaluation.bootstrap import Draws, Estimate, draw, estimates
from personadual.evaluation.columns import MODEL
from personadual.evaluation.effects import effect_row
from personadual.evaluation.grid import Grid
from personadual.evaluation.measures import ACC_FREE, acc, acc_as, share
from personadual.evaluation.summary import long_frame
from personadual.evaluation.text import estimate_text, foreign, number, seeds_text
from personadual.schema import CONFLICTING, NONE, RIGHT_MODE, UNALIGNED

FALSIFIED, NOT_FALSIFIED, UNDECIDED = "falsified", "not falsified", "undecided"
MARGIN, MIN_QUESTIONS = 0.02, 20
OBJECTIVE = "objective"  # unaligned and conflicting items whose right mode is the plain one
OVER_PERSONALIZATION_COST = "over_personalization_cost"


def verdicts(grid: Grid, modes: Sequence[str], baseline: str | None = None, margin: float = MARGIN) -> list[dict]:
    """One verdict a model: model, baseline (None: its own), verdict, margin, value, low, high, n (items), clusters
    (questions), seeds, accuracy, baseline_accuracy, sentence.

    Raises:
        ValueError: there is no model called ``baseline``, or the margin is no share of accuracy.
    """
    if baseline is not None and baseline not in grid.values:
        raise ValueError(f"baseline {baseline!r} is none of the models: {', '.join(grid.values)}")
    if not 0 <= margin < 1:
        raise ValueError(f"margin must be at least 0 and below 1, in accuracy; found {margin}")
    found = []
    for model in grid.values:
        answers, plain, items = _sides(grid, model, modes, baseline, [ACC_FREE])
        loss = _loss(answers, plain)
        estimate = widened(answers, plain)._replace(n=items)
        told = {"accuracy": _mean(answers), "baseline_accuracy": _mean(plain)}
        named = judge(estimate, margin, told["baseline_accuracy"])
        entry = {MODEL: model, "baseline": baseline, "verdict": named, "margin": margin}
        found.append({**entry, **estimate._replace(value=float(loss.value[0]))._asdict(), **told})
        found[-1]["sentence"] = _sentence(found[-1], modes)
    return found


def judge(loss: Estimate, margin: float, plain: float) -> str:
    """The verdict on the interval of the loss, given the plain accuracy; see the head of this module."""
    if loss.clusters < MIN_QUESTIONS or plain <= margin:
        return UNDECIDED
    if loss.high < -margin:
        return FALSIFIED
    return NOT_FALSIFIED if loss.low > -margin else UNDECIDED


def over_personalization_cost(grid: Grid, modes: Sequence[str], baseline: str | None = None) -> pd.DataFrame:
    """Accuracy lost to personalized answers on the verdict's items, in the form of ``effects``.

        cost = mean over questions of  share_personalized * plain(q) - mean of acc * 1[the answer is personalized]

    the part of the loss that comes from answers in the personalized mode (positive: they cost accuracy).
    """
    found = []
    for model in grid.values:
        answers, plain, _ = _sides(grid, model, modes, baseline, [share(modes[1]), acc_as(modes[1])])
        shares, right = answers[:, :, :1], answers[:, :, 1:]
        if len(plain) != len(shares):
            plain = plain.mean(0, keepdims=True)
        estimate = estimates(draw(shares * plain - right, np.arange(right.shape[1])))[0]
        found += effect_row(model, OVER_PERSONALIZATION_COST, OBJECTIVE, modes[1], estimate)
    return long_frame(found)


def _sides(
    grid: Grid, model: str, modes: Sequence[str], baseline: str | None, measures: list[str]
) -> tuple[np.ndarray, np.ndarray, int]:
    """(S, Q, M) of the model's answers and (S', Q, 1) of the plain baseline, both NaN but on the questions that have
    both, and the number of the model's items behind them."""
    general = (grid.items[RIGHT_MODE] == modes[0]).to_numpy()
    objective = grid.conditions(UNALIGNED, CONFLICTING) & general
    own = grid.of(model, measures)
    answers = grid.per_question(own, objective)
    side = grid.of(model, [acc(modes[0])]) if baseline is None else grid.of(baseline, [ACC_FREE])
    plain = grid.per_question(side, grid.conditions(NONE))
    missing = np.isnan(answers).any((0, 2)) | np.isnan(plain).any((0, 2))
    answers[:, missing], plain[:, missing] = np.nan, np.nan
    answered = (~np.isnan(own)).any((0, 2))
    return answers, plain, int((objective & answered & ~missing[grid.questions]).sum())


def _loss(answers: np.ndarray, plain: np.ndarray) -> Draws:
    questions = np.arange(answers.shape[1])
    if len(answers) == len(plain):
        return draw(answers - plain, questions)
    return draw(answers, questions) - draw(plain, questions)


def widened(answers: np.ndarray, plain: np.ndarray) -> Estimate:
    """The loss over (S, Q, 1) accuracies and two questions more, one won and one lost; ``clusters`` without them."""

    def more(side: np.ndarray, values: list[float]) -> np.ndarray:
        added = np.broadcast_to(np.reshape(values, (1, 2, 1)), (len(side), 2, 1))
        return np.concatenate([side, added], axis=1)

    estimate = estimates(_loss(more(answers, [1.0, 0.0]), more(plain, [0.0, 1.0])))[0]
    return estimate._replace(clusters=estimate.clusters - 2, n=estimate.n - 2)


def _mean(values: np.ndarray) -> float:
    present = ~np.isnan(values)
    return float(values[present].mean()) if present.any() else np.nan


def _sentence(found: dict[str, Any], modes: Sequence[str]) -> str:
    """The verdict with its numbers; text that is safe in Markdown and in HTML."""
    name, margin = foreign(found[MODEL]), number(found["margin"])
    if not found["clusters"]:
        return (
            f"{name}: {UNDECIDED}. No question stands both without a persona and with an unaligned or conflicting one, "
            "with answers to both."
        )
    own = f"its own answers forced into {foreign(modes[0])}"
    plain = own if found["baseline"] is None else f"the free answers of {foreign(found['baseline'])}"
    loss = Estimate(*(found[name] for name in ("value", "low", "high", "n", "clusters")))
    reason = {
        FALSIFIED: f"the interval lies below the margin of −{margin}",
        NOT_FALSIFIED: f"the interval lies above the margin of −{margin}",
        UNDECIDED: f"the interval reaches across the margin of −{margin}",
    }[found["verdict"]]
    if found["clusters"] < MIN_QUESTIONS:
        reason = f"{MIN_QUESTIONS} questions are needed"
    elif found["baseline_accuracy"] <= found["margin"]:
        reason = "the baseline has no accuracy to fall below"
    return (
        f"{name}: {found['verdict']}. With an unaligned or conflicting persona its free answers to objective questions "
        f"have accuracy {number(found['accuracy'])}; {plain}, without a persona, {number(found['baseline_accuracy'])}: "
        f"{estimate_text(loss, signed=True)} (n = {found['n']} items, {found['clusters']} questions, "
        f"{seeds_text(found['seeds'])}); {reason}."
    )
