"""The reasoning modes: their names, their tags, and how a text or a tokenizer meets them.

A response in a mode starts with the mode's *prefix*, which is its tag and a newline. Everything that forces, scores,
learns or measures a mode takes its ``Modes`` from here; the two of the paper are the default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INVALID_MODE = -1
"""Index of a response that starts with no mode's tag. It is counted as invalid, never as one of the modes."""


@dataclass(frozen=True)
class Mode:
    """One reasoning mode: ``name`` in configs, columns and metrics; ``tag`` in the text."""

    name: str
    tag: str

    @property
    def prefix(self) -> str:
        return self.tag + "\n"


@dataclass(frozen=True)
class ParsedMode:
    """``index`` into the modes (``INVALID_MODE`` for none), ``name`` ("invalid" for none), text behind the tag."""

    index: int
    name: str
    body: str


class Modes(Sequence[Mode]):
    """An ordered list of K >= 2 modes. The order gives each mode its index everywhere.

    Raises:
        ValueError: fewer than two modes, a name or tag twice, an empty or multi-line tag, a reserved name, or a tag
            that starts another one, so that a text could be read as either.
    """

    def __init__(self, modes: Sequence[Mode]):
        self._modes = tuple(modes)
        if len(self._modes) < 2:
            raise ValueError(f"modes: at least 2 are needed, found {len(self._modes)}")
        self._names = names = tuple(mode.name for mode in self._modes)
        for mode in self._modes:
            if not mode.name.isidentifier() or mode.name in ("invalid", "free"):
                raise ValueError(f"modes: name {mode.name!r} must be an identifier other than 'invalid' and 'free'")
            if not mode.tag or mode.tag != mode.tag.strip() or "\n" in mode.tag:
                raise ValueError(f"modes: tag {mode.tag!r} of {mode.name!r} must be one line without outer spaces")
            if names.count(mode.name) > 1:
                raise ValueError(f"modes: the name {mode.name!r} is given twice")
            for other in self._modes:
                if other is not mode and other.tag.startswith(mode.tag):
                    raise ValueError(f"modes: tag {mode.tag!r} starts tag {other.tag!r}; no text could tell them apart")

    @classmethod
    def from_config(cls, config: Sequence[Mapping[str, Any]] | str | os.PathLike[str] | None) -> Modes:
        """Modes of a config block ``[{name: ..., tag: ...}, ...]``, or of a file that holds one (``from_file``).

        ``None`` gives the two of the paper.
        """
        if config is None:
            return DEFAULT_MODES
        if isinstance(config, str | os.PathLike):
            return cls.from_file(config)
        if not isinstance(config, Sequence):
            raise ValueError(f"modes: a list of {{name, tag}} or the path of a file is needed, found {config!r}")
        modes = []
        for position, entry in enumerate(config):
            if not isinstance(entry, Mapping) or set(entry) != {"name", "tag"}:
                raise ValueError(f"modes[{position}]: exactly the keys 'name' and 'tag' are needed, found {entry!r}")
            modes.append(Mode(name=str(entry["name"]), tag=str(entry["tag"])))
        return cls(modes)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Modes:
        """Modes of a YAML or JSON file: the list of {name, tag} alone, or under ``modes``.

        One file can serve data preparation (``--modes``), training (``algorithm.dual_grpo.modes``) and evaluation.
        """
        import yaml

        try:
            content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError, RuntimeError, yaml.YAMLError) as error:
            # ValueError: bytes or a path that are no text; RuntimeError: ~name of nobody; RecursionError is one too.
            raise ValueError(f"modes file {path!s:.200}: cannot be read as yaml ({error})") from error
        if isinstance(content, Mapping):
            content = content.get("modes")
        if not isinstance(content, list):
            raise ValueError(
                f"modes file {path!s:.200}: a list of {{name, tag}} is needed, found {type(content).__name__}"
            )
        return cls.from_config(content)

    def to_config(self) -> list[dict[str, str]]:
        """The config block of these modes, which ``from_config`` reads."""
        return [{"name": mode.name, "tag": mode.tag} for mode in self._modes]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._modes[index]

    def __len__(self) -> int:
        return len(self._modes)

    def __iter__(self) -> Iterator[Mode]:
        return iter(self._modes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Modes) and self._modes == other._modes

    def __hash__(self) -> int:
        return hash(self._modes)

    def __repr__(self) -> str:
        return f"Modes({list(self._modes)!r})"

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    def index_of(self, name: str) -> int:
        """Index of the mode called ``name``; ValueError with the known names otherwise."""
        if name not in self.names:
            raise ValueError(f"unknown mode {name!r}; the configured modes are {', '.join(self.names)}")
        return self.names.index(name)


GENERAL = Mode("general", "[General_mode]")
PERSONALIZED = Mode("personalized", "[Personalized_mode]")
DEFAULT_MODES = Modes([GENERAL, PERSONALIZED])


def parse_mode(text: str, modes: Modes = DEFAULT_MODES) -> ParsedMode:
    """Mode of a response and the text behind its tag.

    A tag counts only as the very first characters of ``text`` and only when the line ends behind it: a tag in a
    persona, in the reasoning, or behind a space is text like any other, and the whole text is then the body.
    """
    for index, mode in enumerate(modes):
        if text.startswith(mode.tag):
            rest = text[len(mode.tag) :]
            if not rest or rest[0] == "\n":
                return ParsedMode(index, mode.name, rest[1:])
    return ParsedMode(INVALID_MODE, "invalid", text)


def encode_prefix(tokenizer: Any, mode: Mode) -> list[int]:
    """Token ids of the mode's prefix as they follow a generation prompt (no special tokens added).

    Raises:
        ValueError: the ids do not decode back to the prefix, so the forced text would not be the tag.
    """
    ids = tokenizer.encode(mode.prefix, add_special_tokens=False)
    decoded = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    if not ids or decoded != mode.prefix:
        name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        raise ValueError(
            f"tokenizer {name!r} does not keep the prefix of mode {mode.name!r}: {mode.prefix!r} comes back as "
            f"{decoded!r}. Choose another tag under algorithm.dual_grpo.modes, or mend the tokenizer."
        )
    return list(ids)


def encode_prefixes(tokenizer: Any, modes: Modes = DEFAULT_MODES) -> list[list[int]]:
    """``encode_prefix`` of every mode, in order. Two modes with the same ids are refused."""
    prefixes = [encode_prefix(tokenizer, mode) for mode in modes]
    deciding_position(prefixes)
    return prefixes


def deciding_position(prefixes: Sequence[Sequence[int]]) -> int:
    """Column of the deciding token: the first at which the modes' prefixes are not all the same.

    Raises:
        ValueError: one prefix is the beginning of all the others, so that no token decides.
    """
    for column, tokens in enumerate(zip(*prefixes, strict=False)):
        if len(set(tokens)) > 1:
            return column
    raise ValueError("the modes' prefixes share all their tokens; no token decides between them")


def modes_sharing_a_token(prefixes: Sequence[Sequence[int]]) -> list[list[int]]:
    """Indices of modes with the same token in the deciding column, in groups of two or more; [] if all differ.

    With two modes that column tells them apart; with more it may be that only one differs from all the others there.
    """
    column = deciding_position(prefixes)
    by_token: dict[int, list[int]] = {}
    for index, prefix in enumerate(prefixes):
        by_token.setdefault(prefix[column], []).append(index)
    return [indices for indices in by_token.values() if len(indices) > 1]
