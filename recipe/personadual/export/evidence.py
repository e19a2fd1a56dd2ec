"""Files that the card draws on, cut to what it says: data manifest, verl's metrics, the evaluation's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from personadual.evaluation.decoding import DECODING
from personadual.evaluation.measures import ACC_FREE, TAG_VALIDITY, prob, share
from personadual.export import ExportError
from personadual.export.checkpoint import read_object
from personadual.files import sha256_of
from personadual.modes import Modes
from personadual.schema import ACC, CONDITION, INVALID

MOST_ROWS = 50
METRICS = (
    "critic/score/mean",
    f"val-core/*/{ACC}/mean@*",
    "actor/kl_loss",
    "actor/entropy",
    "actor/grad_norm",
    "response_length/mean",
    "dual_grpo/mode_gap/mean",
    "dual_grpo/collapsed/mean",
    "train/loss",
    "train/grad_norm",
    "val/loss",
)
"""Metrics of verl's that the card shows, as shell-style patterns, in this order."""


def read_manifest(path: Path) -> dict[str, Any]:
    """Name, seed, licences and per file rows, rows per condition and sha256 of a data build (``manifest.json``).

    Raises:
        ExportError: unreadable, or it lists no files.
    """
    manifest = read_object(path)
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not all(isinstance(entry, dict) for entry in listed.values()):
        raise ExportError(f"{path}: a data manifest with 'files' is needed, found the keys {', '.join(manifest)[:200]}")
    files = {
        str(name): {"rows": _count(entry.get("rows")), "sha256": _text(entry.get("sha256")), "counts": _counts(entry)}
        for name, entry in list(listed.items())[:MOST_ROWS]
    }
    sources = manifest.get("sources")
    licences = manifest.get("licences")
    if isinstance(sources, dict):
        licences = {name: about.get("licence") for name, about in sources.items() if isinstance(about, dict)}
    licences = licences if isinstance(licences, dict) else {}
    return {
        "name": _text(manifest.get("name")),
        "seed": _count(manifest.get("seed")),
        "manifest_sha256": sha256_of(path),
        "licences": {str(name): _text(value) for name, value in list(licences.items())[:MOST_ROWS]},
        "files": files,
    }


def read_metrics(paths: Sequence[Path], step: int | None, modes: Modes) -> dict[str, Any]:
    """Last values at or before ``step`` of ``METRICS`` and of the mode metrics, each with its step.

    Returns: ``named``: {metric: {value, step}}; ``choice`` (validation, the model chooses) and ``rollouts``
    (training): {source: {"share_<mode>": ..., "prob_<mode>": ..., ...}, each again {value, step}}.

    Raises:
        ExportError: a file is not of verl's file logger.
    """
    from personadual.metrics import TRAIN, VALIDATION, metric_label
    from personadual.monitor.logs import read_training_log

    try:
        log = read_training_log(paths)
    except (ValueError, OSError, RecursionError, OverflowError) as error:
        raise ExportError(f"metrics: {error}") from None
    if step is not None:
        log = log[log.index <= step]
    last: dict[str, dict[str, Any]] = {}
    for name in log.columns:
        values = log[name].dropna()
        values = values[values.abs() < math.inf]
        if len(values):
            last[str(name)] = {"value": float(values.iloc[-1]), "step": int(values.index[-1])}
    named = [name for pattern in METRICS for name in last if fnmatchcase(name, pattern)][:MOST_ROWS]
    chosen = {name: name for name in (ACC_FREE, f"share_{INVALID}", *map(share, modes.names))}
    labels = [(mode, metric_label(mode)) for mode in modes.names]
    rollouts = {name(mode): name(label) for name in (share, prob) for mode, label in labels}
    return {
        "named": {name: last[name] for name in named},
        "choice": _by_source(last, VALIDATION, chosen),
        "rollouts": _by_source(last, TRAIN, rollouts),
    }


def _by_source(last: Mapping[str, dict[str, Any]], scope: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for name, entry in last.items():
        for key, written in wanted.items():
            if name.startswith(f"{scope}/") and name.endswith(f"/{written}/mean"):
                source = name[len(scope) + 1 : -len(f"{written}/mean")].rstrip("/")
                if source in found or len(found) < MOST_ROWS:
                    found.setdefault(source, {})[key] = entry
    return found


def read_report(path: Path, label: str | None, modes: Modes) -> dict[str, Any]:
    """Mode statistics of one model out of ``report.json`` of ``personadual report``.

    Args:
        label: the model's name in the report; None where it has one model only.

    Returns: ``model``, ``decoding`` (what the settings of its runs say, each once; empty where none does) and
    ``conditions``: {condition: {measure: {value, low, high, n}}}.

    Raises:
        ExportError: no such report, or the model in it is not clear.
    """
    report = read_object(path)
    rows = report.get("measures")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ExportError(f"{path}: report.json of `personadual report` is needed (no list 'measures' in it)")
    labels = list(dict.fromkeys(str(row.get("model")) for row in rows))
    if label is None and len(labels) == 1:
        label = labels[0]
    if label not in labels:
        asked = f"no model {label!r}" if label is not None else f"{len(labels)} models"
        raise ExportError(f"{path}: {asked} in it; name one by --report-model: {', '.join(labels)[:400]}")
    measures = [TAG_VALIDITY, *(name(mode) for name in (share, prob) for mode in modes.names), ACC_FREE]
    conditions: dict[str, dict[str, Any]] = {}
    for row in rows:
        if str(row.get("model")) == label and row.get("measure") in measures:
            numbers = {key: _number(row.get(key)) for key in ("value", "low", "high", "n")}
            name = str(row.get(CONDITION))
            if numbers["value"] is not None and (name in conditions or len(conditions) < MOST_ROWS):
                conditions.setdefault(name, {})[row["measure"]] = numbers
    return {"model": label, "decoding": _decodings(report, label), "conditions": conditions}


def _decodings(report: Mapping[str, Any], label: str) -> list[str]:
    """Of every training seed of the model, in order."""
    models = report.get("models")
    found: list[str] = []
    for entry in models if isinstance(models, list) else []:
        settings = entry.get("settings") if isinstance(entry, dict) and str(entry.get("model")) == label else None
        text = _text(settings.get(DECODING)) if isinstance(settings, dict) else None
        if text and text not in found and len(found) < MOST_ROWS:
            found.append(text)
    return found


def _counts(entry: Mapping[str, Any]) -> dict[str, int]:
    """Rows per condition; a build's counts may be split further by mode."""
    counts = entry.get("counts")
    found = {}
    for name, value in list(counts.items())[:MOST_ROWS] if isinstance(counts, dict) else []:
        parts = [_count(part) for part in (value.values() if isinstance(value, dict) else [value])]
        if all(part is not None for part in parts):
            found[str(name)] = sum(part for part in parts if part is not None)
    return found


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**15 else None


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and abs(value) < 1e300 else None


def _text(value: Any) -> str | None:
    return value[:400] if isinstance(value, str) else None
