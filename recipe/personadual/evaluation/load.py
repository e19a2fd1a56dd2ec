"""Files of generations back into one frame, every line checked."""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from personadual.evaluation.columns import ANSWER, FIELDS, MODE, check_row
from personadual.evaluation.runfile import COMPRESSED, MODES, SETTINGS, complete_lines, meta_path, read_meta
from personadual.modes import DEFAULT_MODES, Modes
from personadual.schema import (
    ASKED_MODE,
    CONDITION,
    FREE,
    GROUND_TRUTH,
    INVALID,
    ITEM,
    PERSONA,
    QUESTION,
    QUESTION_ID,
    RIGHT_MODE,
)

WHERE = "_where"
"""Column of a frame that is being read: file and line of each row, for messages."""


def read_generations(paths: Sequence[Path]) -> pd.DataFrame:
    """All rows of ``paths`` (``.jsonl``, or ``.jsonl.gz``), models in the order of the files.

    A last line without its end (a run that was killed) is dropped with a warning. Rows from before there were columns
    for samples and derived items are greedy answers to the test file's own items, and are read as such.

    Raises:
        ValueError: with file, line and field, for a line that is no generation row; for a file that is not whole
            gzip; for an answer that is there twice; for files that describe an item differently, because they come
            from different test sets.
    """
    rows = []
    for path in paths:
        data = _read_bytes(path)
        kept = complete_lines(data)
        if len(kept) < len(data):
            warnings.warn(f"{path}: the last line is incomplete and left out", stacklevel=2)
        for number, line in enumerate(kept.splitlines(), start=1):
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{where}: not JSON: {error}") from None
            rows.append({**check_row(row, where), WHERE: where})
    if not rows:
        raise ValueError(f"no generations in {', '.join(map(str, paths)) or 'no files'}")
    frame = pd.DataFrame(rows)
    twice = frame[frame.duplicated([*ANSWER])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(f"{first[WHERE]}: {dict(first[[*ANSWER]])} is there twice")
    for name in (QUESTION_ID, CONDITION, RIGHT_MODE, PERSONA, QUESTION, GROUND_TRUTH):
        reference = frame.groupby(ITEM)[name].transform("first")
        differ = frame[(frame[name] != reference) & ~(frame[name].isna() & reference.isna())]
        if len(differ):
            first = differ.iloc[0]
            raise ValueError(
                f"{first[WHERE]}: item {first[ITEM]}: field {name!r} is {first[name]!r} here and "
                f"{reference[differ.index[0]]!r} elsewhere; the files come from different test sets"
            )
    mode_names(frame, recorded_modes(paths))
    return frame[[field.name for field in FIELDS]]


def _read_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != COMPRESSED:
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: not a whole gzip file: {error}") from None


def recorded_modes(paths: Sequence[Path]) -> list[str] | None:
    """Names of the modes in their order, from the settings beside ``paths``; None where none of them says.

    Raises:
        ValueError: settings that are none, or whose modes differ from another file's in names or order: the first mode
            is the plain one, so one report can't hold both.
    """
    first: tuple[Path, list[str]] | None = None
    for path in paths:
        meta, entries = meta_path(path), read_meta(path).get(SETTINGS, {}).get(MODES)
        if entries is None:
            continue
        if not isinstance(entries, list):
            raise ValueError(f"{meta}: {SETTINGS}.{MODES}: a list of {{name, tag}} is needed, found {entries!r:.200}")
        try:
            names = [*Modes.from_config(entries).names]
        except ValueError as error:
            raise ValueError(f"{meta}: {SETTINGS}.{error}") from None
        first = first or (meta, names)
        if names != first[1]:
            raise ValueError(
                f"{meta}: the modes are {', '.join(names)} here and {', '.join(first[1])} in {first[0]}; the first one "
                "is the plain mode, so such answers need a report each"
            )
    return None if first is None else first[1]


def mode_names(rows: pd.DataFrame, recorded: Sequence[str] | None = None) -> list[str]:
    """Names of the modes in ``rows``, the plain one first.

    As ``recorded`` in the settings (``recorded_modes``). Without: the default modes in their order, others as they
    first appear; the default modes where nothing else is named, as in free answers that all are in one mode, or in
    none.

    Raises:
        ValueError: fewer than two modes, a name that no mode can have, a mode that is not ``recorded``, or a right
            mode that is none of them.
    """
    found: list[str] = []
    for column, aside in ((ASKED_MODE, FREE), (MODE, INVALID)):
        for name in pd.unique(rows[column]):
            if name == aside or name in found:
                continue
            if recorded is not None and name not in recorded:
                raise ValueError(
                    _at(rows, column, name) + f"is none of the modes {', '.join(recorded)} of the settings"
                )
            if not name.isidentifier() or name in (FREE, INVALID):
                raise ValueError(_at(rows, column, name) + "is no name of a mode: an identifier is needed")
            found.append(name)
    names = [name for name in DEFAULT_MODES.names if name in found]
    names += [name for name in found if name not in names]
    if set(names) < set(DEFAULT_MODES.names):
        names = [*DEFAULT_MODES.names]
    names = names if recorded is None else [*recorded]
    if len(names) < 2:
        raise ValueError(f"at least two modes are needed, the rows name {names or 'none'}")
    unknown = set(rows[RIGHT_MODE].dropna()) - set(names)
    if unknown:
        raise ValueError(f"right_mode {sorted(unknown)} is none of the modes {names}")
    return names


def _at(rows: pd.DataFrame, column: str, value: str) -> str:
    """Beginning of a message about the first row with ``value``."""
    first = rows[rows[column] == value].iloc[0]
    place = f"{first[WHERE]}: " if WHERE in rows else ""
    return f"{place}item {first[ITEM]}: field {column!r}: {value!r:.80} "
