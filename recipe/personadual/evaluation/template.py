"""Order and wording of ``report.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personadual.evaluation import measures, sections
from personadual.evaluation.figures import ACCURACY, MODE_CHOICE, TRAINING
from personadual.evaluation.text import foreign

if TYPE_CHECKING:
    from personadual.evaluation.report import Report

INTRODUCTION = """Each item is a question with a persona. A model answers it once freely, choosing its own mode, and \
once forced into each mode, all with greedy decoding. Brackets hold 95 % bootstrap intervals that resample questions; \
n counts items. \
*factual* pools the conditions none, unaligned, aligned and conflicting; *all* every item."""


def render(report: Report, has_curves: bool, title: str) -> str:
    mode = report.modes[1]
    shown = foreign(mode)
    parts = [f"# {title}\n", INTRODUCTION]
    parts += ["## What was run", sections.models_table(report.models)]
    parts += ["## What this shows", _bullets(report.shows)]
    parts += ["## What it does not show", _bullets(report.limits)]

    parts += [f"## Which mode is chosen\n\n![P({mode}) per condition and model](figures/{MODE_CHOICE})"]
    parts += [_part("Expected mode-selection error: 1 − P(right mode's tag)", report, measures.SELECTION_ERROR)]
    parts += [_part("The same, given that a valid tag is written", report, measures.CHOICE_ERROR)]
    parts += [_part(f"P({shown}): probability of its whole tag at temperature 1", report, measures.prob(mode))]
    parts += [_part("Tag validity: share of free answers that begin with a mode's tag", report, measures.TAG_VALIDITY)]
    parts += [_part("Greedy selection error: the free answer is not in the right mode", report, measures.GREEDY_ERROR)]

    parts += [f"## What it does to the answers\n\n![Accuracy per condition and model](figures/{ACCURACY})"]
    parts += [_part("Accuracy, mode chosen freely", report, measures.ACC_FREE)]
    parts += [_part(f"Accuracy, forced into {foreign(m)}", report, measures.acc(m)) for m in report.modes]
    parts += [_part("Hybrid Accuracy: the chosen mode is one of the most accurate", report, measures.HYBRID)]
    parts += [_part("Regret: accuracy that a perfect choice of mode would add", report, measures.REGRET)]
    parts += [_part("Free answers ended by the length limit", report, measures.TRUNCATED)]
    if len(report.contrasts):
        text = (
            "Interference: accuracy without a persona minus with it. Aligned gain: with the helpful one minus without."
        )
        parts += [f"### Interference and aligned gain\n\n{text}", sections.contrast_table(report.contrasts)]

    if len(report.differences):
        parts += ["## Differences between models", "Paired by item; a negative difference of an error is a gain."]
        for name, measure in {
            "Expected mode-selection error": measures.SELECTION_ERROR,
            "Accuracy, mode chosen freely": measures.ACC_FREE,
            "Tag validity": measures.TAG_VALIDITY,
        }.items():
            parts += [f"### {name}", sections.difference_table(report.differences, measure)]

    if report.log is not None:
        parts += ["## Training"]
        parts += [f"![Training curves](figures/{TRAINING})"] if has_curves else ["The log has none of the metrics."]
        parts += [sections.training_table(report.series())] if has_curves else []

    parts += [
        "## Samples",
        "The first items of each condition; long answers are cut.",
        sections.samples(report.rows, report.modes),
    ]
    for name, entries in report.extras.items():
        parts += [f"## Settings: {foreign(name)}", sections.settings_table(entries)]
    parts += ["Formulae of all measures: `recipe/personadual/evaluation/measures.py`; more numbers: `report.json`."]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _part(heading: str, report: Report, measure: str) -> str:
    return f"### {heading}\n\n{sections.measure_table(report.summary, measure)}"


def _bullets(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
