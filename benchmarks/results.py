"""The file of results: every part's rows, with the machine, versions and rounds that they were measured with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, as_json, surroundings
from personadual.files import write_json

PARTS, ROWS = "parts", "rows"
MACHINE, REPEATS, QUICK = "machine", "repeats", "quick"
IDENTITY = ("cpu", "cores", "gpu")
"""Of a machine, what must be the same for one result to take another's place."""


def record(
    name: str, measure: Callable[[int, bool], Iterable[Row]], repeats: int, quick: bool, path: Path
) -> list[Row]:
    """Measure the part ``name`` and write it to ``path`` beside the parts that are there."""
    machine = surroundings()
    rows = list(measure(repeats, quick))
    found = {MACHINE: machine, REPEATS: repeats, QUICK: quick, ROWS: as_json(rows)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {PARTS: {**read_parts(path), name: found}})
    return rows


def read_parts(path: Path) -> dict[str, dict[str, Any]]:
    """The parts in ``path``; none where there is no file. A null in them, where a person wrote it: not known.

    Raises:
        ValueError: it is no such file.
    """
    if not path.exists():
        return {}
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))[PARTS]
        if not all({MACHINE, REPEATS, QUICK, ROWS} <= set(found) for found in parts.values()):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path}: parts as `python -m benchmarks` writes them are needed, each with {MACHINE}, {REPEATS}, {QUICK} "
            f"and {ROWS}"
        ) from None
    return parts


def check_replaceable(path: Path, names: Iterable[str], machine: Mapping[str, Any], quick: bool) -> None:
    """Refuse to lose results in ``path``: those of another machine, and full ones for quick ones.

    Raises:
        ValueError: naming the part; or ``path`` is no file of results.
    """
    kept = read_parts(path)
    for name in [name for name in names if name in kept]:
        there = kept[name][MACHINE] or {}
        differ = [f"{key} {there.get(key)!r}" for key in IDENTITY if there.get(key) != machine.get(key)]
        if differ:
            raise ValueError(f"{path}: its {name} is of another machine ({', '.join(differ)})")
        if quick and not kept[name][QUICK]:
            raise ValueError(f"{path}: its {name} has full sizes, which --quick would replace")
