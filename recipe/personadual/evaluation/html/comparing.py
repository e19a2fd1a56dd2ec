"""Tables of differences between models, of the checks, and of training seeds, from the report's long frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from personadual.evaluation.columns import MODEL
from personadual.evaluation.comparisons import BOOTSTRAP, MCNEMAR, NEW, OLD
from personadual.evaluation.html.tables import Cell, Head, Table
from personadual.evaluation.summary import MEASURE, SEEDS
from personadual.evaluation.text import number, p_text
from personadual.schema import CONDITION

TESTS = {BOOTSTRAP: "bootstrap", MCNEMAR: "McNemar"}
TOKENS_FROM = 2.0  # values from here on are lengths, not shares


def comparison_table(frame: pd.DataFrame, caption: str, names: Mapping[str, str], note: str = "") -> Table | None:
    """One row per comparison, in the frame's order."""
    if not len(frame):
        return None
    head = [
        *(Head("models"), Head("measure"), Head("over")),
        *(Head(name, numeric=True) for name in ("old", "new")),
        Head("difference", "95 % interval", numeric=True),
        *(Head(name, numeric=True) for name in ("p", "p adjusted", "n", "questions", "seeds")),
        Head("test"),
    ]
    rows = [
        [
            *(Cell(f"{row[OLD]} → {row[NEW]}"), Cell(names.get(row[MEASURE], row[MEASURE])), Cell(row[CONDITION])),
            *(_value(row[name]) for name in ("old_value", "new_value")),
            _value(row["difference"], f"[{amount(row['low'], True)}, {amount(row['high'], True)}]", signed=True),
            *(p_cell(row[name]) for name in ("p", "p_adjusted")),
            *(_count(row[name]) for name in ("n", "clusters", SEEDS)),
            Cell(TESTS.get(row["test"], row["test"])),
        ]
        for row in frame.to_dict("records")
    ]
    return Table(caption, head, rows, note=note)


def spread_table(frame: pd.DataFrame, caption: str, names: Mapping[str, str]) -> Table | None:
    """How far the training seeds of each model lie apart: one row per model, condition and measure."""
    if not len(frame):
        return None
    numbers = {"mean": "mean", "sd": "standard deviation", "min": "smallest", "max": "largest"}
    head = [Head("model"), Head("measure"), Head("over"), Head("seeds", numeric=True)]
    head += [Head(name, numeric=True) for name in numbers.values()]
    rows = [
        [
            *(Cell(row[MODEL]), Cell(names.get(row[MEASURE], row[MEASURE])), Cell(row[CONDITION]), _count(row[SEEDS])),
            *(_value(row[name]) for name in numbers),
        ]
        for row in frame.to_dict("records")
    ]
    return Table(caption, head, rows)


def amount(value: float, signed: bool = False) -> str:
    """A share with two decimals; a length in tokens, which is larger, with one."""
    if not abs(value) >= TOKENS_FROM:
        return number(value, signed)
    sign = "−" if value < 0 else "+" if signed else ""
    return f"{sign}{abs(value):.1f}"


def p_cell(p: float) -> Cell:
    """As ``text.p_text`` has it, without its p."""
    if p != p:
        return Cell("–", numeric=True)
    return Cell(p_text(p).removeprefix("p").removeprefix(" ="), sort=float(p), numeric=True)


def _value(value: float, detail: str = "", signed: bool = False) -> Cell:
    if value != value:
        return Cell("–", numeric=True)
    return Cell(amount(value, signed), detail if "–" not in detail else "", round(float(value), 9), True)


def _count(value: Any) -> Cell:
    return Cell(f"{int(value):,}", sort=float(value), numeric=True)


def notes_of(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Why some cells have no value, each reason once."""
    if "note" not in frame:
        return ""
    reasons = pd.unique(frame[frame["effect"].isin(columns)]["note"].dropna())
    return "".join(f"–: {reason}. " for reason in reasons).strip()
