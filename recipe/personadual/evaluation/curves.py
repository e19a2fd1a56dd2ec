"""The report's training curves, from files of verl's ``file`` logger (``personadual.monitor.logs``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from personadual.evaluation.style import COLOURS, GREY, literal, new_figure, save
from personadual.monitor.logs import read_training_log as read_training_log
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
