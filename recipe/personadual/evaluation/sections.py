"""Sections of the report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from personadual.evaluation.columns import ALL, MODE, MODEL, RESPONSE, SEED
from personadual.evaluation.summary import FACTUAL, conditions_of, lookup
from personadual.evaluation.text import estimate_text, foreign, markdown_table, number
from personadual.schema import ACC, ASKED_MODE, CONDITION, FREE, GROUND_TRUTH, ITEM, PERSONA, QUESTION


def measure_rows(summary: pd.DataFrame, measure: str, models: Sequence[str]) -> list[list[str]]:
    """One row per condition, then the groups: its name, n, and the estimate of each model."""
    groups = [name for name in (FACTUAL, ALL) if name in set(summary[CONDITION])]
    found = []
    for condition in [*conditions_of(summary), *groups]:
        estimates = [lookup(summary, model=model, condition=condition, measure=measure) for model in models]
        if any(estimates):
            sizes = sorted({estimate.n for estimate in estimates if estimate})
            found.append([condition, "/".join(map(str, sizes)), *map(estimate_text, estimates)])
    return found


def measure_table(summary: pd.DataFrame, measure: str) -> str:
    """Conditions down, models across."""
    models = list(pd.unique(summary[MODEL]))
    rows = [[foreign(row[0]), *row[1:]] for row in measure_rows(summary, measure, models)]
    return markdown_table(["condition", "n", *map(foreign, models)], rows)


def contrast_table(contrasts: pd.DataFrame) -> str:
    """(measure, asked mode) down, models across."""
    models = list(pd.unique(contrasts[MODEL]))
    rows = []
    for measure, asked in contrasts[["measure", "asked_mode"]].drop_duplicates().itertuples(index=False):
        found = [lookup(contrasts, model=model, measure=measure, asked_mode=asked) for model in models]
        if any(found):
            sizes = sorted({estimate.n for estimate in found if estimate})
            shown = [estimate_text(estimate, signed=True) for estimate in found]
            rows.append([measure, foreign(asked), "/".join(map(str, sizes)), *shown])
    return markdown_table(["contrast", "asked mode", "questions", *map(foreign, models)], rows)


def difference_table(differences: pd.DataFrame, measure: str) -> str:
    """Conditions and groups down, pairs of models across."""
    part = differences[differences["measure"] == measure]
    pairs = list(part[["before", "after"]].drop_duplicates().itertuples(index=False, name=None))
    rows = []
    for condition in pd.unique(part[CONDITION]):
        found = [lookup(part, before=old, after=new, condition=condition) for old, new in pairs]
        if any(found):
            sizes = sorted({estimate.n for estimate in found if estimate})
            shown = [estimate_text(estimate, signed=True) for estimate in found]
            rows.append([foreign(condition), "/".join(map(str, sizes)), *shown])
    return markdown_table(["condition", "n", *(f"{foreign(old)} → {foreign(new)}" for old, new in pairs)], rows)


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


def samples(rows: pd.DataFrame, modes: Sequence[str], per_condition: int = 2) -> str:
    """The first items of each condition that all models answered: what each said, freely and forced."""
    models = list(pd.unique(rows[MODEL]))
    asked_modes = (FREE, *modes)
    first_seed = rows.drop_duplicates([MODEL, ITEM, ASKED_MODE]).to_dict("records")
    answers = {(row[MODEL], row[ITEM], row[ASKED_MODE]): row for row in first_seed}
    parts = []
    items = rows.drop_duplicates(ITEM)
    answered = rows[rows[ASKED_MODE] == FREE].groupby(ITEM)[MODEL].nunique() == len(models)
    for condition in pd.unique(items[CONDITION]):
        of_condition = items[(items[CONDITION] == condition) & items[ITEM].map(answered).eq(True)]
        for _, item in of_condition.head(per_condition).iterrows():
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
