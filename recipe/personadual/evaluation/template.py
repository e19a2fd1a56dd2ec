"""Order and wording of ``report.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personadual.evaluation import measures, sections, tables
from personadual.evaluation.columns import TEMPERATURE
from personadual.evaluation.comparisons import CONDITIONS, FAMILY, GROUPED
from personadual.evaluation.figures import ACCURACY, MODE_CHOICE, TRAINING
from personadual.evaluation.fingerprint import command_line
from personadual.evaluation.html.origin import VALUE_CHARACTERS, commands
from personadual.evaluation.limits import CORRECTION_NAMES
from personadual.evaluation.summary import main_measures
from personadual.evaluation.text import foreign, number

if TYPE_CHECKING:
    from personadual.evaluation.report import Report

INTRODUCTION = """Each item is a question with a persona. A model answers it freely, choosing its own mode, and forced \
into each mode{decoding}. Brackets hold 95 % bootstrap intervals that resample questions, and training seeds where a \
model has three or more; n counts items, or questions where an effect is taken question by question. *factual* pools \
the conditions none, unaligned, aligned and conflicting; *all* every item of the test file. Formulae: \
`docs/evaluation.md`; every number: `report.json`."""

VERDICT = """Falsified: on objective questions with an unaligned or conflicting persona, free answers fall below the \
plain baseline's without a persona by more than {margin}, the whole interval doing so. Not falsified: the whole \
interval lies above −{margin}. Undecided: anything else, or too few questions."""

COMPARED = """Paired by item; a negative difference of an error is a gain. p is corrected by {correction} over the \
table; greedy choices are tested by McNemar's exact test where every question stands once and each model has one \
seed, all else by the bootstrap."""


def render(report: Report, has_curves: bool, title: str) -> str:
    mode, chosen = report.modes[1], report.statistics
    shown = foreign(mode)
    sampled = (report.rows[TEMPERATURE] > 0).any()
    parts = [f"# {title}\n", INTRODUCTION.format(decoding="" if sampled else ", with greedy decoding")]
    parts += ["## Does choosing its mode cost a model objective accuracy?"]
    parts += [VERDICT.format(margin=number(chosen.margin)), tables.verdict_table(report.verdicts, report.modes)]
    parts += ["## Overview", tables.overview_table(report)]
    parts += ["## What this shows", _bullets(report.shows)]
    parts += ["## What it does not show", _bullets(report.limits)]
    parts += ["## What was run", sections.models_table(report.models)]

    parts += [f"## Which mode is chosen\n\n![P({mode}) per condition and model](figures/{MODE_CHOICE})"]
    parts += [_part("Expected mode-selection error: 1 − P(right mode's tag)", report, measures.SELECTION_ERROR)]

    parts += [f"## What it does to the answers\n\n![Accuracy per condition and model](figures/{ACCURACY})"]
    parts += [_part("Accuracy, mode chosen freely", report, measures.ACC_FREE)]
    parts += [_part(f"Accuracy, forced into {foreign(m)}", report, measures.acc(m)) for m in report.modes]
    if len(report.effects):
        text = (
            "Interference: accuracy without a persona minus with it. Aligned gain: with the helpful one minus without. "
            "Kept gain: the free answers' share of what personalized answers add to plain ones; – where that gain's "
            "interval contains 0. Order obeyed: how much more often a mode is chosen if the persona orders it."
        )
        parts += [f"### Effects of a persona\n\n{text}", tables.effect_table(report.effects)]

    correction = COMPARED.format(correction=CORRECTION_NAMES[chosen.correction])
    if len(report.comparisons):
        table = tables.comparison_table(report.comparisons[report.comparisons[FAMILY] == GROUPED])
        parts += [f"## Differences between models\n\n{correction}", table]
    if len(report.checks):
        text = (
            "What training may have spoilt or gamed, over all items: accuracy in forced modes, length in tokens, both "
            "tags in one answer, answers cut off."
        )
        parts += [f"## Checks\n\n{text}", tables.comparison_table(report.checks, levels=True)]
    if len(report.seeds):
        accuracies = [measures.acc(m) for m in report.modes]
        table = sections.seeds_table(report.seeds, [*main_measures(report.modes), *accuracies])
        parts += ["## Training seeds\n\nMean ± standard deviation over training runs, all items.", table]
    if report.log is not None:
        parts += ["## Training"]
        parts += [f"![Training curves](figures/{TRAINING})"] if has_curves else ["The log has none of the metrics."]
        parts += [sections.training_table(report.series())] if has_curves else []

    parts += ["## Samples\n\nThe first item of each condition; long answers are cut."]
    parts += [sections.samples(report.rows, report.modes)]
    parts += ["## Details", *_details(report, mode, shown)]
    told = commands(report.models, command_line())
    parts += ["## Commands", _bullets([f"{foreign(name)}: {foreign(line, VALUE_CHARACTERS)}" for name, line in told])]
    for name, entries in report.extras.items():
        parts += [f"## Settings: {foreign(name)}", sections.settings_table(entries)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _details(report: Report, mode: str, shown: str) -> list[str]:
    headings = {
        "Selection error, given that a valid tag is written": measures.CHOICE_ERROR,
        f"P({shown}): probability of its whole tag at temperature 1": measures.prob(mode),
        "Tag validity: share of free answers that begin with a mode's tag": measures.TAG_VALIDITY,
        "Greedy selection error: the greedy free answer is not in the right mode": measures.GREEDY_ERROR,
        "Over-personalization: share of personalized answers where the plain mode is right": measures.OVER_PERSONALIZED,
        "Hybrid Accuracy: the chosen mode is one of the most accurate": measures.HYBRID,
        "Regret: accuracy that a perfect choice of mode would add": measures.REGRET,
        "Free answers ended by the length limit": measures.TRUNCATED,
        "Free answers with the tags of two modes": measures.BOTH_TAGS,
        "Length of free answers in tokens": measures.tokens("free"),
    }
    parts = [_part(heading, report, measure) for heading, measure in headings.items()]
    if len(report.sources):
        table = sections.source_table(report.sources, measures.ACC_FREE)
        parts += [f"### Accuracy of free answers per data source\n\n{table}"]
    if len(report.comparisons):
        table = tables.comparison_table(report.comparisons[report.comparisons[FAMILY] == CONDITIONS])
        parts += [f"### Differences between models per condition\n\n{table}"]
    return parts


def _part(heading: str, report: Report, measure: str) -> str:
    return f"### {heading}\n\n{sections.measure_table(report.summary, measure)}"


def _bullets(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
