"""How fast each arm learns to choose: its training batches by step, as a table, a CSV file and a figure.

The error of a step is the probability of the wrong mode at the deciding token (where an arm forces no mode, the share
of rollouts in the wrong mode), averaged over the bed's five conditions, each of which counts the same: a model that is
always in general mode has 0.40. A batch has few prompts of some conditions, so what is shown is the mean over the last
WINDOW steps. These are training prompts; the tables of answers are about held-out ones.

    python examples/experiment/learning.py outputs/experiment/runs --out docs/results/experiment
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from personadual import schema
from personadual.evaluation.style import COLOURS, literal, new_figure, save
from personadual.files import write_text
from personadual.metrics import TRAIN
from personadual.modes import GENERAL, PERSONALIZED
from personadual.monitor.logs import read_training_log

WINDOW = 5
SHOWN = (5, 10, 20, 30, 45, 60)
REACHED = (0.3, 0.2, 0.1)
RIGHT = {
    schema.NONE: GENERAL,
    schema.UNALIGNED: GENERAL,
    schema.CONFLICTING: GENERAL,
    schema.ALIGNED: PERSONALIZED,
    schema.PERSONAL: PERSONALIZED,
}
ERROR = "error"
ONE_MODE = "_only"


def choices(log: pd.DataFrame) -> pd.DataFrame:
    """P(personalized) of each condition by step, smoothed, and the error that follows."""
    found = {}
    for condition in RIGHT:
        scope = f"{TRAIN}/{schema.QUICKSTART_SOURCE_PREFIX}{condition}"
        names = (f"{scope}/{kind}_{PERSONALIZED.name}/mean" for kind in ("prob", "share"))
        name = next((name for name in names if name in log), None)
        if name is None:
            raise SystemExit(f"no probability and no share of {PERSONALIZED.name} under {condition} in the log")
        found[condition] = log[name]
    smooth = pd.DataFrame(found).rolling(WINDOW, min_periods=1).mean()
    wrong = [smooth[name] if right is GENERAL else 1 - smooth[name] for name, right in RIGHT.items()]
    return smooth.assign(**{ERROR: pd.concat(wrong, axis=1).mean(axis=1)})


def runs(folder: Path) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Arm, seed and choices of every RL run in ``folder`` that has a choice: not where all rollouts are of one mode."""
    for path in sorted(folder.iterdir()):
        name = re.fullmatch(r"(\w{1,60})_s(\d{1,4})", path.name)
        # By time: a run that was stopped has a file for each attempt.
        files = sorted(path.glob("metrics/*.jsonl"), key=lambda file: int(file.stem))
        if name and files and not name[1].endswith(ONE_MODE):
            log = read_training_log(files)
            if not log.empty:
                yield name[1], int(name[2]), choices(log)


def reached(error: pd.Series, bound: float) -> str:
    """The first step from which on the error stays at or below ``bound``."""
    above = error.index[error > bound]
    after = error.index if above.empty else error.index[error.index > above[-1]]
    return str(after[0]) if len(after) else "–"


def markdown(found: list[tuple[str, int, pd.DataFrame]]) -> str:
    titles = [f"step {step}" for step in SHOWN] + [f"≤ {bound} from step" for bound in REACHED]
    lines = ["| arm | seed | " + " | ".join(titles) + " |", "|" + " --- |" * (len(titles) + 2)]
    for arm, seed, table in found:
        error = table[ERROR]
        cells = [f"{error[step]:.2f}" if step in error.index else "–" for step in SHOWN]
        cells += [reached(error, bound) for bound in REACHED]
        lines.append("| " + " | ".join([f"`{arm}`", str(seed), *cells]) + " |")
    return "\n".join(lines)


def plot(found: list[tuple[str, int, pd.DataFrame]], arms: list[str], path: Path) -> None:
    """The error of each of ``arms`` by step: mean of its seeds, and each seed thinly."""
    figure, (axis,) = new_figure(width=7.0, height=3.6)
    for arm, colour in zip(arms, COLOURS, strict=False):
        tables = [table[ERROR] for name, _, table in found if name == arm]
        for table in tables if len(tables) > 1 else []:
            axis.plot(table.index, table, color=colour, linewidth=0.7, alpha=0.5)
        mean = pd.concat(tables, axis=1, join="inner").mean(axis=1)
        axis.plot(mean.index, mean, color=colour, linewidth=1.8, label=literal(f"{arm} ({len(tables)})"))
    axis.set_xlabel("step")
    axis.set_ylabel("error of the choice, training")
    axis.set_ylim(0, None)
    axis.legend(frameon=False, fontsize=8, title="arm (seeds)")
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the runs, each ARM_sSEED with metrics/*.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="folder for learning.md, learning.csv, learning.png")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="arms of the figure (those with most seeds)")
    args = parser.parse_args()
    found = list(runs(args.runs))
    if not found:
        raise SystemExit(f"{args.runs}: no folder ARM_sSEED/metrics with *.jsonl files in it")
    counts = pd.Series([arm for arm, _, _ in found]).value_counts()
    arms = args.arms or list(counts.index[counts == counts.max()][: len(COLOURS)])
    missing = set(arms) - set(counts.index)
    if missing:
        raise SystemExit(f"--arms: {', '.join(sorted(missing))} not in {args.runs}; found: {', '.join(counts.index)}")
    rows = pd.concat([table.assign(arm=arm, seed=seed) for arm, seed, table in found])
    args.out.mkdir(parents=True, exist_ok=True)
    rows.index.name = "step"
    write_text(args.out / "learning.csv", rows.reset_index().round(4).to_csv(index=False, lineterminator="\n"))
    write_text(args.out / "learning.md", markdown(found) + "\n")
    plot(found, arms, args.out / "learning.png")
    print(markdown(found))


if __name__ == "__main__":
    main()
