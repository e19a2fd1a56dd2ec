"""Training curves from the file that verl's ``file`` logger writes, one ``{"step": n, "data": {...}}`` a line."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from personadual.evaluation.runfile import complete_lines
from personadual.evaluation.style import COLOURS, GREY, literal, new_figure, save
from personadual.schema import QUICKSTART_SOURCE_PREFIX


@dataclass(frozen=True)
class Panel:
    """One plot: every metric that matches one of the shell-style ``patterns`` (``*`` also matches slashes)."""

    title: str
    patterns: tuple[str, ...]


def default_panels(mode: str) -> tuple[Panel, ...]:
    """Reward, P(``mode``) of each data source, KL to the reference model, gradient norm."""
    return (
        Panel("reward", ("critic/score/mean",)),
        Panel(f"P({mode}), deciding token", (f"dual_grpo/*/prob_{mode}/mean",)),
        Panel("KL loss", ("actor/kl_loss",)),
        Panel("gradient norm", ("actor/grad_norm",)),
    )


def read_training_log(paths: Sequence[Path]) -> pd.DataFrame:
    """Numeric metrics by step, one column each; a resumed run's later file replaces the steps it repeats.

    Raises:
        ValueError: with file and line, for a whole line that is no such object.
    """
    steps: dict[int, dict[str, float]] = {}
    for path in paths:
        data = path.read_bytes()
        kept = complete_lines(data)
        if len(kept) < len(data):
            warnings.warn(f"{path}: the last line is incomplete and left out", stacklevel=2)
        own: dict[int, dict[str, float]] = {}
        for number, line in enumerate(kept.splitlines(), start=1):
            try:
                entry = json.loads(line)
                step, metrics = int(entry["step"]), entry["data"].items()
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ValueError(f'{path}:{number}: {{"step": n, "data": {{...}}}} is needed') from None
            numeric = {k: float(v) for k, v in metrics if isinstance(v, (int, float)) and not isinstance(v, bool)}
            own.setdefault(step, {}).update(numeric)
        steps.update(own)
    return pd.DataFrame.from_dict(steps, orient="index").sort_index()


def matching(log: pd.DataFrame, panel: Panel) -> dict[str, pd.Series]:
    """The panel's series that have values, by a short label: what the pattern's wildcard stood for."""
    found = {}
    for pattern in panel.patterns:
        for name in log.columns:
            if fnmatchcase(name, pattern) and log[name].notna().any():
                label = name
                if "*" in pattern:
                    before, after = pattern.split("*", 1)[0], pattern.rsplit("*", 1)[1]
                    label = name[len(before) : len(name) - len(after)].removeprefix(QUICKSTART_SOURCE_PREFIX)
                found[label] = log[name].dropna()
    return found


def plot_training(log: pd.DataFrame, panels: Sequence[Panel], path: Path) -> Path | None:
    """Small multiples over the training steps. Panels without a metric are left out; None if none has one."""
    filled = [(panel, series) for panel in panels if (series := matching(log, panel))]
    if not filled:
        return None
    figure, axes = new_figure(len(filled), width=max(4.0, 3.1 * len(filled)), height=3.2)
    for axis, (panel, series) in zip(axes, filled, strict=True):
        for index, (label, line) in enumerate(series.items()):
            style = "-" if index < len(COLOURS) else "--"
            colour = COLOURS[index % len(COLOURS)] if len(series) > 1 else COLOURS[0]
            axis.plot(line.index, line.to_numpy(), style, color=colour, linewidth=1.8, label=literal(label))
        if len(series) > 1:
            axis.legend(frameon=False, fontsize=8)
        if panel.title.startswith("P("):
            axis.set_ylim(-0.02, 1.02)
        axis.set_title(literal(panel.title), fontsize=10.5)
        axis.set_xlabel("step")
        axis.spines[["bottom", "left"]].set_color(GREY)
    return save(figure, path)
