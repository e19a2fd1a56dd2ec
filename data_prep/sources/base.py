"""What a source is: a name, a licence, and a function from one of its rows to a record or a persona."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from personadual.data_prep.record import Record, Where


@dataclass(frozen=True)
class About:
    """What is said of a source in docs and manifest.

    ``hub_id`` is the id that ``datasets`` loads where no local file is given; ``redistributable`` is False where the
    licence forbids handing the texts on, or where there is none that allows it. A set that is evaluated on has a
    ``test_split`` on the hub (of ``hub_config``); ``private`` is True where its authors ask that no row be shown in
    plain text.
    """

    name: str
    licence: str
    citation: str
    homepage: str
    hub_id: str | None = None
    redistributable: bool = True
    hub_config: str | None = None
    test_split: str | None = None
    private: bool = False


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


@runtime_checkable
class OwnRows(Protocol):
    """A question source that needs no input."""

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Its rows, in a fixed order."""


@runtime_checkable
class ReadsBeside(Protocol):
    """A question source whose rows refer to a second file of the set."""

    def look_beside(self, input: str, split: str | None) -> str:
        """To be called with an input and its split before its rows are read; what they are read from.

        Raises:
            ValueError: there is no such file, or it can't be read.
        """


@runtime_checkable
class HasSettings(Protocol):
    """A question source that can be set up: ``with_settings`` reads the ``settings`` block of its input."""

    def with_settings(self, settings: Mapping[str, Any]) -> QuestionSource:
        """A source with these settings. Raises ValueError for an unknown one or a wrong value."""


@runtime_checkable
class ChecksColumns(Protocol):
    """A question source whose columns are the user's choice."""

    def check_columns(self, row: Mapping[str, Any]) -> None:
        """To be called with the first row of each input, so that a wrong name ends the run instead of every row.

        Raises:
            ValueError: a column that the row lacks, with those that it has.
        """
