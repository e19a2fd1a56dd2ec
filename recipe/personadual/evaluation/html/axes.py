"""Axes of the page's charts: where a value lies, and which round values get a tick.

Charts are drawn as SVG by ``charts.jinja`` rather than by matplotlib, so that text stays text in the reader's font,
colours follow the reader's light or dark scheme, and nothing needs the style attributes that the page's policy forbids.
Coordinates are user units of an SVG ``WIDTH`` wide, rounded to a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from personadual.evaluation.bootstrap import Estimate

WIDTH, RIGHT, TOP, FOOT = 360, 14, 6, 24
LEFT = 136  # most room for the names of rows


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass
class Axis:
    """A range of values and where it lies on the page."""

    low: float
    high: float
    start: float = LEFT
    end: float = WIDTH - RIGHT
    ticks: list[float] = field(default_factory=list)

    def at(self, value: float) -> float:
        span = self.high - self.low
        share = (min(max(value, self.low), self.high) - self.low) / span if span > 0 else 0.5
        return round(self.start + share * (self.end - self.start), 1)


UNIT_AXIS = Axis(0.0, 1.0, ticks=[0.0, 0.25, 0.5, 0.75, 1.0])


def signed_axis(estimates: Iterable[Estimate | None]) -> Axis:
    """An axis with 0 in it that holds every interval."""
    ends = [end for e in estimates if e for end in (e.value, e.low, e.high) if math.isfinite(end)]
    low, high = min([-0.1, *ends]), max([0.1, *ends])
    ticks = nice_ticks(low, high, 5)
    return Axis(min(low, ticks[0]), max(high, ticks[-1]), ticks=ticks)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round values inside [low, high], at least two."""
    span = high - low
    if not span > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10, 20) if power * factor * most >= span)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * index, 12) + 0.0 for index in range(first, last + 1)]


def tick_text(value: float) -> str:
    return f"{value:.3g}".replace("-", "−").replace("e+0", "e").replace("e−0", "e−")
