"""Records as bytes: what one chunk of the first pass hands to the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from personadual.data_prep.record import Record, Where

_FILE, _ROW = "file", "row"
_LISTS = ("options", "accept")
_NAMES = [field.name for field in fields(Record) if field.name != "where"]
_SCHEMA = pa.schema(
    [pa.field(name, pa.list_(pa.string()) if name in _LISTS else pa.string()) for name in _NAMES]
    + [pa.field(_FILE, pa.string()), pa.field(_ROW, pa.int64())]
)


def pack(records: Sequence[Record]) -> bytes:
    """The records as one compressed arrow stream."""
    columns: dict[str, list[Any]] = {name: [getattr(record, name) for record in records] for name in _NAMES}
    columns[_FILE] = [record.where.file if record.where else "" for record in records]
    columns[_ROW] = [record.where.row if record.where else 0 for record in records]
    return table_bytes(pa.table(columns, schema=_SCHEMA))


def unpack(content: bytes) -> list[Record]:
    """The records that ``pack`` was given."""
    columns = {name: column.to_pylist() for name, column in zip(_SCHEMA.names, table_of(content).columns, strict=True)}
    files, rows = columns.pop(_FILE), columns.pop(_ROW)
    columns["options"] = [options and tuple(options) for options in columns["options"]]
    columns["accept"] = [tuple(accept) for accept in columns["accept"]]
    places = (Where(file, row) for file, row in zip(files, rows, strict=True))
    values = zip(*columns.values(), places, strict=True)
    return [Record(**dict(zip([*columns, "where"], row, strict=True))) for row in values]


def table_bytes(table: pa.Table) -> bytes:
    """A table as one compressed arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def table_of(content: bytes) -> pa.Table:
    """The table that ``table_bytes`` was given."""
    return pa.ipc.open_stream(content).read_all()


def file_name(where: Where) -> str:
    """The last name of the place's file: no output holds a path of the machine that it was made on."""
    return PurePath(where.file).name
