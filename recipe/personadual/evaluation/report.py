"""``report.md`` and ``report.json`` with their figures, from files of generations alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from personadual.evaluation import measures, sections
from personadual.evaluation.columns import MODEL, SEED
from personadual.evaluation.curves import Panel, default_panels, matching, plot_training, read_training_log
from personadual.evaluation.figures import ACCURACY, MODE_CHOICE, TRAINING, plot_accuracy, plot_mode_choice
from personadual.evaluation.findings import compared_measures, what_it_shows
from personadual.evaluation.limits import mixed_settings, what_it_does_not_show
from personadual.evaluation.load import mode_names, read_generations
from personadual.evaluation.runfile import SESSIONS, SETTINGS, read_meta
from personadual.evaluation.summary import contrasts, paired_differences, summarise
from personadual.evaluation.text import escape, plain_table
from personadual.files import write_text
from personadual.schema import ITEM

FIGURES = "figures"


@dataclass
class Report:
    """Everything that is told, before it is written."""

    title: str
    rows: pd.DataFrame
    models: list[dict[str, Any]]
    extras: dict[str, Any] = field(default_factory=dict)  # run and manifest, as given
    log: pd.DataFrame | None = None
    panels: Sequence[Panel] = ()

    def __post_init__(self) -> None:
        self.modes = mode_names(self.rows)
        self.values = measures.item_values(self.rows, self.modes)
        self.summary = summarise(self.values, self.modes)
        self.contrasts = contrasts(self.values, self.modes)
        labels = list(pd.unique(self.rows[MODEL]))
        compared = [*compared_measures(self.modes), measures.HYBRID, measures.prob(self.modes[1])]
        pairs = itertools.pairwise(labels)
        found = [paired_differences(self.values, old, new, compared) for old, new in pairs]
        self.differences = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
        self.shows = what_it_shows(self.summary, self.differences, self.modes)
        self.limits = mixed_settings(self.models, self.extras.get("manifest"))
        self.limits += what_it_does_not_show(self.rows, self.values, self.summary, self.differences)
        self.panels = self.panels or default_panels(self.modes[1])

    def series(self) -> dict[str, pd.Series]:
        if self.log is None:
            return {}
        return {
            panel.title if label in panel.patterns else f"{panel.title}, {label}": line
            for panel in self.panels
            for label, line in matching(self.log, panel).items()
        }


def read_report(
    paths: Sequence[Path],
    title: str,
    training_logs: Sequence[Path] = (),
    extras: Mapping[str, Path | None] | None = None,
    panels: Sequence[Panel] = (),
) -> Report:
    """Read the generations, their settings, and what else is given."""
    rows = read_generations(paths)
    metas = {}
    for path in paths:
        meta = read_meta(path)
        if meta:
            metas[(meta[SETTINGS].get("label"), meta[SETTINGS].get("seed"))] = meta
    models = []
    for (label, seed), part in rows.groupby([MODEL, SEED], sort=False):
        meta = metas.get((label, seed), {})
        counts = {"items": int(part[ITEM].nunique()), "answers": len(part)}
        settings = {"settings": meta.get(SETTINGS, {}), "sessions": meta.get(SESSIONS, [])}
        models.append({MODEL: label, SEED: int(part[SEED].iloc[0]), **counts, **settings})
    log = read_training_log(training_logs) if training_logs else None
    loaded = {name: _read_object(path) for name, path in (extras or {}).items() if path is not None}
    return Report(title, rows, models, loaded, log, panels)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: a JSON object is needed, found {type(found).__name__}")
    return found


def write_report(report: Report, out: Path) -> Path:
    """Figures first, then ``report.json`` and ``report.md``, each written whole."""
    figures = out / FIGURES
    plot_mode_choice(report.summary, report.values, report.modes, figures / MODE_CHOICE)
    plot_accuracy(report.summary, report.modes, figures / ACCURACY)
    has_curves = report.log is not None and plot_training(report.log, report.panels, figures / TRAINING) is not None
    write_text(out / "report.json", json.dumps(as_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(out / "report.md", as_markdown(report, has_curves))
    return out / "report.md"


def as_json(report: Report) -> dict[str, Any]:
    """The numbers of the report; null where a value does not exist."""
    frames = {"measures": report.summary, "contrasts": report.contrasts, "differences": report.differences}
    return {
        "title": report.title,
        "modes": report.modes,
        "models": report.models,
        **{name: _records(frame) for name, frame in frames.items()},
        "shows": report.shows,
        "does_not_show": report.limits,
        "training": {name: {"step": [*line.index], "value": [*line]} for name, line in report.series().items()},
        **report.extras,
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(frame.to_json(orient="records", double_precision=12)) if len(frame) else []


def terminal_text(report: Report) -> str:
    """The main tables for a terminal."""
    labels = list(pd.unique(report.rows[MODEL]))
    mode = report.modes[1]
    tables = {
        "Expected mode-selection error (lower is better)": measures.SELECTION_ERROR,
        f"P({mode})": measures.prob(mode),
        "Accuracy of free answers": measures.ACC_FREE,
    }
    parts = []
    for heading, measure in tables.items():
        rows = sections.measure_rows(report.summary, measure, labels)
        parts.append(f"{heading}\n{plain_table(['condition', 'n', *labels], rows)}\n")
    return "\n".join(parts)


def as_markdown(report: Report, has_curves: bool) -> str:
    """The text of ``report.md``."""
    from personadual.evaluation.template import render

    return render(report, has_curves, escape(report.title))
