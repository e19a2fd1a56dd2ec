"""Sections on the modes that are chosen and on the accuracy of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from personadual.evaluation import measures
from personadual.evaluation.columns import MODEL
from personadual.evaluation.html.axes import UNIT_AXIS
from personadual.evaluation.html.dots import Series, dot_panel, mode_kind
from personadual.evaluation.html.names import asked_name, measure_names
from personadual.evaluation.html.section import Key, Section, asked_keys, asked_kinds, asked_series, models_of
from personadual.evaluation.html.tables import (
    Line,
    Table,
    answers_table,
    condition_columns,
    look_up,
    measure_table,
)
from personadual.evaluation.summary import conditions_of, lookup
from personadual.schema import CONDITION, RIGHT_MODE, SOURCE

if TYPE_CHECKING:
    from personadual.evaluation.report import Report


def choice_section(report: Report) -> Section:
    models, mode, summary, names = models_of(report), report.modes[1], report.summary, measure_names(report.modes)
    two = len(report.modes) == 2
    kinds = {measures.prob(one): mode_kind(one, report.modes) for one in ([mode] if two else report.modes)}
    panels = []
    for condition in conditions_of(summary):
        series = [
            Series(kind, names[one], [lookup(summary, model=m, condition=condition, measure=one) for m in models])
            for one, kind in kinds.items()
        ]
        right = report.values[report.values[CONDITION] == condition][RIGHT_MODE].dropna().unique()
        subtitle = f"right mode: {right[0]}" if len(right) == 1 else "no single right mode"
        target = float(right[0] == mode) if len(right) == 1 and two else None
        panels.append(dot_panel(condition, models, series, UNIT_AXIS, subtitle, target))
    captions = {
        measures.SELECTION_ERROR: "Expected mode-selection error: 1 − P(right mode’s tag)",
        measures.OVER_PERSONALIZED: f"Over-personalization: share of {mode} among the free answers to objective items",
        measures.prob(mode): f"P({mode}): probability of its whole tag at temperature 1",
        measures.CHOICE_ERROR: "Selection error, given that a valid tag is written",
        measures.GREEDY_ERROR: "Greedy selection error: the greedy free answer is not in the right mode",
        measures.TAG_VALIDITY: "Valid tags: share of free answers that begin with a mode’s tag (the rest are invalid)",
    }
    tables = [measure_table(summary, measure, caption) for measure, caption in captions.items()]
    keys = [Key(kind, names[one]) for one, kind in kinds.items()]
    keys += [Key("target", "right mode")] if any(panel and panel.target is not None for panel in panels) else []
    text = "How probable it is that the model, sampling at temperature 1, opens its answer with the tag of a mode."
    title = f"P({mode}) per condition" if two else "Probability of each mode per condition"
    return Section("modes", "Which mode is chosen", text, title, panels, keys, tables[:2], tables[2:])


def accuracy_section(report: Report) -> Section:
    models, summary = models_of(report), report.summary
    panels = []
    for condition in conditions_of(summary):
        series = asked_series(report, summary, {CONDITION: condition}, "measure", measures.acc)
        panels.append(dot_panel(condition, models, series, UNIT_AXIS))
    names = {measures.acc(mode): asked_name(mode) for mode in asked_kinds(report)}
    tables = [
        answers_table(summary, names, "Accuracy, mode chosen freely and forced"),
        measure_table(summary, measures.HYBRID, "Hybrid Accuracy: the chosen mode is one of the most accurate"),
        measure_table(summary, measures.REGRET, "Regret: accuracy that a perfect choice of mode would add"),
    ]
    folded = _source_tables(report, names)
    text = "A free answer is in the mode that the model chose; a forced one starts with the mode’s tag."
    return Section(
        *("accuracy", "What it does to the answers", text, "Accuracy per condition"),
        *(panels, asked_keys(report), tables, folded),
    )


def _source_tables(report: Report, names: dict[str, str]) -> list[Table | None]:
    frame = report.sources
    if not len(frame):
        return []
    pairs = [(source, model) for source in pd.unique(frame[SOURCE]) for model in models_of(report)]
    tables = []
    for caption, shown in {
        "Accuracy per data source": names,
        "Expected mode-selection error per data source": {measures.SELECTION_ERROR: "tag at temperature 1"},
    }.items():
        lines = [
            Line([source, model, name], {SOURCE: source, MODEL: model, "measure": measure})
            for source, model in pairs
            for measure, name in shown.items()
        ]
        tables.append(look_up(caption, ["source", "model", "answer"], lines, condition_columns(frame)))
    return tables
