"""The training runs behind the numbers: which of them are one model, and which lack answers that others have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from personadual.evaluation.columns import ALL, MODEL, SEED
from personadual.evaluation.comparisons import NEW, OLD
from personadual.evaluation.measures import ACC_FREE, KEY, acc
from personadual.evaluation.runfile import SETTINGS
from personadual.evaluation.summary import MEASURE, is_derived, main_measures
from personadual.evaluation.text import foreign
from personadual.schema import CONDITION, ITEM

Run = tuple[str, int]
"""Label and training seed."""
FINGERPRINT = "model_fingerprint"


def same_weights(rows: pd.DataFrame, metas: Mapping[Any, Mapping[str, Any]]) -> dict[Run, int]:
    """Runs whose weights a lower seed of their label has too, each with the lowest such seed.

    ``metas``: settings files by label and seed. A run without a fingerprint (a served model's) is one of its own.
    """
    kept: dict[tuple[str, str], int] = {}
    found: dict[Run, int] = {}
    for label, seed in sorted(rows[[MODEL, SEED]].drop_duplicates().itertuples(index=False, name=None)):
        fingerprint = metas.get((label, seed), {}).get(SETTINGS, {}).get(FINGERPRINT)
        if not isinstance(fingerprint, str):
            continue
        first = kept.setdefault((label, fingerprint), seed)
        if first != seed:
            found[label, seed] = first
    return found


def without(rows: pd.DataFrame, runs: Mapping[Run, int]) -> pd.DataFrame:
    """``rows`` but those of ``runs``."""
    if not runs:
        return rows
    left_out = [run in runs for run in zip(rows[MODEL], rows[SEED], strict=True)]
    return rows[~pd.Series(left_out, index=rows.index)].reset_index(drop=True)


def told_same(runs: Mapping[Run, int]) -> list[str]:
    """A sentence for each model of which ``same_weights`` has found runs."""
    groups: dict[Run, list[int]] = {}
    for (label, seed), first in runs.items():
        groups.setdefault((label, first), []).append(seed)
    return [
        f"**The same weights under several seeds**: {_seeds(seeds)} of {foreign(label)} {_are(seeds)} the model of "
        f"seed {first} again (equal fingerprints). That is one training run, and only its seed {first} is counted."
        for (label, first), seeds in groups.items()
    ]


def incomplete(values: pd.DataFrame, modes: Sequence[str]) -> list[str]:
    """Runs without answers to items that another run has answered: free ones, and ones forced into each mode.

    ``values``: of the items (``measures.item_values``).
    """
    forced = [acc(mode) for mode in modes]
    there = values.set_index(KEY)[[ACC_FREE, *forced]].notna()
    wanted = there.groupby(level=ITEM).any()
    found = []
    for (model, seed), own in there.groupby(level=[MODEL, SEED], sort=False):
        lacks = wanted & ~own.droplevel([MODEL, SEED]).reindex(wanted.index, fill_value=False)
        counts = {"free": int(lacks[ACC_FREE].sum()), "forced": int(lacks[forced].any(axis=1).sum())}
        listed = " and ".join(
            f"{kind} ones to {count} item{'s' if count > 1 else ''}" for kind, count in counts.items() if count
        )
        if listed:
            found.append(f"{foreign(str(model))}, seed {seed}, lacks {listed}")
    if not found:
        return []
    return [f"**Incomplete**: not every run has the answers that others have ({'; '.join(found)}); only n tells."]


def seeds_without(values: pd.DataFrame, modes: Sequence[str]) -> list[str]:
    """Runs without any value of a measure under a condition for which other runs of their model have some."""
    measures = [*main_measures(modes), *(acc(mode) for mode in modes)]
    there = values.groupby([MODEL, SEED, CONDITION], sort=False)[measures].count() > 0
    told = []
    for model, own in there.groupby(level=MODEL, sort=False):
        by_seed = pd.DataFrame(own.droplevel(MODEL).unstack(fill_value=False))
        for seed, row in (~by_seed & by_seed.any()).iterrows():
            lacking = row[row].index
            if len(lacking):
                conditions = ", ".join(foreign(str(name)) for name in pd.unique(lacking.get_level_values(1)))
                names = ", ".join(f"`{name}`" for name in pd.unique(lacking.get_level_values(0)))
                told.append(
                    f"Seed {seed} of {foreign(str(model))} has no {names} under {conditions}: what is said of these "
                    "rests on the other seeds (`seeds` in `report.json`)."
                )
    return told


def not_compared(
    summary: pd.DataFrame, tested: pd.DataFrame, pairs: Sequence[tuple[str, str]], modes: Sequence[str]
) -> list[str]:
    """Pairs of models that both have a measure, and no item with a value of it under every run of both."""
    keys = summary[summary["n"] > 0][[MODEL, CONDITION, MEASURE]]
    known = set(keys.itertuples(index=False, name=None))
    done = set(tested[[OLD, NEW, CONDITION, MEASURE]].itertuples(index=False, name=None)) if len(tested) else set()
    conditions = [name for name in pd.unique(keys[CONDITION]) if not is_derived(name)]
    wanted = [(name, measure) for measure in main_measures(modes) for name in conditions]
    wanted += [(ALL, acc(mode)) for mode in modes]
    told = []
    for old, new in pairs:
        both = [key for key in wanted if (old, *key) in known and (new, *key) in known]
        lost: dict[str, list[str]] = {}
        for condition, measure in both:
            if (old, new, condition, measure) not in done:
                lost.setdefault(measure, []).append(foreign(condition))
        if lost:
            listed = "; ".join(f"`{measure}` ({', '.join(names)})" for measure, names in lost.items())
            told.append(
                f"**Not compared**: {foreign(old)} and {foreign(new)} both have {listed}, but no item that every run "
                "of both has answered."
            )
    return told


def _seeds(seeds: list[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _are(seeds: list[int]) -> str:
    return "is" if len(seeds) == 1 else "are"
