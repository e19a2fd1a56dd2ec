"""What a source is: a name, a licence, and a function from one of its rows to a record or a persona."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from personadual.data_prep.record import Record, Where


@dataclass(frozen=True)
class About:
    """What is said of a source in docs and manifest.

    ``hub_id`` is the id that ``datasets`` loads where no local file is given; ``redistributable`` is False where the
    licence forbids handing the texts on.
    """

    name: str
    licence: str
    citation: str
    homepage: str
    hub_id: str | None = None
    redistributable: bool = True


class QuestionSource(Protocol):
    """Questions with answers. Everything random depends on ``seed`` and the row alone, never on the rows before."""

    about: About

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a record.

        Raises:
            Rejected: the row is malformed or unfit, with the reason that is counted.
        """


class PersonaSource(Protocol):
    """Personas without questions (PersonaHub)."""

    about: About

    def persona(self, row: Mapping[str, Any], where: Where) -> str:
        """The persona in the first person ("I am ..."). Raises Rejected as ``QuestionSource.record``."""
