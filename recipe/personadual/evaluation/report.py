"""``report.md``, ``report.html`` and ``report.json`` with their figures, from files of generations alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from personadual.evaluation import measures, sections, tables
from personadual.evaluation.columns import MODEL, RESPONSE, SEED
from personadual.evaluation.comparisons import checks, comparisons
from personadual.evaluation.curves import Panel, default_panels, matching, plot_training, read_training_log
from personadual.evaluation.effects import effects
from personadual.evaluation.figures import ACCURACY, MODE_CHOICE, TRAINING, plot_accuracy, plot_mode_choice
from personadual.evaluation.findings import what_it_shows
from personadual.evaluation.fingerprint import command_line
from personadual.evaluation.grid import to_grid
from personadual.evaluation.limits import mixed_settings, mixed_temperatures, uneven_samples, what_it_does_not_show
from personadual.evaluation.load import mode_names, read_generations, recorded_modes
from personadual.evaluation.options import Statistics
from personadual.evaluation.orders import attack_families, orders_by_family
from personadual.evaluation.runfile import SESSIONS, SETTINGS, read_meta, read_object
from personadual.evaluation.runs import Run, incomplete, not_compared, same_weights, seeds_without, told_same, without
from personadual.evaluation.summary import by_source, seed_spread, summarise
from personadual.evaluation.text import escape, plain_table
from personadual.evaluation.verdict import over_personalization_cost, verdicts
from personadual.files import write_text
from personadual.reward_fns.graders import PRIVATE_SOURCES
from personadual.schema import DATA_SOURCE, GROUND_TRUTH, ITEM, PERSONA, QUESTION

FIGURES = "figures"
WITHHELD = "(not shown: the set's authors ask for that)"
PACKAGES = ("scipy", "statsmodels", "matplotlib")
DEFAULT_STATISTICS = Statistics()


@dataclass
class Report:
    """Everything that is told, before it is written.

    Long frames of estimates: ``summary`` (measures), ``sources``, ``effects``, ``comparisons``, ``checks``; ``seeds``:
    spread over training runs; ``verdicts``: one dictionary a model. Each is described where it is made.
    """

    title: str
    rows: pd.DataFrame
    models: list[dict[str, Any]]
    extras: dict[str, Any] = field(default_factory=dict)  # run and manifest, as given
    log: pd.DataFrame | None = None
    panels: Sequence[Panel] = ()
    statistics: Statistics = field(default_factory=Statistics)
    mode_order: Sequence[str] | None = None  # as the runs' settings have it; None where nothing is recorded
    same: Mapping[Run, int] = field(default_factory=dict)  # runs.same_weights; their rows are not among ``rows``

    def __post_init__(self) -> None:
        chosen = self.statistics
        self.modes = mode_names(self.rows, self.mode_order)
        self.values = measures.item_values(self.rows, self.modes)
        grid = to_grid(self.values)
        pairs = chosen.pairs(list(grid.values))
        self.verdicts = verdicts(grid, self.modes, chosen.baseline, chosen.margin)
        self.summary = summarise(grid, self.modes)
        self.sources = by_source(grid, self.modes)
        self.seeds = seed_spread(grid, self.modes)
        cost = over_personalization_cost(grid, self.modes, chosen.baseline)
        obeyed = orders_by_family(grid, self.modes, attack_families(self.rows, self.modes))
        self.effects = pd.concat([effects(grid, self.modes), cost, obeyed], ignore_index=True)
        self.comparisons = comparisons(grid, pairs, self.modes, chosen.correction)
        self.checks = checks(grid, pairs, self.modes, chosen.correction)
        self.shows = what_it_shows(self.summary, self.values, self.comparisons, self.checks, self.modes)
        tested = pd.concat([self.comparisons, self.checks], ignore_index=True)
        self.limits = told_same(self.same) + mixed_settings(self.models, self.extras.get("manifest"))
        self.limits += mixed_temperatures(self.rows) + uneven_samples(self.rows)
        self.limits += incomplete(self.values, self.modes) + seeds_without(self.values, self.modes)
        self.limits += not_compared(self.summary, tested, pairs, self.modes)
        self.limits += what_it_does_not_show(self.rows, self.values, self.summary, tested, chosen)
        self.panels = self.panels or default_panels(self.modes[1])
        self.rows = withheld(self.rows)  # after all that reads a text

    def series(self) -> dict[str, pd.Series]:
        if self.log is None:
            return {}
        return {
            panel.title if label in panel.patterns else f"{panel.title}, {label}": line
            for panel in self.panels
            for label, line in matching(self.log, panel).items()
        }


def withheld(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` without the texts of sets whose authors ask that no question of theirs be shown."""
    private = rows[DATA_SOURCE].isin(PRIVATE_SOURCES)
    if not private.any():
        return rows
    texts = [PERSONA, QUESTION, GROUND_TRUTH, RESPONSE]
    return rows.assign(**{name: rows[name].mask(private, WITHHELD) for name in texts})


