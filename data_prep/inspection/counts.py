"""Counts and lengths of one file, row by row, in memory that the number of rows hardly touches."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from personadual import schema
from personadual.data_prep.columns import MODE
from personadual.data_prep.validation.columns import RL
from personadual.evaluation.text import plain_table

MAX_VALUES = 200
"""Values of one column that are told apart; a column with more is no label."""
OTHER = "(other)"
BAR = 40
BINS = 10


@dataclass
class Counts:
    """Rows by source, condition and split, by mode, and by length (characters, or tokens with a tokenizer)."""

    kind: str
    groups: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    modes: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: array[int] = field(default_factory=lambda: array("I"))
    responses: array[int] = field(default_factory=lambda: array("I"))

    def add(self, row: Mapping[str, Any], mode: str | None) -> None:
        """``mode`` is the mode shown (SFT) or asked for (RL); None for a response without a tag."""
        info = (row.get(schema.EXTRA_INFO) or {}) if self.kind == RL else row
        source = row.get(schema.DATA_SOURCE) if self.kind == RL else "-"
        group = (_label(source), _label(info.get(schema.CONDITION)), _label(info.get(schema.SPLIT)))
        self.groups[group if group in self.groups or len(self.groups) < MAX_VALUES else (OTHER, OTHER, OTHER)] += 1
        named = _label(mode if mode is not None else schema.INVALID)
        self.modes[(named, _label(row.get(MODE) if self.kind != RL else info.get(schema.RIGHT_MODE)))] += 1

    def table(self) -> str:
        """Source × condition against split."""
        splits = sorted({split for _, _, split in self.groups})
        rows = []
        for source, condition in sorted({(source, condition) for source, condition, _ in self.groups}):
            cells = [self.groups[(source, condition, split)] for split in splits]
            rows.append([source, condition, *(str(cell or "-") for cell in cells), str(sum(cells))])
        totals = [sum(count for group, count in self.groups.items() if group[2] == split) for split in splits]
        rows.append(["total", "", *map(str, totals), str(sum(totals))])
        return plain_table(["source", "condition", *splits, "rows"], rows)

    def mode_table(self) -> str:
        shown, beside = ("asked mode", "right mode") if self.kind == RL else ("mode (tag)", "mode (column)")
        total = max(1, sum(self.modes.values()))
        rows = [[*pair, str(count), f"{count / total:.1%}"] for pair, count in sorted(self.modes.items())]
        return plain_table([shown, beside, "rows", "share"], rows)


def histogram(lengths: Sequence[int], unit: str) -> str:
    """Text bars over equal steps from the shortest to the longest, and the quantiles that limits are set by."""
    if not len(lengths):
        return f"no {unit}"
    values = np.asarray(lengths)
    low, high = int(values.min()), int(values.max())
    step = max(1, -(-(high - low + 1) // BINS))
    counts = np.bincount((values - low) // step, minlength=1)
    rows = []
    for number, count in enumerate(counts):
        start = low + number * step
        bar = "#" * max(int(count > 0), round(BAR * int(count) / int(counts.max())))
        rows.append([f"{start}-{start + step - 1}" if step > 1 else str(start), str(count), bar])
    quantiles = np.quantile(values, [0.5, 0.9, 0.99], method="higher").tolist()
    summary = ", ".join(f"{name} {value}" for name, value in zip(("median", "90 %", "99 %"), quantiles, strict=True))
    return plain_table([unit, "rows", ""], rows) + f"\nshortest {low}, {summary}, longest {high}"


def _label(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)
