"""Training curves: small panels over the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from personadual.evaluation.html.axes import FOOT, RIGHT, TOP, WIDTH, Axis, Tick, nice_ticks, tick_text

CURVE_LEFT, CURVE_HEIGHT = 48, 150
SERIES, POINTS = 8, 300  # most curves of a panel and points of a curve
LARGEST = 1e30  # larger values are not drawn: beside one of them nothing else could be seen


@dataclass
class Curve:
    label: str
    points: str


@dataclass
class CurvePanel:
    """Curves over the training steps."""

    title: str
    description: str
    curves: list[Curve]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    left_out: int = 0
    subtitle: str = ""
    height: float = CURVE_HEIGHT
    left: float = CURVE_LEFT
    right: float = WIDTH - RIGHT
    bottom: float = CURVE_HEIGHT - FOOT


def curve_panel(title: str, series: dict[str, pd.Series], unit: bool = False) -> CurvePanel | None:
    """Training curves of one panel; values that are no numbers are left out. ``unit``: the axis is 0 to 1."""
    lines = {}
    for name, line in series.items():
        points = [
            (float(step), float(value)) for step, value in zip(line.index, line, strict=True) if abs(value) < LARGEST
        ]
        if points:
            stride = math.ceil(len(points) / POINTS)
            # The last point twice, so that a curve of one point is drawn, as a dot.
            lines[name] = [*points[:-1:stride], points[-1], points[-1]]
    if not lines:
        return None
    every = [point for points in lines.values() for point in points]
    steps, values = [step for step, _ in every], [value for _, value in every]
    low, high = (0.0, 1.0) if unit else (min(values), max(values))
    flat = high - low <= 1e-9 * abs(high)
    margin = 0.0 if unit else abs(high) * 0.1 or 0.1 if flat else (high - low) * 0.06
    y_axis = Axis(low - margin, high + margin, CURVE_HEIGHT - FOOT, TOP)
    x_axis = Axis(min(steps), max(max(steps), min(steps) + 1), CURVE_LEFT)
    curves = [
        Curve(name, " ".join(f"{x_axis.at(step)},{y_axis.at(value)}" for step, value in points))
        for name, points in list(lines.items())[:SERIES]
    ]
    whole_steps = [step for step in nice_ticks(x_axis.low, x_axis.high, 6) if step == int(step)]
    return CurvePanel(
        title,
        f"{title} over training steps {min(steps):g} to {max(steps):g}; first and last values in the table.",
        curves,
        [Tick(x_axis.at(step), tick_text(step) if step < 1000 else f"{step:g}") for step in whole_steps],
        [Tick(y_axis.at(value), tick_text(value)) for value in nice_ticks(y_axis.low, y_axis.high, 4)],
        len(lines) - len(curves),
    )
