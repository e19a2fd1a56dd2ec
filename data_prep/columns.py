"""The columns of the parquet files, as explicit arrow schemas that are the same whatever the rows hold.

Inferred schemas differ between files (a column that is always null, a list that is always empty), and verl joins
several files into one data set, which then fails. The names are those of ``personadual.schema``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from personadual import schema
from personadual.files import write_whole

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)

MODE = "mode"
"""Name of the mode that an SFT row shows."""
STYLE = "style"
RULE_STYLE = "rule"

_TEXT = pa.string()
_REQUIRED_TEXT = {"type": pa.string(), "nullable": False}
_CHAT = pa.list_(pa.struct([pa.field("role", **_REQUIRED_TEXT), pa.field("content", **_REQUIRED_TEXT)]))

SFT_SCHEMA = pa.schema(
    [
        pa.field(schema.MESSAGES, _CHAT, nullable=False),
        pa.field(schema.CONDITION, **_REQUIRED_TEXT),
        pa.field(MODE, **_REQUIRED_TEXT),
        pa.field(schema.ITEM, pa.int64(), nullable=False),
        pa.field(schema.QUESTION_ID, **_REQUIRED_TEXT),
        pa.field(schema.SPLIT, **_REQUIRED_TEXT),
    ]
)

EXTRA_INFO_TYPE = pa.struct(
    [
        pa.field(schema.INDEX, pa.int64()),
        pa.field(schema.ITEM, pa.int64()),
        pa.field(schema.SPLIT, _TEXT),
        pa.field(schema.QUESTION_ID, _TEXT),
        pa.field(schema.CONDITION, _TEXT),
        pa.field(schema.RIGHT_MODE, _TEXT),
        pa.field(schema.ASKED_MODE, _TEXT),
        pa.field(schema.PERSONA, _TEXT),
        pa.field(schema.QUESTION, _TEXT),
        pa.field(schema.OPTIONS, pa.list_(_TEXT)),
        pa.field(schema.ACCEPT, pa.list_(_TEXT)),
        pa.field(schema.SOURCE, _TEXT),
        pa.field(schema.LICENCE, _TEXT),
        pa.field(schema.SUBJECT, _TEXT),
    ]
)

RL_SCHEMA = pa.schema(
    [
        pa.field(schema.PROMPT, _CHAT, nullable=False),
        pa.field(schema.DATA_SOURCE, **_REQUIRED_TEXT),
        pa.field(schema.ABILITY, **_REQUIRED_TEXT),
        pa.field(
            schema.REWARD_MODEL,
            pa.struct([pa.field(STYLE, _TEXT), pa.field(schema.GROUND_TRUTH, _TEXT)]),
            nullable=False,
        ),
        pa.field(schema.EXTRA_INFO, EXTRA_INFO_TYPE, nullable=False),
    ]
)


def to_table(rows: Iterable[Mapping[str, Any]], table_schema: pa.Schema) -> pa.Table:
    """Rows as an arrow table. A key that the schema lacks is an error, not a column silently dropped.

    Raises:
        ValueError: a row whose keys, or whose ``extra_info`` keys, are not those of the schema.
    """
    rows = list(rows)
    extra_keys = {field.name for field in EXTRA_INFO_TYPE}
    for number, row in enumerate(rows):
        for found, wanted in (
            (set(row), set(table_schema.names)),
            (set(row.get(schema.EXTRA_INFO, extra_keys)), extra_keys),
        ):
            if found != wanted:
                raise ValueError(f"row {number}: the keys {sorted(found ^ wanted)} are missing or not in the schema")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=table_schema)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write ``table`` whole or not at all."""
    write_whole(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
