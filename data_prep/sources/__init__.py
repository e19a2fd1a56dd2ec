"""Where questions and personas come from: one module per set, and ``generic`` for any file with a mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from personadual.data_prep.sources.alignx import AlignX
from personadual.data_prep.sources.base import PersonaSource, QuestionSource
from personadual.data_prep.sources.choices import Arc, Gsm8k, Mmlu
from personadual.data_prep.sources.columns import Columns
from personadual.data_prep.sources.facts import Facts
from personadual.data_prep.sources.flan import Flan
from personadual.data_prep.sources.generic import Generic
from personadual.data_prep.sources.personahub import OwnPersonas, PersonaHub
from personadual.data_prep.sources.ultramedical import UltraMedical
from personadual.modes import DEFAULT_MODES, Modes

GENERIC = "generic"

QUESTION_SOURCES: dict[str, Callable[[], QuestionSource]] = {
    source.about.name: source for source in (UltraMedical, Flan, AlignX, Mmlu, Arc, Gsm8k, Facts)
}
"""By name; ``generic`` is made by ``question_source``, which has its mapping."""

PERSONA_SOURCES: dict[str, Callable[[], PersonaSource]] = {
    source.about.name: source for source in (PersonaHub, OwnPersonas)
}


def question_source(
    name: str, mapping: Mapping[str, Any] | str | Path | None = None, modes: Modes = DEFAULT_MODES
) -> QuestionSource:
    """The source called ``name``; ``mapping``, for ``generic`` alone, is a block or a yaml file of columns.

    Raises:
        ValueError: an unknown name, a mapping where there must be none or the other way round, or a wrong mapping.
    """
    if name == GENERIC:
        if mapping is None:
            raise ValueError(
                "source generic: a mapping is needed, with at least question, answer (columns) and data_source"
            )
        return Generic(Columns.from_config(mapping), modes)
    source = _named(name, QUESTION_SOURCES, [GENERIC])()
    if mapping is not None:
        raise ValueError(f"source {name}: it knows its columns; a mapping is for the source {GENERIC}")
    return source


def persona_source(name: str) -> PersonaSource:
    """The source of personas called ``name``. Raises ValueError for an unknown one."""
    return _named(name, PERSONA_SOURCES, [])()


def _named(name: str, sources: Mapping[str, Callable[[], Any]], others: list[str]) -> Callable[[], Any]:
    if name not in sources:
        known = [*sources, *others]
        near = get_close_matches(name.lower(), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"source {name!r}: there are {', '.join(known)}{hint}")
    return sources[name]
