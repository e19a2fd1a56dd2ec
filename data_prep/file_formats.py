"""Files of each known format as chunks of raw rows, read in constant memory. A row that is broken ends nothing."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from personadual.data_prep.chunks import (
    BROKEN_CSV,
    MAX_LINE_BYTES,
    OVERLONG,
    Batch,
    Cells,
    Chunk,
    JsonLines,
    has_surrogate,
    malformed,
)
from personadual.data_prep.record import Rejected

MAX_CHUNK_BYTES = 16 * 2**20
"""A chunk of text ends early once it holds this much, however few rows that is."""

_BOM = b"\xef\xbb\xbf"
_SKIP_BYTES = 2**16


def json_chunks(path: Path, size: int) -> Iterator[Chunk]:
    with _reading(path), _open(path) as stream:
        numbered = ((number, line) for number, line in enumerate(_lines(stream), 1) if line is None or line.strip())
        for lines in _grouped(numbered, size, lambda entry: len(entry[1] or b"")):
            yield JsonLines(str(path), lines)


def csv_chunks(path: Path, size: int) -> Iterator[Chunk]:
    """Rows of a CSV or, by its name, tab-separated file with a header line.

    Raises:
        ValueError: no header, or one with an empty name or the same name twice.
    """
    tabs = ".tsv" in path.suffixes
    with _reading(path), _open(path) as stream:
        # The csv module keeps one limit for the whole process; its default is 128 KB.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
        lines = _TextLines(stream)
        reader = csv.reader(lines, csv.excel_tab if tabs else csv.excel, strict=True)
        header = _header(path, reader)
        for rows in _grouped(_csv_rows(reader, lines), size, lambda row: _size(row[1])):
            yield Cells(str(path), header, rows)


def _header(path: Path, reader: Any) -> tuple[str, ...]:
    try:
        names = tuple(name.strip() for name in next(reader, []))
    except csv.Error as error:
        raise ValueError(f"{path}: a first line with the names of the columns is needed ({error})") from error
    if not all(names) or not names or len(set(names)) < len(names) or any(map(has_surrogate, names)):
        raise ValueError(
            f"{path}: the first line must name every column, each differently and in UTF-8; found {list(names)}"
        )
    return names


def _csv_rows(reader: Any, lines: _TextLines) -> Iterator[tuple[int, list[str] | Rejected]]:
    while True:
        start = lines.read + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield start, malformed(BROKEN_CSV, error)
            continue
        if cells is None:
            return
        if cells:
            yield start, cells


class _TextLines:
    """Lines for the csv module, which goes on behind the ones that it is told are too long."""

    def __init__(self, stream: IO[bytes]):
        self._lines = _lines(stream)
        self.read = 0

    def __iter__(self) -> _TextLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.read += 1
        if line is None:
            raise csv.Error(OVERLONG)
        return line.decode("utf-8", "surrogateescape")


def parquet_chunks(path: Path, size: int) -> Iterator[Chunk]:
    import pyarrow.parquet as pq

    with _reading(path):
        # Else all that was read ahead stays in memory until the end.
        file = pq.ParquetFile(path, pre_buffer=False)
        yield from _batches(path, file.iter_batches(batch_size=size))


def arrow_chunks(path: Path, size: int) -> Iterator[Chunk]:
    """Rows of an arrow stream, as ``datasets`` saves them."""
    import pyarrow as pa

    with _reading(path), pa.memory_map(str(path)) as source:
        stream = pa.ipc.open_stream(source)
        parts = (batch.slice(start, size) for batch in stream for start in range(0, batch.num_rows, size))
        yield from _batches(path, parts)


def _batches(path: Path, batches: Iterable[Any]) -> Iterator[Chunk]:
    first = 1
    for batch in batches:
        yield Batch(str(path), first, batch)
        first += batch.num_rows


class Format(NamedTuple):
    """How files of one suffix are read; ``text`` files may be compressed with gzip."""

    chunks: Callable[[Path, int], Iterator[Chunk]]
    text: bool


FORMATS = {
    ".jsonl": Format(json_chunks, True),
    ".ndjson": Format(json_chunks, True),
    ".csv": Format(csv_chunks, True),
    ".tsv": Format(csv_chunks, True),
    ".parquet": Format(parquet_chunks, False),
    ".arrow": Format(arrow_chunks, False),
}


def format_of(path: Path) -> Format | None:
    """The format that the name of a file promises, or None."""
    zipped = path.suffix == ".gz"
    found = FORMATS.get(Path(path.stem).suffix if zipped else path.suffix)
    return found if found and (found.text or not zipped) else None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from error


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """The lines, without a byte order mark; None for one that is too long, of which no more than that is held."""
    first = True
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = b""  # not to hold it while the rest is skipped
            while (rest := stream.readline(_SKIP_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield None
        else:
            yield line.removeprefix(_BOM) if first else line
        first = False


def _grouped(entries: Iterable[Any], size: int, weight: Callable[[Any], int]) -> Iterator[list[Any]]:
    group: list[Any] = []
    held = 0
    for entry in entries:
        group.append(entry)
        held += weight(entry)
        if len(group) >= size or held >= MAX_CHUNK_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _size(cells: list[str] | Rejected) -> int:
    return 0 if isinstance(cells, Rejected) else sum(map(len, cells))
