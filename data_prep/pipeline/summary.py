"""The manifest of a build, and the table that the command prints of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from personadual import files, schema
from personadual.data_prep.build_config import BuildConfig
from personadual.data_prep.manifest import versions
from personadual.data_prep.pipeline.finishing import CountKey
from personadual.data_prep.pipeline.parquet import ParquetFile
from personadual.data_prep.pipeline.plan import Plan
from personadual.data_prep.sources.base import About
from personadual.modes import Modes

PACKAGES = ("numpy", "pyarrow", "rensa")


def manifest_of(
    config: BuildConfig,
    modes: Modes,
    abouts: Iterable[About],
    read: Mapping[str, int],
    escaped: Mapping[str, Mapping[str, int]],
    rejected: Mapping[tuple[str, str], int],
    counts: Mapping[CountKey, int],
    plan: Plan,
    written: Sequence[ParquetFile],
    rejects: Path,
    asked: Mapping[str, int],
    prompts: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """All of what is known of a build that does not depend on when, where and by how many workers it was made."""
    dropped = Counter(rejected) + plan.dropped
    return {
        "name": "build",
        "seed": config.seed,
        "config": config.as_written(prompts),
        "sources": {about.name: _about(about) for about in abouts},
        "rows_read": dict(sorted(read.items())),
        "dropped": _nested({(source, reason): number for (source, reason), number in dropped.items()}),
        "ids_told_apart": dict(sorted(plan.told_apart.items())),
        "escaped_markers": {name: dict(sorted(by_field.items())) for name, by_field in sorted(escaped.items())},
        "served_dropped": dict(sorted(asked.items())),
        "groups": {"number": plan.groups, "largest": plan.largest_group},
        "modes": [{"name": mode.name, "tag": mode.tag} for mode in modes],
        "versions": versions(PACKAGES),
        "counts": _nested(counts),
        "files": {
            **{
                file.path.name: {
                    "rows": file.rows,
                    "sha256": files.sha256_of(file.path),
                    "counts": _conditions(counts, file.path.name),
                }
                for file in sorted(written, key=lambda file: file.path.name)
            },
            rejects.name: {"rows": sum(rejected.values()), "sha256": files.sha256_of(rejects)},
        },
    }


def table(manifest: Mapping[str, Any]) -> str:
    """Rows per file and condition, what was dropped and why, and questions that shared an id."""
    conditions = [
        name
        for name in schema.CONDITIONS
        if any(entry.get("counts", {}).get(name) for entry in manifest["files"].values())
    ]
    lines = [f"{'file':<20}{'rows':>9}" + "".join(f"{name:>13}" for name in conditions)]
    for name, entry in manifest["files"].items():
        if "counts" in entry:
            cells = (entry["counts"].get(condition, 0) for condition in conditions)
            lines.append(f"{name:<20}{entry['rows']:>9}" + "".join(f"{cell or '-':>13}" for cell in cells))
    dropped = [
        f"{number:>9}  {source}: {reason}"
        for source, by_reason in manifest["dropped"].items()
        for reason, number in by_reason.items()
    ]
    dropped += [f"{number:>9}  served model: {reason}" for reason, number in manifest["served_dropped"].items()]
    shared = [f"{number:>9}  {source}" for source, number in manifest["ids_told_apart"].items()]
    lines += ["", "not used:", *dropped] if dropped else []
    lines += ["", "with an id that is another question's too (a hash was added):", *shared] if shared else []
    return "\n".join(lines)


def _about(about: About) -> dict[str, Any]:
    return {
        "licence": about.licence,
        "citation": about.citation,
        "homepage": about.homepage,
        "redistributable": about.redistributable,
        "private": about.private,
    }


def _conditions(counts: Mapping[CountKey, int], file: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (_, condition, _, name), number in counts.items():
        if name == file:
            found[condition] += number
    return {condition: found[condition] for condition in schema.CONDITIONS if found[condition]}


def _nested(counts: Mapping[Any, int]) -> dict[str, Any]:
    """Counts by tuples as mappings within mappings, sorted."""
    nested: dict[str, Any] = {}
    for key, number in sorted(counts.items()):
        *path, last = key
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = number
    return nested
