"""Parquet files by their rows: columns, counts, samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from personadual import schema
from personadual.data_prep.validation.reading import UnreadableError, open_parquet

SAMPLE = 1000
"""Rows of a sample, spread evenly over a file."""


def columns_of(path: str) -> list[str]:
    try:
        return list(open_parquet(Path(path)).schema_arrow.names)
    except UnreadableError:
        return []


def rows_of(path: str) -> int | None:
    try:
        return int(open_parquet(Path(path)).metadata.num_rows)
    except UnreadableError:
        return None


def each_row(path: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for batch in open_parquet(Path(path)).iter_batches(batch_size=1024, columns=list(columns)):
        yield from batch.to_pylist()


def sampled(path: str, columns: Sequence[str], most: int = SAMPLE) -> list[dict[str, Any]]:
    """At most ``most`` rows, spread evenly over the file."""
    step = max((rows_of(path) or 0) // most, 1)
    rows: list[dict[str, Any]] = []
    start = 0
    for batch in open_parquet(Path(path)).iter_batches(batch_size=1024, columns=list(columns)):
        wanted = range(-start % step, batch.num_rows, step)
        rows += batch.take(list(wanted)).to_pylist() if wanted else []
        start += batch.num_rows
    return rows[:most]


def one_per_source(path: str) -> list[dict[str, Any]]:
    names = (schema.DATA_SOURCE, schema.REWARD_MODEL, schema.EXTRA_INFO)
    first: dict[Any, dict[str, Any]] = {}
    columns = [name for name in names if name in columns_of(path)]
    if schema.DATA_SOURCE not in columns:
        return []
    for row in each_row(path, columns):
        first.setdefault(str(row[schema.DATA_SOURCE]), row)
    return list(first.values())
