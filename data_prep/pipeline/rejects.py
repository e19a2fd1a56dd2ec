"""Rejected rows: each one a line of ``rejects.jsonl``, all of them counted by source and reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from personadual.data_prep.pipeline.records import file_name
from personadual.data_prep.record import Rejected, Where

REJECTS = "rejects.jsonl"
_SHOWN = 200  # characters of a detail, which may hold a whole broken row


class Reject(NamedTuple):
    """A row that was not used, and why."""

    source: str
    file: str
    row: int
    field: str
    reason: str
    detail: str
    malformed: bool

    @classmethod
    def of(cls, source: str, where: Where | None, error: Rejected) -> Reject:
        place = where or Where("", 0)
        detail = error.detail if len(error.detail) <= _SHOWN else error.detail[: _SHOWN - 1] + "…"
        return cls(source, file_name(place), place.row, error.field, error.reason, detail, error.malformed)

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.field, self.reason, self.detail) if part)
        return f"{self.file}:{self.row}: {said}"


class MalformedRow(ValueError):
    """``--strict`` met a row that breaks the format of its source."""


class RejectLog:
    """Writes rejects as they come and counts them.

    Raises:
        MalformedRow: ``strict``, at the first malformed row that is added.
    """

    def __init__(self, path: Path, strict: bool = False):
        self.counts: Counter[tuple[str, str]] = Counter()
        self._strict = strict
        self._stream = path.open("w", encoding="utf-8", errors="backslashreplace")

    def add(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            if self._strict and reject.malformed:
                raise MalformedRow(f"--strict: {reject} (source {reject.source})")
            self.counts[reject.source, reject.reason] += 1
            self._stream.write(json.dumps(reject._asdict(), ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._stream.close()
