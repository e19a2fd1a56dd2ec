"""``personadual plot``: curves of one or several runs, and which failure signs they show."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from personadual.monitor.runs import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN", help="folder with a run's logs (.jsonl, tfevents), or one log"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures, plot.json and plot.csv")
    parser.add_argument(
        "--label", type=_label, action="append", default=[], metavar="NAME=RUN", help="a run with the name to show"
    )
    parser.add_argument("--smooth", type=_positive, default=1, metavar="K", help="means of the last K values (1)")
    parser.add_argument(
        "--format-weight",
        type=float,
        metavar="W",
        help="reward of an answer's form alone (0.1): what never right gives",
    )


def run(args: argparse.Namespace) -> int:
    """Draw, write and tell; 2 where there is nothing usable to read."""
    from personadual.monitor.runs import read_run

    try:
        runs = [read_run(path, label) for path, label in _labelled(args.runs, args.label)]
        _write(runs, args.out, args.smooth, args.format_weight)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _labelled(paths: Sequence[Path], labels: Sequence[tuple[str, Path]]) -> list[tuple[Path, str]]:
    """Each run with its name, in the order given; ``--label`` names a run that is among the paths, or adds one."""
    from personadual.monitor.runs import label_of

    named = {path: name for name, path in labels}
    every = list(dict.fromkeys([*paths, *named]))
    if not every:
        raise ValueError("no run: name a folder with a run's logs, or one log")
    found = [(path, named.get(path) or label_of(path, every)) for path in every]
    names = [name for _, name in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two runs are called {name!r}; give them names by --label NAME=RUN")
    return found


def _write(runs: Sequence[Run], out: Path, smooth: int, format_weight: float | None) -> None:
    """Figures, ``plot.json`` and ``plot.csv``; then the signs, printed."""
    from personadual.files import output_folder, write_json, write_text
    from personadual.monitor.series import curves_of
    from personadual.monitor.signs import judge
    from personadual.monitor.thresholds import FORMAT_ONLY

    weight = FORMAT_ONLY if format_weight is None else format_weight
    curves = {run.label: curves_of(run.log) for run in runs}
    for run in runs:
        if not curves[run.label]:
            read = ", ".join(map(str, run.files))
            raise ValueError(f"{read}: no metric of DualGRPO or of verl's RL trainer that could be drawn")
    signs = {run.label: judge(run.log, curves[run.label], weight) for run in runs}
    try:
        from personadual.monitor.figures import plot_runs

        figures = plot_runs(runs, output_folder(out), smooth, weight)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name}, which draws the figures, is missing: pip install matplotlib"
        ) from None
    table = [
        {"run": run.label, **vars(curve), "step": step, "value": value}
        for run in runs
        for curve in curves[run.label]
        for step, value in zip(*_points(run, curve.metric), strict=True)
    ]
    write_text(out / "plot.csv", _csv(table))
    write_json(out / "plot.json", {"runs": [_as_json(run, curves[run.label], signs[run.label]) for run in runs]})
    for run in runs:
        print(_verdict(run, signs[run.label]))
    print(f"figures: {', '.join(map(str, figures))}", file=sys.stderr)


def _points(run: Run, metric: str) -> tuple[list[int], list[float]]:
    values = run.log[metric].dropna()
    return values.index.tolist(), values.tolist()


def _csv(table: Sequence[dict[str, Any]]) -> str:
    import pandas as pd

    return pd.DataFrame(table).to_csv(index=False, lineterminator="\n")


def _as_json(run: Run, curves: Sequence[Any], signs: Sequence[Any]) -> dict[str, Any]:
    return {
        "run": run.label,
        "files": [path.name for path in run.files],
        "notes": run.notes,
        "signs": [{**vars(sign), "look_next": sign.look_next} for sign in signs],
        "series": {c.metric: dict(zip(("step", "value"), _points(run, c.metric), strict=True)) for c in curves},
    }


def _verdict(run: Run, signs: Sequence[Any]) -> str:
    """The signs as a table for a terminal, and what to look at next where one shows."""
    from personadual.evaluation.text import plain_table, visible

    words = {True: "YES", False: "no", None: "?"}
    rows = [[sign.name, words[sign.shows], sign.value, sign.metric] for sign in signs]
    lines = [f"{visible(run.label)}: steps {int(run.log.index.min())} to {int(run.log.index.max())}"]
    lines += [f"  note: {visible(note)}" for note in run.notes]
    lines += ["", plain_table(["failure sign", "shows", "value", "metric"], rows), ""]
    lines += [f"{sign.name}: look at {sign.look_next}" for sign in signs if sign.shows]
    if not any(sign.shows for sign in signs):
        lines.append("none of these signs shows")
    return "\n".join(lines) + "\n"


def _label(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or not name or not path:
        raise argparse.ArgumentTypeError(f"NAME=RUN is needed, found {text!r}")
    return name, Path(path)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed, found {text}")
    return value
