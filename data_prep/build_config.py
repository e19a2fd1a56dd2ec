"""What ``personadual data build`` builds: the keys of its yaml file, with their defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from personadual import schema
from personadual.data_prep.attach import ATTACHED, SERVED
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.config_reading import read, read_yaml
from personadual.data_prep.hygiene import Rules
from personadual.data_prep.neardup import NearDuplicates
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.splits import Splits
from personadual.modes import Modes

RIGHT, ALL = "right", "all"
"""Modes in which SFT shows an item: the one known to be better (by facts where none is), or each."""
SFT_MODES = (RIGHT, ALL)

PRESETS = ("paper", "quickstart", "standard")


@dataclass(frozen=True)
class Input:
    """One source and where its rows come from.

    ``input`` is a file, a folder, or a hub id (null for the source's own); ``split`` and ``config`` are the hub's.
    ``limit`` and ``per_subject`` bound the questions taken, evenly by hash; ``limit`` takes each subject in proportion
    to its questions. ``weight`` is the source's share where ``sft.items`` or ``rl.items`` takes a part (null for all
    the sources: by their numbers of questions). ``mapping`` says which columns a generic source has, ``settings`` is
    the block of a source that can be set up (its module says how).
    """

    name: str
    input: str | None = None
    split: str | None = None
    config: str | None = None
    mapping: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] | None = None
    limit: int | None = None
    per_subject: int | None = None
    weight: float | None = None

    def __post_init__(self) -> None:
        _check_positive(f"sources.{self.name}", limit=self.limit, per_subject=self.per_subject, weight=self.weight)


@dataclass(frozen=True)
class Personas:
    """Personas for the questions that come without one.

    ``shares`` of the conditions none, unaligned, aligned and conflicting (sum 1); in the splits of
    ``every_condition_in`` each question is asked under ``every_condition``. ``limit`` bounds the personas held in
    memory, taken evenly by hash.
    """

    source: str | None = "personahub"
    input: str | None = None
    split: str | None = None
    config: str | None = None
    limit: int = 200_000
    shares: Mapping[str, float] = field(default_factory=lambda: {schema.NONE: 0.5, schema.UNALIGNED: 0.5})
    every_condition_in: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = ", ".join(ATTACHED)
        if set(self.shares) - set(ATTACHED) or any(share < 0 for share in self.shares.values()):
            raise ValueError(f"personas.shares: shares of 0 or more of {known} are needed, found {dict(self.shares)}")
        if abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError(f"personas.shares: they must sum to 1, found {sum(self.shares.values()):g}")
        if set(self.every_condition_in) - set(SPLITS):
            raise ValueError(
                f"personas.every_condition_in: some of {', '.join(SPLITS)}, found {self.every_condition_in}"
            )
        if self.shares.get(schema.UNALIGNED) and self.source is None:
            raise ValueError("personas.source: unaligned personas have a share, so a source is needed (personahub)")
        _check_positive("personas", limit=self.limit)

    def every_condition(self, served: bool) -> tuple[str, ...]:
        """What ``every_condition_in`` means: all conditions with a share, and those that a verdict is made of.

        That is none, which every verdict compares with, and, where a model is ``served`` to write it, conflicting
        unless ``shares`` says 0 of it.
        """
        named = {name for name, share in self.shares.items() if share > 0}
        made = {schema.NONE} | ({schema.CONFLICTING} - set(self.shares) if served else set())
        return tuple(name for name in ATTACHED if name in named | made)


@dataclass(frozen=True)
class Task:
    """One of the two kinds of files.

    ``share`` of the questions of the train split (SFT and RL share none where their shares sum to at most 1); ``items``
    bounds the training items, ``val_items`` and ``test_items`` those of the others; of SFT and RL together RL's bounds
    the test set. ``modes`` (SFT alone) says in which modes an item is shown: ``all``, as the paper's SFT data and so
    that SFT leaves the choice to DualGRPO, or the ``right`` one.
    """

    share: float = 1.0
    items: int | None = None
    val_items: int | None = None
    test_items: int | None = None
    modes: str = ALL

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"sft/rl share: a number above 0, at most 1, is needed, found {self.share!r}")
        if self.modes not in SFT_MODES:
            raise ValueError(f"sft.modes: {' or '.join(SFT_MODES)} is needed, found {self.modes!r}")
        _check_positive("sft/rl", items=self.items, val_items=self.val_items, test_items=self.test_items)


@dataclass(frozen=True)
class BuildConfig:
    """A whole build.

    ``modes`` as for training (a list of {name, tag}, or a file); ``served`` is the block of the served model that
    writes traces, and aligned and conflicting personas (``served.ServedConfig``; null: nothing is asked), ``judge``
    that of one that judges open answers of traces, beside it.
    """

    sources: tuple[Input, ...]
    seed: int = 1
    modes: Any = None
    personas: Personas | None = None
    splits: Splits = field(default_factory=Splits)
    near_duplicates: NearDuplicates = field(default_factory=NearDuplicates)
    hygiene: Rules = field(default_factory=Rules)
    sft: Task | None = None
    rl: Task | None = None
    served: Mapping[str, Any] | None = None
    judge: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources: at least one is needed")
        unweighted = [entry.name for entry in self.sources if entry.weight is None]
        if unweighted and len(unweighted) < len(self.sources):
            weighted = ", ".join(entry.name for entry in self.sources if entry.weight is not None)
            raise ValueError(
                f"sources: {weighted} has a weight and {', '.join(unweighted)} has none; weights are compared with one "
                "another, so give every source one, or none for shares by their numbers of questions"
            )
        if self.sft is None and self.rl is None:
            raise ValueError("sft, rl: at least one of the two is needed ('sft: {}' takes every default)")
        if self.rl is not None and self.rl.modes != ALL:
            raise ValueError(f"rl.modes: it says what SFT shows, so give it as sft.modes; found {self.rl.modes!r}")
        if self.rl is not None and self.sft is not None and self.sft.test_items is not None:
            raise ValueError("sft.test_items: beside rl the test set is RL's; give rl.test_items")
        Modes.from_config(self.modes)
        for block in (self.served, self.judge):
            if block is not None:
                ServedConfig.from_mapping(block)
        if self.judge is not None and self.served is None:
            raise ValueError(
                "judge: it judges what a served model wrote, but served is null; give served.base_url and "
                "served.model, or leave judge out"
            )
        asked = [name for name in SERVED if self.personas and self.personas.shares.get(name, 0) > 0]
        if asked and self.served is None:
            raise ValueError(
                f"personas.shares: {' and '.join(asked)} personas are written by a served model, but served is null; "
                "give served.base_url and served.model, or set these shares to 0"
            )

    def written_in_full(self) -> dict[str, Any]:
        """Every key with its value, as ``from_file`` reads it."""
        return _plain(asdict(self))

    def as_written(self, prompts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """The configuration for the manifest: inputs by their last name only, so that no path is in it.

        ``prompts`` are the digests of the templates in use, for ``served`` and ``judge``: they stand for the folder.
        """
        content = self.written_in_full()
        for name in ("served", "judge"):
            if block := content[name]:  # where it is served changes no answer
                kept = {key: value for key, value in block.items() if key not in ("base_url", "prompts")}
                content[name] = kept | {"prompts": dict(prompts.get(name, {}))}
        if isinstance(self.modes, str):
            content["modes"] = Path(self.modes).name
        for entry in (*content["sources"], *([content["personas"]] if content["personas"] else [])):
            if entry["input"] and Path(entry["input"]).exists():
                entry["input"] = Path(entry["input"]).name
        return content


def from_file(path: Path) -> BuildConfig:
    """The build that a yaml file asks for. Raises ValueError as ``config_reading``."""
    return read(BuildConfig, read_yaml(path))


def preset(name: str) -> Mapping[str, Any]:
    """The keys of ``presets/NAME.yaml``.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r}: there are {', '.join(PRESETS)}")
    with resources.as_file(resources.files("personadual.data_prep") / "presets" / f"{name}.yaml") as path:
        return read_yaml(path)


def _check_positive(where: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{where}.{name}: a number above 0 is needed, found {value!r}")


def _plain(value: Any) -> Any:
    """Containers as yaml and JSON know them."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple | list) else value
