"""Test items: one (question, persona) each, read from a parquet file in verl's RL format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from personadual.schema import (
    CONDITION,
    DATA_SOURCE,
    EXTRA_INFO,
    GROUND_TRUTH,
    ITEM,
    PERSONA,
    PROMPT,
    QUESTION,
    QUESTION_ID,
    REWARD_MODEL,
    RIGHT_MODE,
)


@dataclass(frozen=True)
class Item:
    """What is asked (``prompt``, chat messages), and what the grader and the measures need to know about it."""

    item: int
    prompt: list[dict[str, Any]]
    data_source: str
    ground_truth: str
    extra_info: dict[str, Any]


def read_items(path: Path, limit: int | None = None) -> list[Item]:
    """The items of ``path`` in file order; rows that repeat an item under another asked mode are merged.

    ``limit`` keeps the first that many of every condition, so that a short run still sees all conditions.

    Raises:
        ValueError: a column or field is missing, or two rows of an item differ in prompt or truth.
    """
    table = pq.read_table(path)
    absent = [name for name in (PROMPT, DATA_SOURCE, REWARD_MODEL, EXTRA_INFO) if name not in table.column_names]
    if absent:
        raise ValueError(f"{path}: missing column(s) {', '.join(absent)}; found {', '.join(table.column_names)}")
    items: dict[int, Item] = {}
    for position, row in enumerate(table.to_pylist()):
        item = _item(row, f"{path}: row {position}")
        seen = items.setdefault(item.item, item)
        if (seen.prompt, seen.ground_truth) != (item.prompt, item.ground_truth):
            raise ValueError(
                f"{path}: row {position}: item {item.item} is there twice with different prompts or truths"
            )
    if limit is None:
        return list(items.values())
    counts: dict[str, int] = {}
    kept = []
    for item in items.values():
        condition = item.extra_info[CONDITION]
        counts[condition] = counts.get(condition, 0) + 1
        if counts[condition] <= limit:
            kept.append(item)
    return kept


def _item(row: dict[str, Any], where: str) -> Item:
    extra, reward = row[EXTRA_INFO] or {}, row[REWARD_MODEL] or {}
    for field in (ITEM, QUESTION_ID, CONDITION, RIGHT_MODE, PERSONA, QUESTION):
        if field not in extra or (extra[field] is None and field != RIGHT_MODE):
            raise ValueError(f"{where}: {EXTRA_INFO}.{field} is missing")
    if reward.get(GROUND_TRUTH) is None:
        raise ValueError(f"{where}: {REWARD_MODEL}.{GROUND_TRUTH} is missing")
    if not row[PROMPT]:
        raise ValueError(f"{where}: {PROMPT} is empty")
    # Arrow gives every message all the keys that any message has; a template must not see the null ones.
    prompt = [{key: value for key, value in message.items() if value is not None} for message in row[PROMPT]]
    return Item(int(extra[ITEM]), prompt, row[DATA_SOURCE], str(reward[GROUND_TRUTH]), extra)
