"""Test items: one (question, persona) each, read from a parquet file in verl's RL format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from personadual.modes import Modes
from personadual.schema import (
    CONDITION,
    DATA_SOURCE,
    EXTRA_INFO,
    GROUND_TRUTH,
    ITEM,
    NONE,
    PERSONA,
    PROMPT,
    QUESTION,
    QUESTION_ID,
    REWARD_MODEL,
    RIGHT_MODE,
    UNKNOWN,
)


@dataclass(frozen=True)
class Item:
    """What is asked (``prompt``, chat messages), and what the grader and the measures need to know about it.

    ``extra_info`` is the row's, with the fields that a generation row copies filled in. ``base_item`` is the number of
    the item that this one was made from (``derived``); ``where`` its file and row, for messages.
    """

    item: int
    prompt: list[dict[str, Any]]
    data_source: str
    ground_truth: str
    extra_info: dict[str, Any]
    base_item: int | None = None
    where: str = field(default="", compare=False)

    @property
    def condition(self) -> str:
        return self.extra_info[CONDITION]

    @property
    def persona(self) -> str:
        return self.extra_info[PERSONA]


def read_items(path: Path) -> list[Item]:
    """The items of ``path`` in file order; rows that repeat an item under another asked mode are merged.

    Only what verl itself needs must be there. Of ``extra_info``, what a row does not say is filled in: ``item`` by the
    row's number, if no row has one; ``question_id`` by the item's number; ``condition`` by "none", or "unknown" for a
    row that doesn't say whether it has a persona; ``question`` by the last message. No right mode means none is known.

    Raises:
        ValueError: a column or field is missing or of another type, or two rows of an item differ.
    """
    table = pq.read_table(path)
    absent = [name for name in (PROMPT, DATA_SOURCE, REWARD_MODEL) if name not in table.column_names]
    if absent:
        raise ValueError(f"{path}: missing column(s) {', '.join(absent)}; found {', '.join(table.column_names)}")
    rows = table.to_pylist()
    numbered = any((row.get(EXTRA_INFO) or {}).get(ITEM) is not None for row in rows)
    items: dict[int, Item] = {}
    for position, row in enumerate(rows):
        item = _item(row, None if numbered else position, f"{path}: row {position}")
        seen = items.setdefault(item.item, item)
        if (seen.prompt, seen.ground_truth) != (item.prompt, item.ground_truth):
            raise ValueError(
                f"{path}: row {position}: item {item.item} is there twice with different prompts or truths"
            )
    if not items:
        raise ValueError(f"{path}: no rows")
    return list(items.values())


def first_of_each_condition(items: Sequence[Item], limit: int) -> list[Item]:
    """The first ``limit`` of every condition, so that a short run still sees all conditions."""
    counts: dict[str, int] = {}
    kept = []
    for item in items:
        counts[item.condition] = counts.get(item.condition, 0) + 1
        if counts[item.condition] <= limit:
            kept.append(item)
    return kept


def check_right_modes(items: Sequence[Item], modes: Modes) -> None:
    """Raise ValueError for a right mode that is none of ``modes``: they are not the data's."""
    for item in items:
        right = item.extra_info[RIGHT_MODE]
        if right is not None and right not in modes.names:
            raise ValueError(f"item {item.item}: right_mode {right!r} is none of the modes {', '.join(modes.names)}")


def _item(row: dict[str, Any], number: int | None, where: str) -> Item:
    extra, reward = dict(row.get(EXTRA_INFO) or {}), row[REWARD_MODEL] or {}
    if reward.get(GROUND_TRUTH) is None:
        raise ValueError(f"{where}: {REWARD_MODEL}.{GROUND_TRUTH} is missing")
    if not row[PROMPT]:
        raise ValueError(f"{where}: {PROMPT} is empty")
    # Arrow gives every message all the keys that any message has; a template must not see the null ones.
    prompt = [{key: value for key, value in message.items() if value is not None} for message in row[PROMPT]]
    if number is None:
        number = extra.get(ITEM)
    if number is None:
        raise ValueError(f"{where}: {EXTRA_INFO}.{ITEM} is missing, and other rows have it")
    number = int(number)
    filled = {
        QUESTION_ID: f"item {number}",
        CONDITION: UNKNOWN if extra.get(PERSONA) is None or extra[PERSONA] else NONE,
        PERSONA: "",
        QUESTION: prompt[-1].get("content"),
    }
    for name, instead in filled.items():
        value = instead if extra.get(name) is None else extra[name]
        if not isinstance(value, str):
            raise ValueError(f"{where}: {EXTRA_INFO}.{name} must be a text, found {type(value).__name__}")
        extra[name] = value
    extra |= {ITEM: number, RIGHT_MODE: extra.get(RIGHT_MODE)}
    return Item(number, prompt, row[DATA_SOURCE], str(reward[GROUND_TRUTH]), extra, where=where)
