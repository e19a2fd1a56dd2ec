"""Curves of one or several runs: a row of panels per run, a colour per data source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from personadual.evaluation.style import COLOURS, GREY, literal, new_figure, save
from personadual.evaluation.text import visible
from personadual.metrics import TRAIN, VALIDATION
from personadual.monitor import series
from personadual.monitor.runs import Run
from personadual.monitor.series import ALL, Curve, curves_of, mode_names, pick, shown
from personadual.monitor.thresholds import COLLAPSE_BELOW, FORMAT_ONLY, INVALID_ABOVE

STYLES = ("-", "--", ":", "-.")
DPI = 110  # rows of five panels: sharp enough on a page, and small


@dataclass(frozen=True)
class Panel:
    """``mark``: the threshold of the sign that this panel shows, as a dotted line."""

    title: str
    where: str
    measure: str
    mode: str = ALL
    is_share: bool = True
    mark: float | None = None


def _choice(modes: Sequence[str]) -> list[Panel]:
    probability = [Panel(f"P({m}), deciding token", TRAIN, series.PROB, m, mark=COLLAPSE_BELOW) for m in modes]
    share = [Panel(f"validation: chose {m}", VALIDATION, series.SHARE, m) for m in modes]
    return [*probability, *share, Panel("validation: Hybrid Accuracy", VALIDATION, series.HYBRID)]


def _reward(modes: Sequence[str]) -> list[Panel]:
    reward = [Panel(f"reward, forced {m}", TRAIN, series.REWARD, m) for m in modes]
    win = [Panel(f"prompts won by {m}", TRAIN, series.WIN, m) for m in modes]
    return [*reward, *win, Panel("gap between modes", TRAIN, series.GAP)]


def _health(modes: Sequence[str]) -> list[Panel]:
    return [
        Panel("validation: no valid tag", VALIDATION, series.SHARE_INVALID, mark=INVALID_ABOVE),
        Panel("rollouts: no valid tag", TRAIN, series.SHARE_INVALID, mark=INVALID_ABOVE),
        Panel("KL to the SFT model", TRAIN, series.KL, is_share=False),
        Panel("mean response, tokens", TRAIN, series.LENGTH, is_share=False),
        Panel("longest response, tokens", TRAIN, series.LONGEST, is_share=False),
    ]


FIGURES: dict[str, Callable[[Sequence[str]], list[Panel]]] = {
    "choice.png": _choice,
    "reward.png": _reward,
    "health.png": _health,
}


def plot_runs(runs: Sequence[Run], folder: Path, smooth: int = 1, format_weight: float = FORMAT_ONLY) -> list[Path]:
    """Draw the figures for which there are metrics; their paths.

    ``smooth``: lines are means of the last so many logged values, with the values themselves faint behind them.
    ``format_weight``: what an answer gets for its form alone, a mark in the panels of rewards.
    """
    curves = [curves_of(run.log) for run in runs]
    modes = mode_names(curve for found in curves for curve in found)
    colours = _colours([curve.source for found in curves for curve in found])
    written = []
    for name, build in FIGURES.items():
        panels = [replace(p, mark=format_weight) if p.measure == series.REWARD else p for p in build(modes)]
        filled = [p for p in panels if any(pick(found, p.where, p.measure, p.mode) for found in curves)]
        if filled:
            written.append(_draw(runs, curves, filled, colours, folder / name, smooth))
    return written


def _colours(sources: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and line style of each source, the same in all panels; black where there is no source."""
    named = sorted({source for source in sources if source != ALL})
    found = {ALL: ("#000000", "-")}
    colours = COLOURS[:-1]
    for place, source in enumerate(named):
        found[source] = (colours[place % len(colours)], STYLES[place // len(colours) % len(STYLES)])
    return found


def _draw(
    runs: Sequence[Run],
    curves: Sequence[Sequence[Curve]],
    panels: Sequence[Panel],
    colours: dict[str, tuple[str, str]],
    path: Path,
    smooth: int,
) -> Path:
    height = (2.0 if len(runs) > 1 else 2.4) * len(runs) + 0.5
    figure, axes = new_figure(len(panels), 2.6 * len(panels) + 0.3, height, share_x=True, share_y="col", rows=len(runs))
    handles: dict[str, Any] = {}
    for place, axis in enumerate(axes):
        row, column = divmod(place, len(panels))
        panel, run = panels[column], runs[row]
        for curve in pick(curves[row], panel.where, panel.measure, panel.mode):
            colour, style = colours[curve.source]
            handles[shown(curve.source)] = _line(axis, run, curve, colour, style, smooth)
        if panel.mark is not None:
            axis.axhline(panel.mark, color=GREY, linewidth=0.9, linestyle=":")
        if panel.is_share:
            axis.set_ylim(-0.03, 1.03)
        if row == 0:
            axis.set_title(_text(panel.title), fontsize=9.5)
        if row == len(runs) - 1:
            axis.set_xlabel("step")
        if column == 0 and len(runs) > 1:
            axis.set_ylabel(_text(run.label))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["bottom", "left"]].set_color(GREY)
    for column, panel in enumerate(panels):
        own = axes[column :: len(panels)]
        # After everything is drawn: it ends the scaling that all rows share.
        drawn = [axis.dataLim for axis in own if axis.lines]
        if not panel.is_share and min(box.y0 for box in drawn) >= 0:
            own[0].set_ylim(0, 1.08 * max(box.y1 for box in drawn) or 1.0)
    if set(handles) - {shown(ALL)}:
        labels = sorted(handles, key=lambda label: (label == shown(ALL), label))
        lines = [handles[label] for label in labels]
        figure.legend(lines, list(map(_text, labels)), loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    return save(figure, path, dpi=DPI)


def _text(name: str) -> str:
    """A name that others gave, as it is written."""
    return literal(visible(name))


def _line(axis: Any, run: Run, curve: Curve, colour: str, style: str, smooth: int) -> Any:
    values = run.log[curve.metric].dropna()
    # A validation's few values are points; hundreds of steps are a line.
    marker = "o" if len(values) <= 20 else ""
    if smooth > 1:
        axis.plot(values.index, values.to_numpy(), style, color=colour, linewidth=0.8, alpha=0.3)
        values = values.rolling(smooth, min_periods=1).mean()
    (line,) = axis.plot(
        values.index, values.to_numpy(), style, color=colour, linewidth=1.6, marker=marker, markersize=3
    )
    return line
