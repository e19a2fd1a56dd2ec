"""How the numbers were made: commands, versions, machines and settings, as the files beside the generations tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personadual.evaluation.columns import MODEL, SEED
from personadual.evaluation.html.tables import Cell, Head, Table

VALUE_CHARACTERS, MOST_ENTRIES = 1200, 120
COMMAND = "command"


@dataclass(frozen=True)
class Origin:
    """``commands``: (what it made, command line); ``tables``: settings and sessions."""

    commands: Sequence[tuple[str, str]]
    tables: Sequence[Table]


def origin(
    models: Sequence[Mapping[str, Any]], statistics: Mapping[str, Any], extras: Mapping[str, Any], command: str = ""
) -> Origin:
    """From the report's ``models`` (settings and sessions of each), its choices in statistics, and ``extras``."""
    tables = [_runs(models), *_settings(models), *_sessions(models)]
    tables.append(_entries("Statistics of this report", statistics))
    tables += [_entries(f"From --{name}", entries) for name, entries in extras.items()]
    return Origin(commands(models, command), tables)


def commands(models: Sequence[Mapping[str, Any]], command: str = "") -> list[tuple[str, str]]:
    """(what it made, command line) of the models' answers, and of the report by ``command``."""
    found: list[tuple[str, str]] = []
    for model in models:
        for session in model["sessions"]:
            line = session.get(COMMAND) if isinstance(session, Mapping) else None
            if line and (entry := (_run_name(model), _value(line))) not in found:
                found.append(entry)
    return [*found, ("this report", command)] if command else found


def _run_name(model: Mapping[str, Any]) -> str:
    return f"{model[MODEL]}, seed {model[SEED]}"


def _runs(models: Sequence[Mapping[str, Any]]) -> Table:
    heads = [Head("model"), *(Head(name, numeric=True) for name in ("seed", "items", "answers"))]
    rows = [
        [
            Cell(str(model[MODEL])),
            *(Cell(f"{model[name]:,}", sort=model[name], numeric=True) for name in (SEED, "items", "answers")),
        ]
        for model in models
    ]
    return Table("What was run", heads, rows)


def _settings(models: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Settings that all runs share, and those that differ, one row per run."""
    runs = [(model, dict(flat(model["settings"]))) for model in models if model["settings"]]
    if not runs:
        return []
    names = list(dict.fromkeys(name for _, entries in runs for name in entries))
    shared = [name for name in names if len({entries.get(name) for _, entries in runs}) == 1]
    found = [_pairs("Settings that all runs share", [(name, runs[0][1][name]) for name in shared])] if shared else []
    apart = [name for name in names if name not in shared and name not in ("label", SEED)]
    if apart:
        head = [Head("run"), *map(Head, apart)]
        rows = [[Cell(_run_name(model)), *(Cell(entries.get(name, "–")) for name in apart)] for model, entries in runs]
        found.append(Table("Settings that differ", head, rows, wide=True))
    return found


def _sessions(models: Sequence[Mapping[str, Any]]) -> list[Table]:
    """One row per process that added answers."""
    told = [
        (_run_name(model), {name: value for name, value in flat(session) if name.split(".")[0] != COMMAND})
        for model in models
        for session in model["sessions"]
    ]
    names = list(dict.fromkeys(name for _, entries in told for name in entries))
    if not names:
        return []
    head = [Head("run"), *(Head(name) for name in names)]
    rows = [[Cell(run), *(Cell(entries.get(name, "–")) for name in names)] for run, entries in told]
    return [Table("Sessions: one row per process that added answers", head, rows, wide=True)]


def _entries(caption: str, entries: Any) -> Table:
    listed = list(flat(entries))
    note = f"{len(listed) - MOST_ENTRIES} more entries are in report.json." if len(listed) > MOST_ENTRIES else ""
    return _pairs(caption, listed[:MOST_ENTRIES], note)


def _pairs(caption: str, pairs: Sequence[tuple[str, str]], note: str = "") -> Table:
    rows = [[Cell(name), Cell(value)] for name, value in pairs]
    return Table(caption, [Head("setting"), Head("value")], rows, note=note, wide=True)


def flat(entries: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested objects as (``a.b.c``, value as text), in their order."""
    if isinstance(entries, Mapping) and entries:
        for key, value in entries.items():
            yield from flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, _value(entries)


def _value(value: Any) -> str:
    if value is None:
        text = "–"
    elif isinstance(value, str):
        text = value
    elif isinstance(value, Sequence) and all(isinstance(part, str) for part in value):
        text = " ".join(value)
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "…"
