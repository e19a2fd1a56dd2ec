"""Tables of the page: a value with its interval per cell, sortable by value; conditions always in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.columns import ALL, MODEL
from personadual.evaluation.summary import FACTUAL, conditions_of, is_derived, lookup
from personadual.evaluation.text import number
from personadual.schema import CONDITION


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a smaller second line, and what it is sorted by (its text where ``sort`` is None)."""

    text: str
    detail: str = ""
    sort: float | None = None
    numeric: bool = False


@dataclass(frozen=True)
class Head:
    """A column's head; ``numeric`` columns are set flush right, an ``edge`` has a line on its left."""

    text: str
    detail: str = ""
    numeric: bool = False
    edge: bool = False


@dataclass(frozen=True)
class Table:
    """``labels`` leading cells of each row are its heads; the first one stays in view. ``wide``: with long texts."""

    caption: str
    head: Sequence[Head]
    rows: Sequence[Sequence[Cell]]
    labels: int = 1
    note: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Line:
    """A row to look up: what it is called, and the keys of its estimates."""

    labels: Sequence[str]
    keys: Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column to look up in ``frame``; a line stands where ``block`` changes."""

    text: str
    frame: pd.DataFrame
    keys: Mapping[str, Any]
    block: int = 0
    signed: bool = False


def estimate_cell(estimate: Estimate | None, signed: bool = False, with_n: bool = False) -> Cell:
    """A mean with its interval below; – where there is none."""
    if estimate is None or estimate.value != estimate.value:
        return Cell("–", numeric=True)
    has_interval = estimate.low == estimate.low
    detail = f"[{number(estimate.low, signed)}, {number(estimate.high, signed)}]" if has_interval else ""
    if with_n:
        detail = f"{detail} n = {estimate.n}".strip()
    return Cell(number(estimate.value, signed), detail, round(float(estimate.value), 9), True)


def look_up(
    caption: str, heads: Sequence[str], lines: Sequence[Line], columns: Sequence[Column], note: str = ""
) -> Table | None:
    """The estimates at every (line, column); lines and columns without any are left out, None if all are.

    n stands in the column's head if it is the same in every row, in the cells otherwise.
    """
    found = [[lookup(column.frame, **line.keys, **column.keys) for column in columns] for line in lines]
    shown = [(line, row) for line, row in zip(lines, found, strict=True) if any(row)]
    kept = [index for index in range(len(columns)) if any(row[index] for _, row in shown)]
    if not shown or not kept:
        return None
    sizes = {index: {estimate.n for _, row in shown if (estimate := row[index])} for index in kept}
    head, block = [Head(text) for text in heads], columns[kept[0]].block
    for index in kept:
        column = columns[index]
        detail = f"n = {min(sizes[index])}" if len(sizes[index]) == 1 else "n differs"
        head.append(Head(column.text, detail, True, column.block != block))
        block = column.block
    rows = []
    for line, row in shown:
        cells = [estimate_cell(row[index], columns[index].signed, len(sizes[index]) > 1) for index in kept]
        rows.append([*map(Cell, line.labels), *cells])
    return Table(caption, head, rows, len(heads), note)


def condition_columns(frame: pd.DataFrame) -> list[Column]:
    """The data's own conditions in their order, what pools them, and the conditions that were made of them."""
    names = conditions_of(frame)
    pools = [name for name in (FACTUAL, ALL) if name in set(frame[CONDITION])]
    blocks = [[name for name in names if not is_derived(name)], pools, [name for name in names if is_derived(name)]]
    return [Column(name, frame, {CONDITION: name}, block) for block, inside in enumerate(blocks) for name in inside]


def measure_table(summary: pd.DataFrame, measure: str, caption: str, note: str = "") -> Table | None:
    """One measure: models down, conditions across."""
    lines = [Line([model], {MODEL: model, "measure": measure}) for model in pd.unique(summary[MODEL])]
    return look_up(caption, ["model"], lines, condition_columns(summary), note)


def answers_table(summary: pd.DataFrame, measures: Mapping[str, str], caption: str) -> Table | None:
    """Several measures, each with what it is called: (model, name) down, conditions across."""
    lines = [
        Line([model, name], {MODEL: model, "measure": measure})
        for model in pd.unique(summary[MODEL])
        for measure, name in measures.items()
    ]
    return look_up(caption, ["model", "answer"], lines, condition_columns(summary))
