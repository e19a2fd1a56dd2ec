"""Tables of the report as Markdown: verdicts, the overview, effects of a persona, differences between models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from personadual.evaluation import measures
from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.columns import ALL, MODEL, SEED
from personadual.evaluation.comparisons import NEW, OLD
from personadual.evaluation.effects import ALIGNED_GAIN, EFFECT, INTERFERENCE, KEPT_GAIN
from personadual.evaluation.summary import MEASURE, SEEDS, lookup
from personadual.evaluation.text import (
    estimate_text,
    foreign,
    markdown_table,
    number,
    p_text,
    plain_table,
    seeds_text,
)
from personadual.evaluation.verdict import OBJECTIVE, OVER_PERSONALIZATION_COST
from personadual.schema import ALIGNED, CONDITION, CONFLICTING, FREE, PERSONAL, UNALIGNED

if TYPE_CHECKING:
    from personadual.evaluation.report import Report


def verdict_table(verdicts: Sequence[Mapping[str, Any]], modes: Sequence[str]) -> str:
    """One row a model: the verdict, what was compared, and on how much."""
    rows = []
    for found in verdicts:
        plain = f"own, forced {modes[0]}" if found["baseline"] is None else foreign(found["baseline"])
        numbers = [number(found["accuracy"]), f"{number(found['baseline_accuracy'])} ({plain})"]
        difference = estimate_text(_estimate(found), signed=True) if found["clusters"] else "–"
        sizes = [str(found["n"]), str(found["clusters"]), str(found["seeds"])]
        rows.append([foreign(found[MODEL]), f"**{found['verdict']}**", *numbers, difference, *sizes])
    header = ["model", "verdict", "accuracy, free", "plain baseline", "difference", "n", "questions", "seeds"]
    return markdown_table(header, rows)


def verdict_text(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """The same for a terminal."""
    rows = []
    for found in verdicts:
        difference = estimate_text(_estimate(found), signed=True) if found["clusters"] else "–"
        rows.append([found[MODEL], found["verdict"], difference, str(found["clusters"])])
    heading = "Falsification test (objective questions, free with a persona against plain without)"
    return f"{heading}\n{plain_table(['model', 'verdict', 'difference', 'questions'], rows)}"


def overview_table(report: Report) -> str:
    """Headline numbers: what is measured down, models across. A number without an item is left out."""
    models = list(pd.unique(report.summary[MODEL]))
    lines: list[tuple[str, pd.DataFrame, dict[str, str], bool]] = []
    for words, condition, measure in (
        ("Expected mode-selection error", ALL, measures.SELECTION_ERROR),
        ("Hybrid Accuracy", ALL, measures.HYBRID),
        ("Regret to the better mode", ALL, measures.REGRET),
        ("Tag validity (1 − invalid rate)", ALL, measures.TAG_VALIDITY),
        ("Personalized score: accuracy on personal items", PERSONAL, measures.ACC_FREE),
        ("Over-personalization rate", ALL, measures.OVER_PERSONALIZED),
    ):
        lines.append((words, report.summary, {CONDITION: condition, MEASURE: measure}, False))
    for words, effect, condition, mode in (
        ("Accuracy that over-personalization costs", OVER_PERSONALIZATION_COST, OBJECTIVE, report.modes[1]),
        ("Interference, unaligned persona", INTERFERENCE, UNALIGNED, FREE),
        ("Interference, conflicting persona", INTERFERENCE, CONFLICTING, FREE),
        ("Aligned gain", ALIGNED_GAIN, ALIGNED, FREE),
        ("Share of the personalized aligned gain kept", KEPT_GAIN, ALIGNED, FREE),
    ):
        signed = effect != KEPT_GAIN
        lines.append((words, report.effects, {EFFECT: effect, CONDITION: condition, "mode": mode}, signed))
    rows = []
    for words, frame, keys, signed in lines:
        found = [lookup(frame, **{MODEL: model}, **keys) for model in models]
        if any(found):
            rows.append([words, sizes_text(found), *(estimate_text(estimate, signed) for estimate in found)])
    seeds = report.rows.groupby(MODEL, sort=False)[SEED].nunique()
    rows.append(["Training seeds", "", *(str(seeds[model]) for model in models)])
    return markdown_table(["", "n", *map(foreign, models)], rows)


def effect_table(effects: pd.DataFrame) -> str:
    """(effect, condition, mode) down, models across."""
    models = list(pd.unique(effects[MODEL]))
    rows = []
    keys = [EFFECT, CONDITION, "mode"]
    for values in effects[keys].drop_duplicates().sort_values(keys, kind="stable").itertuples(index=False, name=None):
        found = [lookup(effects, **{MODEL: model}, **dict(zip(keys, values, strict=True))) for model in models]
        signed = values[0] != KEPT_GAIN
        shown = [estimate_text(estimate, signed) for estimate in found]
        rows.append([values[0], foreign(values[1]), foreign(values[2]), sizes_text(found), *shown])
    return markdown_table(["effect", "condition", "asked mode", "n", *map(foreign, models)], rows)


def comparison_table(found: pd.DataFrame, levels: bool = False) -> str:
    """(measure, condition) down, pairs of models across: the difference, its interval, its corrected p.

    ``levels``: with the values of both models before it.
    """
    pairs = list(found[[OLD, NEW]].drop_duplicates().itertuples(index=False, name=None))
    entries: list[dict[Any, Any]] = found.to_dict("records")
    cells = {tuple(row[name] for name in (OLD, NEW, MEASURE, CONDITION)): row for row in entries}
    rows = []
    for key in found[[MEASURE, CONDITION]].drop_duplicates().itertuples(index=False, name=None):
        row = [cells.get((*pair, *key)) for pair in pairs]
        sizes = sorted({entry["n"] for entry in row if entry})
        shown = [_comparison(entry, levels) if entry else "–" for entry in row]
        rows.append([foreign(key[0]), foreign(key[1]), "/".join(map(str, sizes)), *shown])
    seeds = {(entry[OLD], entry[NEW]): seeds_text(entry[SEEDS]) for entry in entries}
    header = [f"{foreign(old)} → {foreign(new)}, {seeds[old, new]}" for old, new in pairs]
    header = ["measure", "condition", "n", *header]
    return markdown_table(header, rows)


def _comparison(entry: Mapping[str, Any], levels: bool) -> str:
    difference = estimate_text(_estimate({**entry, "value": entry["difference"]}), signed=True)
    before = f"{number(entry['old_value'])} → {number(entry['new_value'])}: " if levels else ""
    return f"{before}{difference}, {p_text(entry['p_adjusted'])}".removesuffix(", ")


def sizes_text(found: Sequence[Estimate | None]) -> str:
    return "/".join(str(size) for size in sorted({estimate.n for estimate in found if estimate}))


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(*(row[name] for name in Estimate._fields))
