"""Where questions and personas come from: one module per set, and ``generic`` for any file with a mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from personadual.data_prep.sources.alignx import AlignX
from personadual.data_prep.sources.alignx_test import AlignXTest
from personadual.data_prep.sources.base import HasSettings, PersonaSource, QuestionSource
from personadual.data_prep.sources.catalogue import CATALOGUE
from personadual.data_prep.sources.choices import Arc, Gsm8k, Mmlu
from personadual.data_prep.sources.columns import Columns
from personadual.data_prep.sources.facts import Facts
from personadual.data_prep.sources.flan import Flan
from personadual.data_prep.sources.generic import Generic
from personadual.data_prep.sources.gpqa import Gpqa
from personadual.data_prep.sources.personahub import OwnPersonas, PersonaHub
from personadual.data_prep.sources.personamem import PersonaMem
from personadual.data_prep.sources.prefeval import PrefEval
from personadual.data_prep.sources.ultramedical import UltraMedical
from personadual.modes import DEFAULT_MODES, Modes

GENERIC = "generic"

_CLASSES = (UltraMedical, Flan, AlignX, Mmlu, Arc, Gsm8k, Facts, Gpqa, AlignXTest, PersonaMem, PrefEval)
QUESTION_SOURCES: dict[str, Callable[[], QuestionSource]] = {
    **{source.about.name: source for source in _CLASSES},
    **CATALOGUE,
}
"""By name; ``generic`` is made by ``question_source``, which has its mapping."""

PERSONA_SOURCES: dict[str, Callable[[], PersonaSource]] = {
    source.about.name: source for source in (PersonaHub, OwnPersonas)
}


def question_source(
    name: str,
    mapping: Mapping[str, Any] | str | Path | None = None,
    modes: Modes = DEFAULT_MODES,
    settings: Mapping[str, Any] | None = None,
) -> QuestionSource:
    """The source called ``name``; ``mapping``, for ``generic`` alone, is a block or a yaml file of columns.

    ``settings`` is the block of a source that has any (``base.HasSettings``).

    Raises:
        ValueError: an unknown name, a mapping or settings where there must be none, or wrong ones.
    """
    source = _source(name, mapping, modes)
    if settings is None:
        return source
    if not isinstance(source, HasSettings):
        raise ValueError(f"source {name}: it has no settings")
    return source.with_settings(settings)


def _source(name: str, mapping: Mapping[str, Any] | str | Path | None, modes: Modes) -> QuestionSource:
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
