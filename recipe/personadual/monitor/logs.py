"""One file of a training log as metrics by step: verl's ``file`` logger and its ``tensorboard`` logger."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

Steps = dict[int, dict[str, float]]

# How a file of verl's file logger begins (verl/utils/tracking.py:543, 0.9.1). Dumped rollouts are .jsonl as well.
_FIRST_LINE = re.compile(rb'\s{0,8}\{\s{0,8}"step"\s{0,8}:\s{0,8}-?\d{1,18}\s{0,8},\s{0,8}"data"\s{0,8}:')
EVENTS = "tfevents"


@dataclass(frozen=True)
class Log:
    """One file's metrics by step; ``torn``: its last line was cut off and is left out."""

    path: Path
    steps: Steps
    torn: bool = False


def is_file_log(path: Path) -> bool:
    """Whether the file begins as verl's file logger writes."""
    with path.open("rb") as stream:
        return _FIRST_LINE.match(stream.read(200)) is not None


def is_event_file(path: Path) -> bool:
    """By its name, as tensorboard decides it."""
    return EVENTS in path.name and not path.name.endswith(".profile-empty")


def read_log(path: Path) -> Log:
    """``read_events`` or ``read_lines``, by the file's name."""
    return read_events(path) if is_event_file(path) else read_lines(path)


def read_lines(path: Path) -> Log:
    """A file of ``{"step": n, "data": {...}}`` lines. What is not a finite number is left out.

    The last line may be cut off, as a killed run leaves it; it counts as cut off where its newline is missing.

    Raises:
        ValueError: with file and line, for a whole line that is no such object.
    """
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    steps: Steps = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entry = json.loads(line)
            step, metrics = entry["step"], entry["data"]
            if isinstance(step, bool) or int(step) != step or not isinstance(metrics, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise ValueError(f'{path}:{number}: {{"step": n, "data": {{...}}}} is needed') from None
        steps.setdefault(int(step), {}).update(numbers(metrics))
    return Log(path, steps, torn=len(whole) < len(data))


def read_events(path: Path) -> Log:
    """The scalars of a tensorboard event file; reading stops at a record that is cut off, as tensorboard's does.

    Raises:
        ModuleNotFoundError: tensorboard is not installed.
        ValueError: the file has no scalars.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
    except ModuleNotFoundError as error:
        name = (error.name or "tensorboard").partition(".")[0]
        raise ModuleNotFoundError(
            f"{path}: an event file is read by tensorboard, and {name} is missing: pip install tensorboard"
        ) from None
    from google.protobuf.message import DecodeError

    # 0 keeps every scalar; purging would drop the steps before a resumed attempt's first.
    events = EventAccumulator(str(path), size_guidance={SCALARS: 0}, purge_orphaned_data=False)
    try:
        events.Reload()
    except DecodeError:
        raise ValueError(f"{path}: not a tensorboard event file") from None
    steps: Steps = {}
    for name in events.Tags()[SCALARS]:
        for event in events.Scalars(name):
            steps.setdefault(int(event.step), {}).update(numbers({name: event.value}))
    if not steps:
        raise ValueError(f"{path}: a tensorboard event file with scalars is needed, and none was found in it")
    return Log(path, steps)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The entries that are finite numbers, as floats."""
    found = {}
    for name, value in metrics.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                continue
            if math.isfinite(number):
                found[name] = number
    return found


def as_frame(steps: Steps) -> pd.DataFrame:
    """Metrics by step, one column each, steps in order."""
    return pd.DataFrame.from_dict(dict(sorted(steps.items())), orient="index")


def merged(parts: Iterable[Steps]) -> Steps:
    """One by step and metric; where two have the same, the later part's."""
    steps: Steps = {}
    for part in parts:
        for step, metrics in part.items():
            steps.setdefault(step, {}).update(metrics)
    return steps


def read_training_log(paths: Sequence[Path]) -> pd.DataFrame:
    """Numeric metrics by step, one column each; a resumed run's later file replaces the values it repeats.

    Raises:
        ValueError: with file and line, for a whole line that is no such object.
    """
    logs = [read_lines(path) for path in paths]
    for log in logs:
        if log.torn:
            warnings.warn(f"{log.path}: the last line is incomplete and left out", stacklevel=2)
    return as_frame(merged(log.steps for log in logs))
