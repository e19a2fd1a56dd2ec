"""Section on what a persona does to accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from personadual.evaluation.columns import MODEL
from personadual.evaluation.effects import ALIGNED_GAIN, EFFECT, INTERFERENCE, KEPT_GAIN
from personadual.evaluation.html.axes import signed_axis
from personadual.evaluation.html.comparing import notes_of
from personadual.evaluation.html.dots import dot_panel
from personadual.evaluation.html.names import asked_name, effect_name
from personadual.evaluation.html.section import Section, asked_keys, asked_kinds, asked_series, models_of
from personadual.evaluation.html.tables import Column, Line, look_up
from personadual.evaluation.orders import OBEYED
from personadual.schema import CONDITION

if TYPE_CHECKING:
    from personadual.evaluation.report import Report


def effect_columns(report: Report, effects: Sequence[str], keys: dict[str, str], block: int = 0) -> list[Column]:
    """One column per (effect, condition) that the report has, in its order; all but the kept share are signed."""
    found: list[Column] = []
    frame = report.effects
    for effect, condition in frame[[EFFECT, CONDITION]].drop_duplicates().to_numpy() if len(frame) else ():
        if effect in effects:
            found_at = {EFFECT: effect, CONDITION: condition, **keys}
            found.append(Column(effect_name(effect, condition), frame, found_at, block, effect != KEPT_GAIN))
    return found


def effects_section(report: Report) -> Section | None:
    frame = report.effects
    if not len(frame):
        return None
    models = models_of(report)
    columns = effect_columns(report, (INTERFERENCE, ALIGNED_GAIN), {})
    found = [asked_series(report, frame, column.keys, "mode") for column in columns]
    axis = signed_axis(estimate for series in found for one in series for estimate in one.estimates)
    panels = [dot_panel(column.text, models, series, axis) for column, series in zip(columns, found, strict=True)]
    lines = [
        Line([model, asked_name(mode)], {MODEL: model, "mode": mode})
        for model in models
        for mode in asked_kinds(report)
    ]
    apart = (INTERFERENCE, ALIGNED_GAIN, *OBEYED.values())
    others = [name for name in pd.unique(frame[EFFECT]) if name not in apart]
    per_model = [Line([model], {MODEL: model}) for model in models]
    tables = [
        look_up("Interference and aligned gain; n counts questions", ["model", "answer"], lines, columns),
        look_up(
            "Further effects",
            ["model"],
            per_model,
            effect_columns(report, others, {}),
            notes_of(frame, others),
        ),
        look_up(
            "Order obeyed, by what the persona tries",
            ["model"],
            per_model,
            effect_columns(report, [*OBEYED.values()], {}),
        ),
    ]
    text = (
        "Interference: accuracy without a persona minus accuracy with it; positive, the persona hurts. Aligned gain: "
        "accuracy with the helpful persona minus accuracy without; positive, it helps. Both over the questions that "
        "stand under both conditions."
    )
    title = "Effects on accuracy with 95 % intervals"
    return Section("effects", "What a persona does to accuracy", text, title, panels, asked_keys(report), tables)
