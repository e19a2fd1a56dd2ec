"""What a section of the page is made of, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from personadual.evaluation.columns import MODEL
from personadual.evaluation.html.dots import DotPanel, Series, mode_kind
from personadual.evaluation.html.lines import CurvePanel
from personadual.evaluation.html.names import asked_name
from personadual.evaluation.html.tables import Table
from personadual.evaluation.summary import lookup
from personadual.schema import FREE

if TYPE_CHECKING:
    from personadual.evaluation.report import Report


@dataclass(frozen=True)
class Key:
    """An entry of a legend."""

    kind: str
    name: str


@dataclass
class Section:
    """``charts`` share the legend ``keys``."""

    id: str
    title: str
    text: str = ""
    chart_title: str = ""
    charts: Sequence[DotPanel | CurvePanel | None] = ()
    keys: Sequence[Key] = ()
    tables: Sequence[Table | None] = ()
    folded: Sequence[Table | None] = ()

    def __post_init__(self) -> None:
        self.charts = [chart for chart in self.charts if chart]
        self.tables = [table for table in self.tables if table]
        self.folded = [table for table in self.folded if table]

    def __bool__(self) -> bool:
        return bool(self.charts or self.tables or self.folded)


def models_of(report: Report) -> list[str]:
    return list(pd.unique(report.summary[MODEL]))


def asked_kinds(report: Report) -> dict[str, str]:
    """Asked modes, each with the kind of mark that shows it."""
    return {FREE: "free", **{mode: mode_kind(mode, report.modes) for mode in report.modes}}


def asked_keys(report: Report) -> list[Key]:
    return [Key(kind, asked_name(mode)) for mode, kind in asked_kinds(report).items()]


def asked_series(
    report: Report, frame: pd.DataFrame, keys: Mapping[str, Any], column: str, value: Callable[[str], str] = str
) -> list[Series]:
    """One series of dots per asked mode m: every model's estimate in ``frame`` at ``keys``, ``column`` = value(m)."""
    models = models_of(report)
    return [
        Series(kind, asked_name(mode), [lookup(frame, model=m, **keys, **{column: value(mode)}) for m in models])
        for mode, kind in asked_kinds(report).items()
    ]
