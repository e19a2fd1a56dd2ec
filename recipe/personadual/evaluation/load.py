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
from personadual.evaluation.runfile import COMPRESSED, complete_lines
from personadual.modes import DEFAULT_MODES
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
            rows.append({**check_row(row, where), "_where": where})
    if not rows:
        raise ValueError(f"no generations in {', '.join(map(str, paths)) or 'no files'}")
    frame = pd.DataFrame(rows)
    twice = frame[frame.duplicated([*ANSWER])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(f"{first['_where']}: {dict(first[[*ANSWER]])} is there twice")
    for name in (QUESTION_ID, CONDITION, RIGHT_MODE, PERSONA, QUESTION, GROUND_TRUTH):
        reference = frame.groupby(ITEM)[name].transform("first")
        differ = frame[(frame[name] != reference) & ~(frame[name].isna() & reference.isna())]
        if len(differ):
            first = differ.iloc[0]
            raise ValueError(
                f"{first['_where']}: item {first[ITEM]}: field {name!r} is {first[name]!r} here and "
                f"{reference[differ.index[0]]!r} elsewhere; the files come from different test sets"
            )
    mode_names(frame)
    return frame[[field.name for field in FIELDS]]


def _read_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != COMPRESSED:
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: not a whole gzip file: {error}") from None


def mode_names(rows: pd.DataFrame) -> list[str]:
    """Names of the modes in ``rows``: the default modes in their order, others as they first appear.

    The default modes where nothing else is named, as in free answers that all are in one mode, or in none.

    Raises:
        ValueError: fewer than two modes, or a right mode that is none of them.
    """
    found = [name for name in pd.unique(rows[ASKED_MODE]) if name != FREE]
    found += [name for name in pd.unique(rows[MODE]) if name != INVALID and name not in found]
    names = [name for name in DEFAULT_MODES.names if name in found]
    names += [name for name in found if name not in names]
    if set(names) < set(DEFAULT_MODES.names):
        names = [*DEFAULT_MODES.names]
    if len(names) < 2:
        raise ValueError(f"at least two modes are needed, the rows name {names or 'none'}")
    unknown = set(rows[RIGHT_MODE].dropna()) - set(names)
    if unknown:
        raise ValueError(f"right_mode {sorted(unknown)} is none of the modes {names}")
    return names
