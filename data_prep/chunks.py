"""Chunks of raw rows, which one process hands to another to be decoded there.

``decode`` gives ``(Where, row)`` pairs, or ``(Where, Rejected)`` for a row that breaks its format. The place is the
line on which the row starts in text files, the row's number (from 1) in the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from personadual.data_prep.record import Rejected, Where

Row = Mapping[str, Any]
Decoded = tuple[Where, Row | Rejected]

MAX_LINE_BYTES = 8 * 2**20
"""Longer lines, and longer cells of a CSV file, are rejected unread."""

OVERLONG = f"line over {MAX_LINE_BYTES >> 20} MB"
NOT_UTF8 = "not UTF-8"
NOT_JSON = "not JSON"
NOT_AN_OBJECT = "not a JSON object"
BROKEN_CSV = "broken CSV row"
WRONG_CELLS = "wrong number of cells"


class Chunk(Protocol):
    """Some rows of one file, undecoded; can be pickled."""

    @property
    def file(self) -> str: ...

    def __len__(self) -> int: ...

    def decode(self) -> list[Decoded]: ...


def malformed(reason: str, detail: object = "") -> Rejected:
    return Rejected(reason, str(detail), malformed=True)


@dataclass(frozen=True)
class JsonLines:
    """Lines with their numbers; None for a line that was too long to keep."""

    file: str
    lines: list[tuple[int, bytes | None]]

    def __len__(self) -> int:
        return len(self.lines)

    def decode(self) -> list[Decoded]:
        return [(Where(self.file, number), _json_object(line)) for number, line in self.lines]


def _json_object(line: bytes | None) -> Row | Rejected:
    import orjson

    if line is None:
        return malformed(OVERLONG)
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode()
        except UnicodeDecodeError as not_text:
            return malformed(NOT_UTF8, f"{not_text.reason} at byte {not_text.start}")
        return malformed(NOT_JSON, error)
    return row if isinstance(row, dict) else malformed(NOT_AN_OBJECT, f"found {type(row).__name__}")


@dataclass(frozen=True)
class Cells:
    """Rows of a CSV file with the lines on which they start."""

    file: str
    header: tuple[str, ...]
    rows: list[tuple[int, list[str] | Rejected]]

    def __len__(self) -> int:
        return len(self.rows)

    def decode(self) -> list[Decoded]:
        return [(Where(self.file, line), self._row(cells)) for line, cells in self.rows]

    def _row(self, cells: list[str] | Rejected) -> Row | Rejected:
        if isinstance(cells, Rejected):
            return cells
        if len(cells) != len(self.header):
            return malformed(WRONG_CELLS, f"{len(self.header)} columns, found {len(cells)} cells")
        return malformed(NOT_UTF8) if any(map(has_surrogate, cells)) else dict(zip(self.header, cells, strict=True))


def has_surrogate(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


@dataclass(frozen=True)
class Batch:
    """An arrow record batch; ``first`` is the number of its first row."""

    file: str
    first: int
    batch: Any

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def decode(self) -> list[Decoded]:
        try:
            rows: list[Any] = self.batch.to_pylist()
        except UnicodeDecodeError:  # arrow does not look into its texts; find the rows that are none
            rows = [self._row(number) for number in range(len(self))]
        return [(Where(self.file, self.first + number), row) for number, row in enumerate(rows)]

    def _row(self, number: int) -> Row | Rejected:
        try:
            row: Row = self.batch.slice(number, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            return malformed(NOT_UTF8, f"{error.reason} at byte {error.start}")
        return row


@dataclass(frozen=True)
class Rows:
    """Rows that are decoded already."""

    file: str
    first: int
    rows: list[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def decode(self) -> list[Decoded]:
        return [(Where(self.file, self.first + number), row) for number, row in enumerate(self.rows)]
