"""A parquet file by row groups: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 1024

Row = dict[str, Any]


class UnreadableError(ValueError):
    """The file is missing, damaged, or no parquet."""


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, its footer read.

    Raises:
        UnreadableError: it is missing, or no parquet file.
    """
    if not path.is_file():
        raise UnreadableError("no such file" if not path.exists() else "not a file")
    try:
        # Else all that was read ahead stays in memory until the end.
        return pq.ParquetFile(path, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableError(" ".join(str(error).split())) from error


def batches(file: pq.ParquetFile, columns: Mapping[str, Set[str] | None]) -> Iterator[list[Row | None]]:
    """Rows with the given columns, and of struct columns the given fields only; None for a row that is not UTF-8.

    A column with None is taken whole. A struct that is null comes as one of nulls.

    Raises:
        UnreadableError: the file is damaged further on.
    """
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
            yield [None if row is None else _cut(row, columns) for row in _rows(batch)]
    except (OSError, pa.ArrowException) as error:
        raise UnreadableError(" ".join(str(error).split())) from error


def _rows(batch: pa.RecordBatch) -> list[Row | None]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        return [_row(batch, number) for number in range(batch.num_rows)]


def _row(batch: pa.RecordBatch, number: int) -> Row | None:
    try:
        return batch.slice(number, 1).to_pylist()[0]
    except UnicodeDecodeError:
        return None


def _cut(row: Row, columns: Mapping[str, Set[str] | None]) -> Row:
    cut: Row = {}
    for name, fields in columns.items():
        value = row.get(name)
        cut[name] = value if fields is None else {field: (value or {}).get(field) for field in fields}
    return cut
