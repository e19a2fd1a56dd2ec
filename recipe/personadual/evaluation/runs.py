"""The training runs behind the numbers: which of them are one model, and which lack answers that others have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from personadual.evaluation.columns import MODEL, SEED
from personadual.evaluation.runfile import SETTINGS
from personadual.evaluation.text import foreign

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


def _seeds(seeds: list[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _are(seeds: list[int]) -> str:
    return "is" if len(seeds) == 1 else "are"
