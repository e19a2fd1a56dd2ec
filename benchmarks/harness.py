"""Side-by-side timing: what is compared runs in turn in one process, so that other work hits all alike."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from personadual.evaluation.fingerprint import machine, version_of

PACKAGES = ("personadual", "verl", "torch", "vllm", "ray", "transformers", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True)
class Seconds:
    """Of one call, over its repetitions."""

    low: float
    mid: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Seconds:
        return cls(min(values), median(values), max(values))


def in_turn(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Wall seconds of every call, ``repeats`` rounds of all of them after one that isn't counted."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number:
                took[name].append(time.perf_counter() - start)
    return took


def ratios(took: Mapping[str, Sequence[float]], of: str, to: str) -> Seconds:
    """Round by round, ``of`` over ``to``: what disturbs a whole round cancels out."""
    return Seconds.of([a / b for a, b in zip(took[of], took[to], strict=True)])


@dataclass(frozen=True)
class Row:
    """One line of a result: what was measured on how much work, and the ratio to what it is compared with.

    ``goal`` is the largest ratio that is good enough; None where there is no goal. ``unit`` is what ``seconds`` counts
    where that is not time.
    """

    what: str
    work: str
    seconds: Seconds
    against: str | None = None
    ratio: Seconds | None = None
    goal: float | None = None
    unit: str = "s"

    @property
    def met(self) -> bool | None:
        """Judged by the median."""
        return None if self.goal is None or self.ratio is None else self.ratio.mid <= self.goal


def surroundings() -> dict[str, Any]:
    """Machine, load and versions, for the reader of a result."""
    versions = [found for name in PACKAGES if (found := version_of(name))]
    return {**machine(), "load_before": os.getloadavg()[0], "python": platform.python_version(), "versions": versions}


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| what | work | median | min to max | against | ratio | min to max | goal |", "|" + " --- |" * 8]
    for row in rows:
        low, mid, high = (_amount(value, row.unit) for value in (row.seconds.low, row.seconds.mid, row.seconds.high))
        cells = [row.what, row.work, mid, f"{low} to {high}"]
        if row.ratio is None:
            cells += ["–"] * 4
        else:
            goal = "–" if row.goal is None else f"≤ {row.goal:g}: {'met' if row.met else 'missed'}"
            cells += [row.against or "", f"{row.ratio.mid:.2f}", f"{row.ratio.low:.2f} to {row.ratio.high:.2f}", goal]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [asdict(row) | {"met": row.met} for row in rows]


def _amount(value: float, unit: str) -> str:
    return _time(value) if unit == "s" else f"{value:,.0f} {unit}"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
