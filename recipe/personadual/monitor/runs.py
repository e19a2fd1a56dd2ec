"""A run: the files of all its attempts, joined by step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from personadual.metrics import TRAIN, VALIDATION
from personadual.monitor.logs import EVENTS, Log, Steps, as_frame, is_event_file, is_file_log, merged, read_log

# A log of another trainer (verl's SFT trainer writes train/loss and the like) has none of these.
RL_METRICS = (f"{TRAIN}/", f"{VALIDATION}/", "critic/", "val-core/")


@dataclass(frozen=True)
class Run:
    """``log``: metrics by step, one column each. ``files``: what it was read from. ``notes``: what a reader must know
    of how that was done."""

    label: str
    log: pd.DataFrame
    files: list[Path]
    notes: list[str] = field(default_factory=list)


def read_run(path: Path, label: str) -> Run:
    """The run in a file, or in the files below a folder.

    A folder's event files, and its files of verl's file logger where their names are numbers (the launchers name
    them by time), are attempts of one run.

    Raises:
        ValueError: there is no log, a log has a malformed line, or the folder holds several runs.
        ModuleNotFoundError: all logs are event files and tensorboard is not installed.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    notes: list[str] = []
    if path.is_file():
        logs = [read_log(path)]
        if not logs[0].steps:
            raise ValueError(f"{path}: no whole line yet; a log with at least one step is needed")
    else:
        logs = _logs_below(path, notes)
    notes += [f"{log.path.name}: the last line is cut off and left out" for log in logs if log.torn]
    kinds = [[log for log in logs if is_event_file(log.path) is events] for events in (True, False)]
    # The file logger's numbers are in double precision; they replace tensorboard's.
    steps = merged(join(attempts, notes) for attempts in kinds if attempts)
    return Run(label, as_frame(steps), [log.path for log in logs], notes)


def _logs_below(folder: Path, notes: list[str]) -> list[Log]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [path for path in files if path.suffix == ".jsonl" and is_file_log(path)]
    events = [path for path in files if is_event_file(path)]
    logs, missing = [read_log(path) for path in lines], None
    for path in events:
        try:
            logs.append(read_log(path))
        except ModuleNotFoundError as error:
            missing = error
        except ValueError:
            notes.append(f"{path.name}: no scalars in it, left out")
    if missing is not None:
        if not logs:
            raise missing
        notes.append(str(missing))
    logs = [log for log in logs if _is_rl(log)]
    if not logs:
        raise ValueError(
            f"{folder}: no log of an RL run in it. Needed are .jsonl files of verl's file logger or tensorboard event "
            f"files with metrics {', '.join(name + '*' for name in RL_METRICS)}"
        )
    for several in ([log for log in logs if is_event_file(log.path)], [log for log in logs if log.path in lines]):
        _check_one_run(folder, several)
    return logs


def _is_rl(log: Log) -> bool:
    return any(name.startswith(RL_METRICS) for metrics in log.steps.values() for name in metrics)


def _check_one_run(folder: Path, logs: Sequence[Log]) -> None:
    """Refuses what would silently become a curve of two runs."""
    places = sorted({str(log.path.parent) for log in logs})
    if len(places) > 1:
        raise ValueError(f"{folder} holds the logs of several runs; name them one by one: {' '.join(places)}")
    named = [log for log in logs if not is_event_file(log.path) and not log.path.stem.isdecimal()]
    firsts = [min(log.steps) for log in named]
    if len(firsts) != len(set(firsts)):
        raise ValueError(
            f"{folder} holds logs that begin at the same step; name the one that is meant, or each as a run of its "
            f"own: {' '.join(str(log.path) for log in named)}"
        )


def join(attempts: Sequence[Log], notes: list[str]) -> Steps:
    """Attempts in the order of the times in their names; where a name holds none, of their first steps.

    A later attempt began from a checkpoint: what an earlier one logged beyond that belongs to weights that were given
    up, and is left out. It may begin at an earlier step than one before it, if that was given up altogether.
    """
    times = {log.path: _time_of(log.path) for log in attempts}
    timed = None not in times.values()

    def place(log: Log) -> tuple[int, int, int, str]:
        return (times[log.path] or 0) if timed else 0, min(log.steps), len(log.path.name), log.path.name

    ordered = sorted(attempts, key=place)
    if len(ordered) > 1:
        spans = ", ".join(f"{log.path.name} ({min(log.steps)} to {max(log.steps)})" for log in ordered)
        notes.append(f"{len(ordered)} attempts joined by step: {spans}")
    joined: Steps = {}
    for log in ordered:
        first = min(log.steps)
        joined = merged([{step: metrics for step, metrics in joined.items() if step <= first}, log.steps])
    return joined


def _time_of(path: Path) -> int | None:
    """The time in the name of an event file, or of a file that a launcher has named by it."""
    if is_event_file(path):
        found = re.search(rf"{EVENTS}\.(\d{{1,18}})", path.name)
        return int(found[1]) if found else None
    return int(path.stem) if path.stem.isdecimal() else None


def label_of(path: Path, others: Sequence[Path]) -> str:
    """The file's or folder's own name; the whole path where another run has the same name."""
    name = _short(path)
    return name if [_short(other) for other in others].count(name) <= 1 else str(path)


def _short(path: Path) -> str:
    return path.stem if path.suffix == ".jsonl" else path.resolve().name
