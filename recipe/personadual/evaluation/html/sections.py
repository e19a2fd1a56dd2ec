"""The numbers of the page in their order: each section its charts, its tables, and more tables folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personadual.evaluation import measures
from personadual.evaluation.columns import ALL, MODEL
from personadual.evaluation.comparisons import FAMILY, GROUPED, NEW, OLD
from personadual.evaluation.curves import matching
from personadual.evaluation.effects import ALIGNED_GAIN, INTERFERENCE, KEPT_GAIN
from personadual.evaluation.html.answers import accuracy_section, choice_section
from personadual.evaluation.html.axes import tick_text
from personadual.evaluation.html.comparing import comparison_table, spread_table
from personadual.evaluation.html.lines import curve_panel
from personadual.evaluation.html.names import measure_names
from personadual.evaluation.html.persona import effect_columns, effects_section
from personadual.evaluation.html.section import Section, models_of
from personadual.evaluation.html.tables import Cell, Column, Head, Line, Table, look_up, measure_table
from personadual.schema import CONDITION, FREE

if TYPE_CHECKING:
    from personadual.evaluation.report import Report

SHOWN_PAIRS = 4  # pairs of models up to which all comparisons over groups are unfolded


def sections(report: Report) -> list[Section]:
    """Every section that has something to show; the main results first."""
    makers = (_main, choice_section, accuracy_section, effects_section, _comparisons, _checks, _seeds, _training)
    return [section for make in makers if (section := make(report))]


def _main(report: Report) -> Section:
    names = measure_names(report.modes)
    shown = [measures.SELECTION_ERROR, measures.ACC_FREE, measures.HYBRID, measures.REGRET]
    shown += [measures.TAG_VALIDITY, measures.OVER_PERSONALIZED]
    columns = [Column(names[one], report.summary, {CONDITION: ALL, "measure": one}) for one in shown]
    columns += effect_columns(report, (INTERFERENCE, ALIGNED_GAIN, KEPT_GAIN), {"mode": FREE}, block=1)
    lines = [Line([model], {MODEL: model}) for model in models_of(report)]
    table = look_up("Measures over all items, effects of a persona on the free answers", ["model"], lines, columns)
    return Section("results", "Main results", tables=[table])


def _comparisons(report: Report) -> Section | None:
    frame, names = report.comparisons, measure_names(report.modes)
    if not len(frame):
        return None
    grouped, whole = frame[FAMILY] == GROUPED, frame[CONDITION] == ALL
    many = len(frame[[OLD, NEW]].drop_duplicates()) > SHOWN_PAIRS
    shown = grouped & whole if many else grouped
    text = (
        "Paired by item; a negative difference of an error, or of regret, is a gain. p is two-sided; the adjusted p is "
        "corrected over all comparisons over groups of items, or over all per condition."
    )
    tables = [comparison_table(frame[shown], "Over all items" if many else "Over groups of items", names)]
    folded = [
        comparison_table(frame[grouped & ~shown], "Over groups of items", names),
        comparison_table(frame[~grouped], "Per condition", names),
    ]
    return Section("comparisons", "Differences between models", text, tables=tables, folded=folded)


def _checks(report: Report) -> Section:
    table = comparison_table(report.checks, "Over all items", measure_names(report.modes))
    text = (
        "What training may have spoilt or gamed: accuracy when the mode is forced, lengths in tokens, answers with the "
        "tags of two modes, answers that the length limit ended."
    )
    folded = [
        measure_table(report.summary, measure, measure_names(report.modes)[measure].capitalize())
        for measure in (measures.TRUNCATED, measures.BOTH_TAGS)
    ]
    return Section("checks", "Checks", text, tables=[table], folded=folded)


def _seeds(report: Report) -> Section | None:
    frame, names = report.seeds, measure_names(report.modes)
    if not len(frame):
        return None
    whole = frame[CONDITION] == ALL
    tables = [spread_table(frame[whole], "Over all items", names)]
    folded = [spread_table(frame[~whole], "Per condition and group", names)]
    text = "Each training seed has one mean over the items; here is how far these lie apart."
    return Section("seeds", "Training seeds", text, tables=tables, folded=folded)


def _training(report: Report) -> Section | None:
    if report.log is None:
        return None
    panels = [
        curve_panel(panel.title, matching(report.log, panel), unit=panel.title.startswith("P("))
        for panel in report.panels
    ]
    rows = []
    for name, line in report.series().items():
        ends = [
            Cell(tick_text(float(value)), f"step {step}", float(value) if value == value else None, True)
            for step, value in ((line.index[0], line.iloc[0]), (line.index[-1], line.iloc[-1]))
        ]
        rows.append([Cell(name), *ends])
    head = [Head("metric"), Head("first", numeric=True), Head("last", numeric=True)]
    table = Table("First and last value of each curve", head, rows) if rows else None
    return Section("training", "Training", "", "Training curves", panels, (), [table])
