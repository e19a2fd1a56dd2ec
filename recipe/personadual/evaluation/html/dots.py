"""Charts of dots with intervals: small panels with one row per model and one lane per kind of answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.html.axes import FOOT, LEFT, TOP, Axis, Tick, tick_text
from personadual.evaluation.text import estimate_text, visible

LANE, GAP = 13, 9
CHARACTER, LABEL_CHARACTERS = 6.4, 18  # about the width of one, and the most of a label
KINDS = 6  # colours and shapes of modes in page.css; a seventh mode looks like the first


def mode_kind(mode: str, modes: Sequence[str]) -> str:
    """The look of a mode on the page, the same in charts and badges."""
    return f"m{list(modes).index(mode) % KINDS}" if mode in modes else "none"


@dataclass
class Series:
    """What a row of dots shows: a kind (its colour and shape), a name, and one estimate per row."""

    kind: str
    name: str
    estimates: Sequence[Estimate | None]


@dataclass(frozen=True)
class Dot:
    """A value at ``x`` on lane ``y``, its interval from ``low`` to ``high`` (None without one)."""

    kind: str
    x: float
    y: float
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True)
class Row:
    label: str
    full_label: str
    y: float


@dataclass
class DotPanel:
    """Rows of dots over one axis. ``target``: x of a value to be reached; ``zero``: x of 0 inside the axis."""

    title: str
    subtitle: str
    description: str
    rows: list[Row]
    dots: list[Dot]
    ticks: list[Tick]
    height: float
    zero: float | None = None
    target: float | None = None
    left: float = LEFT


def shortened(label: str) -> str:
    """At most ``LABEL_CHARACTERS``: labels of one experiment often differ only at their ends, so the middle goes."""
    label = visible(label)
    if len(label) <= LABEL_CHARACTERS:
        return label
    half = LABEL_CHARACTERS // 2
    return f"{label[: LABEL_CHARACTERS - half - 1]}…{label[-half:]}"


def dot_panel(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    axis: Axis,
    subtitle: str = "",
    target: float | None = None,
) -> DotPanel | None:
    """One row per label, one lane per series; None if nothing has a value."""
    step = LANE * len(series) + GAP
    axis = replace(axis, start=min(LEFT, 22 + CHARACTER * max(len(shortened(label)) for label in labels)))
    rows, dots = [], []
    for index, label in enumerate(labels):
        middle = TOP + GAP / 2 + index * step + (step - GAP) / 2
        rows.append(Row(shortened(label), label, round(middle, 1)))
        for lane, one in enumerate(series):
            estimate = one.estimates[index]
            if estimate is None or not math.isfinite(estimate.value):
                continue
            y = round(middle + (lane - (len(series) - 1) / 2) * LANE, 1)
            has_interval = math.isfinite(estimate.low) and math.isfinite(estimate.high)
            low, high = (axis.at(estimate.low), axis.at(estimate.high)) if has_interval else (None, None)
            text = f"{label}, {one.name}: {estimate_text(estimate, signed=axis.low < 0)} (n = {estimate.n})"
            dots.append(Dot(one.kind, axis.at(estimate.value), y, low, high, text))
    if not dots:
        return None
    return DotPanel(
        title,
        subtitle,
        f"{', '.join(one.name for one in series)} of {len(labels)} models with 95 % intervals; values in the table.",
        rows,
        dots,
        [Tick(axis.at(value), tick_text(value)) for value in axis.ticks],
        TOP + step * len(labels) + FOOT,
        axis.at(0.0) if axis.low < 0 < axis.high else None,
        None if target is None else axis.at(target),
        round(axis.start, 1),
    )
