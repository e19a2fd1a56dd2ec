"""A question as every source gives it: the one form between a source's own rows and verl's columns."""

from __future__ import annotations

from dataclasses import dataclass

from personadual import schema
from personadual.data_prep.items import FACT


@dataclass(frozen=True)
class Where:
    """Where a row stands: the file (or the hub's data set) and the row in it, counted from 1."""

    file: str
    row: int

    def __str__(self) -> str:
        return f"{self.file}:{self.row}"


class Rejected(Exception):
    """A row that can't be used.

    ``reason`` is a short fixed phrase that the manifest counts by; ``detail`` says what was found; ``field`` names the
    field. ``malformed`` rows break the format of their source (``--strict`` stops at the first); the others are well
    formed and merely unfit, such as a translation task, and are dropped and counted.
    """

    def __init__(self, reason: str, detail: str = "", *, field: str = "", malformed: bool = False):
        super().__init__(": ".join(part for part in (field, reason, detail) if part))
        self.reason, self.detail, self.field, self.malformed = reason, detail, field, malformed


@dataclass(frozen=True)
class Record:
    """One question with its right answer.

    ``answer`` is an option's letter where ``options`` are given and the answer's text otherwise; ``accept`` holds
    further right wordings. ``question`` has neither the options nor the answer instruction. A source whose questions
    come with their asker (AlignX) sets ``persona`` and ``condition``; for all others a persona is attached later.
    ``subject`` is the task or subset that counts and limits go by. Equal ``question_id`` means the same
    question; a build tells those apart that a source gives to several.
    """

    question_id: str
    question: str
    answer: str
    data_source: str
    licence: str
    source: str
    options: tuple[str, ...] | None = None
    accept: tuple[str, ...] = ()
    persona: str = ""
    condition: str = schema.NONE
    right_mode: str | None = None
    subject: str = ""
    ability: str = FACT
    where: Where | None = None

    @property
    def answer_text(self) -> str:
        """The right answer as text: the option behind the letter, or the answer itself."""
        if self.options is None:
            return self.answer
        return self.options[ord(self.answer) - ord("A")]
