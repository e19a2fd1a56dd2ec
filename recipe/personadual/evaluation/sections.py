"""Sections of the report as Markdown: means of measures, what was run, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from personadual.evaluation.columns import ALL, MODE, MODEL, RESPONSE, SEED
from personadual.evaluation.summary import FACTUAL, MEASURE, SEEDS, conditions_of, lookup
from personadual.evaluation.tables import sizes_text
from personadual.evaluation.text import estimate_text, foreign, markdown_table, number
from personadual.schema import ACC, ASKED_MODE, CONDITION, FREE, GROUND_TRUTH, ITEM, PERSONA, QUESTION, SOURCE


def measure_rows(summary: pd.DataFrame, measure: str, models: Sequence[str]) -> list[list[str]]:
    """One row per condition, then the groups: its name, n, and the estimate of each model."""
    groups = [name for name in (FACTUAL, ALL) if name in set(summary[CONDITION])]
    found = []
    for condition in [*conditions_of(summary), *groups]:
        estimates = [lookup(summary, model=model, condition=condition, measure=measure) for model in models]
        if any(estimates):
            found.append([condition, sizes_text(estimates), *map(estimate_text, estimates)])
    return found


def measure_table(summary: pd.DataFrame, measure: str) -> str:
    """Conditions down, models across."""
    models = list(pd.unique(summary[MODEL]))
    rows = [[foreign(row[0]), *row[1:]] for row in measure_rows(summary, measure, models)]
    return markdown_table(["condition", "n", *map(foreign, models)], rows)


def seeds_table(seeds: pd.DataFrame, measures: Sequence[str]) -> str:
    """Mean ± standard deviation and range over the training seeds, over all items: measures down, models across."""
    part = seeds[(seeds[CONDITION] == ALL) & seeds[MEASURE].isin(measures)]
    models = list(pd.unique(part[MODEL]))
    cells = {
        (row[MODEL], row[MEASURE]): f"{number(row['mean'])} ± {number(row['sd'])} "
        f"({number(row['min'])} to {number(row['max'])}, {row[SEEDS]} seeds)"
        for row in part.to_dict("records")
    }
    rows = [[name, *(cells.get((model, name), "–") for model in models)] for name in pd.unique(part[MEASURE])]
    return markdown_table(["measure", *map(foreign, models)], rows)


def source_table(sources: pd.DataFrame, measure: str) -> str:
    """(data source, condition) down, models across."""
    models = list(pd.unique(sources[MODEL]))
    rows = []
    for source, condition in sources[[SOURCE, CONDITION]].drop_duplicates().itertuples(index=False, name=None):
        keys = {SOURCE: source, CONDITION: condition, MEASURE: measure}
        found = [lookup(sources, **{MODEL: model}, **keys) for model in models]
        if any(found):
            rows.append([foreign(source), foreign(condition), sizes_text(found), *map(estimate_text, found)])
    return markdown_table(["source", "condition", "n", *map(foreign, models)], rows)


def models_table(models: Sequence[Mapping[str, Any]]) -> str:
    """What was run: one row per model and seed; '–' where a file has no settings beside it."""
    rows = []
    for model in models:
        settings, session = model["settings"], (model["sessions"] or [{}])[-1]
        machine = session.get("machine") or {}
        host = f"{machine.get('cpu')}, {machine.get('cores')} cores" if machine else "–"
        host += f", {machine['gpu']}" if machine.get("gpu") else ""
        cells = [model[MODEL], model[SEED], model["items"], model["answers"]]
        cells += [settings.get("model_fingerprint", "–")[:12], settings.get("dtype", "–")]
        rows.append([foreign(str(cell)) for cell in [*cells, settings.get("vllm", "–"), host]])
    return markdown_table(["model", "seed", "items", "answers", "fingerprint", "dtype", "engine", "machine"], rows)


def settings_table(entries: Mapping[str, Any], limit: int = 60) -> str:
    """Nested settings as ``a.b.c | value``, the first ``limit`` of them."""
    flat = list(_flatten(entries))
    rows = [[foreign(name), foreign(str(value))] for name, value in flat[:limit]]
    rows += [["…", f"{len(flat) - limit} more"]] if len(flat) > limit else []
    return markdown_table(["setting", "value"], rows)


def _flatten(entries: Any, name: str = "") -> Any:
    if isinstance(entries, Mapping) and entries:
        for key, value in entries.items():
            yield from _flatten(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, entries


def training_table(series: Mapping[str, pd.Series]) -> str:
    """First and last value of each plotted metric."""
    rows = [
        [foreign(name), f"{line.iloc[0]:.3g} (step {line.index[0]})", f"{line.iloc[-1]:.3g} (step {line.index[-1]})"]
        for name, line in series.items()
    ]
    return markdown_table(["metric", "first", "last"], rows)


def samples(rows: pd.DataFrame, modes: Sequence[str], per_condition: int = 1) -> str:
    """The first item of each condition that all models answered: what each said, freely and forced."""
    models = list(pd.unique(rows[MODEL]))
    asked_modes = (FREE, *modes)
    parts = []
    items = rows.drop_duplicates(ITEM)
    answered = rows[rows[ASKED_MODE] == FREE].groupby(ITEM)[MODEL].nunique() == len(models)
    shown = items[items[ITEM].map(answered).eq(True)].groupby(CONDITION, sort=False).head(per_condition)
    first = rows[rows[ITEM].isin(shown[ITEM])].drop_duplicates([MODEL, ITEM, ASKED_MODE]).to_dict("records")
    answers = {(row[MODEL], row[ITEM], row[ASKED_MODE]): row for row in first}
    for condition in pd.unique(items[CONDITION]):
        for _, item in shown[shown[CONDITION] == condition].iterrows():
            parts.append(f"**{foreign(condition)}**, item {item[ITEM]}. Persona: {foreign(item[PERSONA])}\n")
            parts.append(f"Question: {foreign(item[QUESTION])} Answer: {foreign(item[GROUND_TRUTH])}\n")
            table = []
            for model in models:
                cells = [_answer(answers, (model, item[ITEM], asked)) for asked in asked_modes]
                table.append([foreign(model), *cells])
            parts.append(
                markdown_table(["model", *("free" if a == FREE else f"forced {a}" for a in asked_modes)], table)
            )
            parts.append("")
    return "\n".join(parts)


def _answer(rows: Mapping[Any, Mapping[Any, Any]], key: tuple[str, int, str]) -> str:
    row = rows.get(key)
    if row is None:
        return "–"
    return f"{foreign(row[RESPONSE])} ({foreign(row[MODE])}, acc {number(row[ACC])})"
