"""Look of the figures: sizes, and colours that stay apart for colour-blind readers (Okabe and Ito 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from personadual.files import write_whole

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"


def new_figure(
    columns: int = 1,
    width: float = 8.0,
    height: float = 3.6,
    share_y: bool | Literal["col"] = False,
    share_x: bool = False,
    rows: int = 1,
) -> tuple[Any, list[Any]]:
    """A figure and its axes, row by row; nothing global is changed and no display is needed.

    ``share_x``, ``share_y``: as matplotlib's ``sharex`` and ``sharey``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y).flatten()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(length=3, labelsize=10)
    return figure, list(axes)


def literal(label: str) -> str:
    """A label as it is written: matplotlib would read dollar signs as mathematics and hide a leading underscore."""
    return ("\u200b" if label.startswith("_") else "") + label.replace("$", r"\$")


def save(figure: Any, path: Path, dpi: int = 150) -> Path:
    """Write a PNG whose bytes depend on the figure alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"format": path.suffix.lstrip("."), "dpi": dpi, "metadata": {"Software": None}}
    write_whole(path, lambda temporary: figure.savefig(temporary, **options))
    return path
