"""Figures of the measures: which mode is chosen where, and what it does to the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from personadual.evaluation.columns import MODEL
from personadual.evaluation.measures import ACC_FREE, acc, prob
from personadual.evaluation.style import COLOURS, GREY, MARKERS, literal, new_figure, save
from personadual.evaluation.summary import conditions_of, lookup
from personadual.schema import CONDITION, RIGHT_MODE

MODE_CHOICE, ACCURACY, TRAINING = "mode_choice.png", "accuracy.png", "training.png"


def plot_mode_choice(summary: pd.DataFrame, values: pd.DataFrame, modes: list[str], path: Path) -> Path:
    """P(second mode) per condition and model with intervals; a grey bar at 0 or 1 marks the right mode."""
    mode = modes[1]
    models, conditions = _axes_of(summary)
    figure, (axis,) = new_figure(height=3.8)
    for position, condition in enumerate(conditions):
        right = values[values[CONDITION] == condition][RIGHT_MODE].dropna()
        if len(right) and right.nunique() == 1:
            target = 1.0 if right.iloc[0] == mode else 0.0
            axis.plot([position - 0.4, position + 0.4], [target] * 2, color="#bbbbbb", linewidth=5, zorder=1)
    axis.plot([], [], color="#bbbbbb", linewidth=5, label="right mode")
    for index, model in enumerate(models):
        _points(axis, summary, model, conditions, prob(mode), _offset(index, len(models)), index, model)
    axis.set_ylabel(f"P({literal(mode)})")
    _finish(axis, conditions)
    figure.legend(loc="outside upper center", ncols=len(models) + 1, frameon=False, fontsize=10)
    return save(figure, path)


def plot_accuracy(summary: pd.DataFrame, modes: list[str], path: Path) -> Path:
    """Accuracy per condition, one panel per model: freely chosen mode beside each forced one, with intervals."""
    models, conditions = _axes_of(summary)
    figure, axes = new_figure(len(models), width=max(6.0, 3.6 * len(models)), height=3.8, share_y=True)
    series = [(ACC_FREE, "free choice"), *((acc(mode), f"forced {mode}") for mode in modes)]
    for axis, model in zip(axes, models, strict=True):
        for index, (measure, label) in enumerate(series):
            _points(axis, summary, model, conditions, measure, _offset(index, len(series)), index, label)
        axis.set_title(literal(model), fontsize=11)
        _finish(axis, conditions, turn=len(models) > 1)
    axes[0].set_ylabel("accuracy")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(series), frameon=False, fontsize=10)
    return save(figure, path)


def _axes_of(summary: pd.DataFrame) -> tuple[list[str], list[str]]:
    return list(pd.unique(summary[MODEL])), conditions_of(summary)


def _offset(index: int, count: int) -> float:
    return (index - (count - 1) / 2) * min(0.22, 0.7 / count)


def _points(
    axis: Any,
    summary: pd.DataFrame,
    model: str,
    conditions: list[str],
    measure: str,
    offset: float,
    style: int,
    label: str,
) -> None:
    """One marker with its interval per condition; an interval that does not exist is left out."""
    found = [lookup(summary, model=model, condition=condition, measure=measure) for condition in conditions]
    at = np.array([position + offset for position, estimate in enumerate(found) if estimate])
    shown = [estimate for estimate in found if estimate]
    middle = np.array([estimate.value for estimate in shown])
    ends = np.array([[estimate.low, estimate.high] for estimate in shown]).reshape(-1, 2)
    reach = np.nan_to_num(np.abs(ends - middle[:, None])).T
    colour, marker = COLOURS[style % len(COLOURS)], MARKERS[style % len(MARKERS)]
    axis.errorbar(
        at,
        middle,
        yerr=reach,
        fmt=marker,
        color=colour,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.6,
        elinewidth=1.6,
        label=literal(label),
        zorder=3,
        clip_on=False,
    )


def _finish(axis: Any, conditions: list[str], turn: bool = False) -> None:
    rotation = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if turn else {}
    axis.set_xticks(range(len(conditions)), [literal(condition) for condition in conditions], **rotation)
    axis.set_xlim(-0.5, len(conditions) - 0.5)
    axis.set_ylim(-0.04, 1.04)
    axis.tick_params(axis="x", length=0, labelcolor="black")
    axis.spines["bottom"].set_color(GREY)
    axis.spines["left"].set_color(GREY)
