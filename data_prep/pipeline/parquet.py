"""Rows to parquet files, chunk by chunk, in constant memory.

Row groups have a fixed number of rows, so that the bytes of a file depend on its rows alone.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from personadual import schema
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA
from personadual.data_prep.pipeline.records import table_of

ROW_GROUP = 4096


class ParquetFile:
    """A parquet file to which tables are added; items and indices are numbered on from table to table."""

    def __init__(self, path: Path, table_schema: pa.Schema):
        self.path = path
        self.rows = 0
        self._items = 0
        self._schema = table_schema
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._writer = pq.ParquetWriter(path, table_schema, compression="zstd")

    def add(self, packed: bytes, items: int) -> None:
        """Add a packed table whose items are numbered from 0 to ``items`` - 1."""
        table = renumbered(table_of(packed), first_item=self._items, first_index=self.rows)
        self._items += items
        self.rows += table.num_rows
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= ROW_GROUP:
            self._write(whole_groups=True)

    def close(self) -> None:
        self._write(whole_groups=False)
        self._writer.close()

    def _write(self, whole_groups: bool) -> None:
        waiting = pa.concat_tables(self._waiting) if self._waiting else self._schema.empty_table()
        until = waiting.num_rows // ROW_GROUP * ROW_GROUP if whole_groups else waiting.num_rows
        for start in range(0, until, ROW_GROUP):
            group = waiting.slice(start, min(ROW_GROUP, until - start)).combine_chunks()
            self._writer.write_table(group, row_group_size=ROW_GROUP)
        rest = waiting.slice(until)
        self._waiting, self._waiting_rows = [rest], rest.num_rows


class ParquetFiles:
    """The files of a build, each opened with its first row."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.files: dict[str, ParquetFile] = {}

    def add(self, name: str, packed: bytes, items: int) -> None:
        if name not in self.files:
            table_schema = SFT_SCHEMA if name.startswith("sft_") else RL_SCHEMA
            self.files[name] = ParquetFile(self._folder / name, table_schema)
        self.files[name].add(packed, items)

    def close(self) -> None:
        for file in self.files.values():
            file.close()


def renumbered(table: pa.Table, first_item: int, first_index: int) -> pa.Table:
    """``table`` with its ``item`` and ``index`` moved on, wherever they stand; no text is copied."""
    if schema.ITEM in table.column_names:
        place = table.column_names.index(schema.ITEM)
        return table.set_column(place, table.schema.field(place), pc.add(table.column(place), first_item))
    place = table.column_names.index(schema.EXTRA_INFO)
    extra = table.column(place).combine_chunks()
    moved = {schema.ITEM: first_item, schema.INDEX: first_index}
    fields = list(extra.type)
    children = [pc.add(extra.field(f.name), moved[f.name]) if f.name in moved else extra.field(f.name) for f in fields]
    return table.set_column(place, table.schema.field(place), pa.StructArray.from_arrays(children, fields=fields))