def read_report(
    paths: Sequence[Path],
    title: str,
    training_logs: Sequence[Path] = (),
    extras: Mapping[str, Path | None] | None = None,
    panels: Sequence[Panel] = (),
    statistics: Statistics = DEFAULT_STATISTICS,
) -> Report:
    """Read the generations, their settings, and what else is given. Of runs of one label with equal weights one stays.

    Raises:
        ValueError: rows that are none, or a model in ``statistics`` that has no rows.
        ModuleNotFoundError: one of ``PACKAGES`` is not installed.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"a report needs {package}, which is missing: pip install 'personadual[report]'")
    rows = read_generations(paths)
    metas = {}
    for path in paths:
        meta = read_meta(path)
        if meta:
            metas[(meta[SETTINGS].get("label"), meta[SETTINGS].get("seed"))] = meta
    same = same_weights(rows, metas)
    rows = without(rows, same)
    models = []
    for (label, seed), part in rows.groupby([MODEL, SEED], sort=False):
        meta = metas.get((label, seed), {})
        counts = {"items": int(part[ITEM].nunique()), "answers": len(part)}
        settings = {"settings": meta.get(SETTINGS, {}), "sessions": meta.get(SESSIONS, [])}
        models.append({MODEL: label, SEED: int(part[SEED].iloc[0]), **counts, **settings})
    log = read_training_log(training_logs) if training_logs else None
    loaded = {name: read_object(path) for name, path in (extras or {}).items() if path is not None}
    return Report(title, rows, models, loaded, log, panels, statistics, recorded_modes(paths), same)


def write_report(report: Report, out: Path) -> Path:
    """Figures first, then ``report.json``, ``report.html`` and ``report.md``, each written whole."""
    from personadual.evaluation.html.page import render_page

    figures = out / FIGURES
    plot_mode_choice(report.summary, report.values, report.modes, figures / MODE_CHOICE)
    plot_accuracy(report.summary, report.modes, figures / ACCURACY)
    has_curves = report.log is not None and plot_training(report.log, report.panels, figures / TRAINING) is not None
    write_text(out / "report.json", json.dumps(as_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(out / "report.html", render_page(report, command_line()))
    write_text(out / "report.md", as_markdown(report, has_curves))
    return out / "report.md"


def as_json(report: Report) -> dict[str, Any]:
    """The numbers of the report; null where a value does not exist."""
    frames = {
        "measures": report.summary,
        "effects": report.effects,
        "comparisons": report.comparisons,
        "checks": report.checks,
        "sources": report.sources,
        "seeds": report.seeds,
    }
    return {
        "title": report.title,
        "modes": report.modes,
        "models": report.models,
        "statistics": report.statistics.as_json(),
        "verdicts": _records(pd.DataFrame(report.verdicts)),
        **{name: _records(frame) for name, frame in frames.items()},
        "shows": report.shows,
        "does_not_show": report.limits,
        "training": {name: {"step": [*line.index], "value": [*line]} for name, line in report.series().items()},
        **report.extras,
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Values to 12 decimals, p to 12 digits: however small, it is not 0."""
    if not len(frame):
        return []
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=12))
    for name in {"p", "p_adjusted"} & set(frame):
        for record, p in zip(found, frame[name], strict=True):
            record[name] = float(f"{p:.12g}") if p == p else None
    return found


def terminal_text(report: Report) -> str:
    """The verdicts and the main tables for a terminal."""
    labels = list(pd.unique(report.rows[MODEL]))
    mode = report.modes[1]
    shown = {
        "Expected mode-selection error (lower is better)": measures.SELECTION_ERROR,
        f"P({mode})": measures.prob(mode),
        "Accuracy of free answers": measures.ACC_FREE,
    }
    parts = [tables.verdict_text(report.verdicts) + "\n"]
    for heading, measure in shown.items():
        rows = sections.measure_rows(report.summary, measure, labels)
        parts.append(f"{heading}\n{plain_table(['condition', 'n', *labels], rows)}\n")
    return "\n".join(parts)


def as_markdown(report: Report, has_curves: bool) -> str:
    """The text of ``report.md``."""
    from personadual.evaluation.template import render

    return render(report, has_curves, escape(report.title))
