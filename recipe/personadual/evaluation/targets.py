"""Which models ``personadual eval`` asks, what each is called, and which file its answers go to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from personadual.evaluation.runfile import ROWS


@dataclass(frozen=True)
class Target:
    """``model``: a folder, or the name that a server gives it. ``label`` and ``seed`` name it in every row."""

    label: str
    model: str
    seed: int
    out: Path


def read_targets(models: Sequence[str], seeds: Sequence[int], out: Path, served: bool = False) -> list[Target]:
    """Targets of the arguments: ``MODEL`` or ``LABEL=MODEL`` each, one seed for all or one each, a file or a folder.

    The label is the last part of the model's path or name unless given. Runs of one label with different seeds are told
    apart by their files' names.

    Raises:
        ValueError: a label that can't name a file, two models with the same label and seed, seeds that don't go with
            the models, or one file for several models.
    """
    seeds = list(seeds) * len(models) if len(seeds) == 1 else list(seeds)
    if len(seeds) != len(models):
        raise ValueError(f"--seed: one for all, or one for each of the {len(models)} models, found {len(seeds)}")
    named = [_label_and_model(text, served) for text in models]
    counts = Counter(label for label, _ in named)
    is_file = out.suffix == ROWS
    if is_file and len(models) > 1:
        raise ValueError(f"--out {out}: is a file, and {len(models)} models need a folder")
    targets: list[Target] = []
    for (label, model), seed in zip(named, seeds, strict=True):
        if any((label, seed) == (other.label, other.seed) for other in targets):
            raise ValueError(f"two models are called {label!r} with seed {seed}; name them LABEL=MODEL, or give --seed")
        stem = label if counts[label] == 1 else f"{label}_seed{seed}"
        path = out if is_file else out / (stem + ROWS)
        if any(path == other.out for other in targets):
            raise ValueError(f"{path}: two models would write to it; give one of them another label")
        targets.append(Target(label, model, seed, path))
    return targets


def _label_and_model(text: str, served: bool) -> tuple[str, str]:
    label, separator, model = text.partition("=")
    # A folder may have an "=" in its path: runs/lr=1e-5/model.
    if not separator or "/" in label or (not served and Path(text).is_dir()):
        model = text
        label = model.rstrip("/").rsplit("/", 1)[-1] if served else Path(model).resolve().name
    if not model:
        raise ValueError(f"{text!r}: a model is missing behind the =")
    if not label or label.startswith(".") or "/" in label or "\0" in label:
        raise ValueError(f"{text!r}: the label {label!r} can't name a file; name it LABEL=MODEL")
    return label, model
