"""The file of generations: rows appended as they come, a settings file beside it, and how a run continues."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from personadual.evaluation.columns import SAMPLE, is_utf8
from personadual.evaluation.decoding import DECODING, GREEDY
from personadual.files import write_json

SETTINGS, SESSIONS = "settings", "sessions"
MODES = "modes"
"""The setting that lists the modes as {name, tag}, in their order."""
ROWS, COMPRESSED = ".jsonl", ".gz"


def meta_path(path: Path) -> Path:
    """``gens/sft.jsonl``, or ``gens/sft.jsonl.gz``, has its settings in ``gens/sft.meta.json``."""
    return (path.with_suffix("") if path.suffix == COMPRESSED else path).with_suffix(".meta.json")


def read_meta(path: Path) -> dict[str, Any]:
    """Settings and sessions of a file of generations; empty where it has none."""
    meta = meta_path(path)
    if not meta.exists():
        return {}
    found = read_object(meta)
    if not isinstance(found.get(SETTINGS), dict):
        raise ValueError(f"{meta}: an object with {SETTINGS!r} is needed")
    return found


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        ValueError: it is none, or holds what JSON and UTF-8 have no form for, so that no report could show it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: a JSON object is needed, found {type(found).__name__}")
    for name, value in _leaves(found, ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{path}: {name}: a finite number or null is needed, found {value}")
        if isinstance(value, str) and not is_utf8(value):
            raise ValueError(f"{path}: {name}: half a character, which is no text: {value!a:.80}")
    return found


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every value inside ``value`` by its place, as in ``a.b[2]``, and every key as a value too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield name or "a key", key
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{name}[{number}]")
    else:
        yield name, value


def complete_lines(data: bytes) -> bytes:
    """``data`` up to its last newline: what a writer killed in the middle of a line left behind is dropped."""
    return data[: data.rfind(b"\n") + 1]


class RunFile:
    """Rows of one run, open for appending by one process.

    Raises:
        ValueError: the file was begun with other settings (they are named), or a whole line of it is no JSON.
        BlockingIOError: another process is writing to it.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b")
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(f"{path}: another run is writing to it") from None
            self._open(json.loads(json.dumps(settings)))
        except BaseException:
            self._file.close()
            raise

    def _open(self, settings: dict[str, Any]) -> None:
        self._file.seek(0)
        data = self._file.read()
        kept = complete_lines(data)
        self.meta = read_meta(self.path)
        if kept and not self.meta:
            raise ValueError(f"{self.path}: has rows but no {meta_path(self.path).name}; it cannot be continued")
        self.rows = list(self._parsed(kept))
        if kept:
            self._go_on(settings)
        else:
            self.meta = {SETTINGS: settings, SESSIONS: []}
            self._save_meta()
        if len(kept) < len(data):
            self._file.truncate(len(kept))

    def _parsed(self, lines: bytes) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{self.path}:{number}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"{self.path}:{number}: a JSON object is needed, found {type(row).__name__}")
            yield row

    def _go_on(self, settings: dict[str, Any]) -> None:
        """Refuse ``settings`` other than those that the file was begun with.

        How samples are drawn is settled by the first one in the file, and a run that asks for none leaves it as it is.
        """
        old, sampled = self.meta[SETTINGS], any(row.get(SAMPLE) for row in self.rows)
        if sampled and settings.get(DECODING) == GREEDY:
            settings[DECODING] = old.get(DECODING)
        open_yet = () if sampled else (DECODING,)
        differ = [key for key in {**old, **settings} if key not in open_yet and old.get(key) != settings.get(key)]
        if differ:
            lines = [f"  {key}: {old.get(key)!r} there, {settings.get(key)!r} now" for key in differ]
            raise ValueError(f"{self.path}: begun with other settings; choose another --out\n" + "\n".join(lines))
        if settings != old:
            self.meta[SETTINGS] = settings
            self._save_meta()

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add ``rows`` in one write that is on disk when this returns."""
        if not rows:
            return
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def add_session(self, session: dict[str, Any]) -> None:
        """Note what the process that now adds rows is: its command."""
        self.meta.setdefault(SESSIONS, []).append(session)
        self._save_meta()

    def extend_session(self, more: dict[str, Any]) -> None:
        """Note what came of it: timings, counts, the machine."""
        self.meta[SESSIONS][-1] |= more
        self._save_meta()

    def _save_meta(self) -> None:
        write_json(meta_path(self.path), self.meta)

    def __enter__(self) -> RunFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
