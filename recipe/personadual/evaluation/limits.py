"""What the numbers don't show, and what was not alike in the runs behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from personadual.evaluation.bootstrap import SEEDS_NEEDED
from personadual.evaluation.columns import MODEL, SEED, TEMPERATURE
from personadual.evaluation.comparisons import FAMILY
from personadual.evaluation.options import Statistics
from personadual.evaluation.text import foreign, number
from personadual.schema import ASKED_MODE, CONDITION, FREE, ITEM, QUESTION_ID, RIGHT_MODE

SHARED_SETTINGS = (
    *("data_sha256", "modes", "reward_kwargs", "way", "dtype"),
    *("max_tokens", "chat_template_kwargs", "decoding", "vllm"),
)
CORRECTION_NAMES = {"holm": "Holm", "bh": "Benjamini and Hochberg"}


def what_it_does_not_show(
    rows: pd.DataFrame, values: pd.DataFrame, summary: pd.DataFrame, tested: pd.DataFrame, statistics: Statistics
) -> list[str]:
    """Limits that follow from how much was measured. ``tested``: the frames of comparisons, joined."""
    told = _seeds(rows)
    counts = rows.drop_duplicates(ITEM)[CONDITION].value_counts()
    size = str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    told.append(
        f"{rows[ITEM].nunique()} items of {rows[QUESTION_ID].nunique()} questions, {size} "
        "per condition: smaller differences than the intervals' width can't be seen."
    )
    if len(tested):
        families = ", ".join(f"{count} {name}" for name, count in _counts(tested[FAMILY].value_counts()).items())
        told.append(
            f"{len(tested)} differences between models were computed ({families}). Their p-values are corrected by "
            f"{CORRECTION_NAMES[statistics.correction]} within each of these families; the intervals are not, and "
            "about one in twenty would leave out 0 by chance alone."
        )
    if statistics.baseline is None:
        told.append(
            "The verdict's baseline is each model's own plain mode: accuracy that training took from both modes alike "
            "does not show there (`--baseline` names another model)."
        )
    without = values[values[RIGHT_MODE].isna()].groupby(CONDITION)[ITEM].nunique()
    if len(without):
        listed = ", ".join(f"{foreign(condition)} ({count})" for condition, count in _counts(without).items())
        told.append(f"Items without a known right mode are in no selection error: {listed}.")
    shown = summary[summary["n"] > 0]
    if (shown["low"] == shown["high"]).any():
        told.append("An interval without width means that all items agree; it is not certainty about further items.")
    told.append(
        "Whether another model, data set, or training method would come out differently. A gain over the model "
        "before it is no evidence that this method, rather than any further training, brought it."
    )
    return told


def _seeds(rows: pd.DataFrame) -> list[str]:
    """How many training runs stand behind each model, and what the intervals make of them."""
    seeds = rows.groupby(MODEL, sort=False)[SEED].nunique()
    told = []
    if (seeds == 1).any():
        told.append(
            f"**One training run is not a distribution**: a single training seed of "
            f"{', '.join(map(foreign, seeds[seeds == 1].index))}. The intervals cover the choice of test questions, "
            "not another run."
        )
    few = seeds[(seeds > 1) & (seeds < SEEDS_NEEDED)]
    if len(few):
        told.append(
            f"Two training seeds of {', '.join(map(foreign, few.index))}: their answers are averaged, and the "
            "intervals cover the choice of test questions, not another run."
        )
    return told


def mixed_settings(models: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any] | None) -> list[str]:
    """Settings that should be the same for all models and are not, and a test set that the manifest doesn't know."""
    settings = [model["settings"] for model in models if model["settings"]]
    told = []
    for name in SHARED_SETTINGS:
        found = {_shown(entry.get(name)) for entry in settings}
        if len(found) > 1:
            listed = ", ".join(map(foreign, sorted(found)))
            told.append(f"**The models were not run alike**: {name} is {listed}. Their differences mix both causes.")
    known = {entry.get("sha256") for entry in (manifest or {}).get("files", {}).values()}
    if known and any(entry.get("data_sha256") not in known for entry in settings):
        told.append("**The test set is not one of the manifest's files**: another build of the data was evaluated.")
    return told


def _shown(value: Any) -> str:
    """A setting as text, the same for equal ones."""
    if value is None:
        return "not recorded"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def mixed_temperatures(rows: pd.DataFrame) -> list[str]:
    """Whether the models' free answers were drawn at different temperatures."""
    free = rows[rows[ASKED_MODE] == FREE]
    highest = free.groupby(MODEL, sort=False)[TEMPERATURE].max()
    if highest.nunique() < 2:
        return []
    listed = ", ".join(f"{foreign(str(model))} {number(float(value))}" for model, value in highest.items())
    return [f"**The models were not run alike**: the temperature of free answers is {listed}."]


def uneven_samples(rows: pd.DataFrame) -> list[str]:
    """Models whose answers were not all sampled equally often, as samples that are still being added leave them."""
    sampled = rows[TEMPERATURE] > 0
    if not sampled.any():
        return []
    counts = sampled.groupby([rows[name] for name in (MODEL, SEED, ITEM, ASKED_MODE)], sort=False).sum()
    told = []
    for model, own in counts.groupby(level=MODEL, sort=False):
        if own.nunique() > 1:
            told.append(
                f"**Not all of {foreign(str(model))} was sampled alike**: {own.min()} to {own.max()} sampled answers "
                f"to each item in each asked mode, none to {int((own == 0).sum())} of {len(own)}. Its means mix greedy "
                "and sampled answers, or means of more and of fewer; the same `eval` command asks the rest."
            )
    return told


def _counts(series: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in series.items()}
