"""The manifest beside the parquet files: what is in them, from what, with which seed, and their sha256.

It is written last, so that a folder with a manifest is a finished one. It holds no time and no path: the same seed,
sizes and package versions give the same manifest.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import personadual
from personadual import files, schema
from personadual.data_prep.columns import MODE
from personadual.modes import Modes

MANIFEST = "manifest.json"


def count_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Rows by condition and mode: the mode shown (SFT) or asked for (RL)."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        extra = row.get(schema.EXTRA_INFO)
        counts[
            (extra[schema.CONDITION], extra[schema.ASKED_MODE]) if extra else (row[schema.CONDITION], row[MODE])
        ] += 1
    table: dict[str, dict[str, int]] = {}
    for condition in schema.CONDITIONS:
        by_mode = {mode: number for (found, mode), number in sorted(counts.items()) if found == condition}
        if by_mode:
            table[condition] = by_mode
    return table


def build_manifest(
    folder: Path,
    rows_by_file: Mapping[str, Sequence[Mapping[str, Any]]],
    modes: Modes,
    packages: Sequence[str],
    **details: Any,
) -> dict[str, Any]:
    """Manifest of the files in ``folder``; ``details`` are the source's own entries (name, seed, config, licences)."""
    return {
        **details,
        "modes": [{"name": mode.name, "tag": mode.tag} for mode in modes],
        "versions": versions(packages),
        "files": {
            name: {"rows": len(rows), "sha256": files.sha256_of(folder / name), "counts": count_rows(rows)}
            for name, rows in rows_by_file.items()
        },
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of ours, of Python and of ``packages``: with the same ones a build gives the same bytes."""
    return {
        "personadual": personadual.__version__,
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }
