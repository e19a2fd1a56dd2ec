"""The questions of a file of any kind, with what two of them are compared by: for ``personadual data leaks``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personadual import schema
from personadual.data_prep import readers
from personadual.data_prep.chat import ANSWER_INSTRUCTION
from personadual.data_prep.hashing import key
from personadual.data_prep.neardup import NearDuplicates, Signatures, signatures
from personadual.data_prep.option_answers import from_value
from personadual.data_prep.options import parse_lettered
from personadual.data_prep.pipeline.reading import with_options
from personadual.data_prep.record import Rejected

_AT_ONCE = 4096
_QUESTION_COLUMNS = ("question", "Question", "input", "inputs", "query", "problem", "text", "prompt")
_OPTION_COLUMNS = (schema.OPTIONS, "choices")

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Asked:
    """A question in ``row``; ``compared`` is its text, for a short one with known options these too."""

    row: int
    text: str
    compared: str

    @property
    def bare(self) -> bool:
        """Whether the text alone is compared."""
        return self.compared == self.text


@dataclass(frozen=True)
class Questions:
    """Distinct questions and their signatures; ``stems``: those of the texts alone, of the questions with options."""

    asked: list[Asked]
    signatures: Signatures
    stems: Signatures

    @classmethod
    def of(cls, asked: list[Asked], settings: NearDuplicates) -> Questions:
        stems = signatures([each.text for each in asked if not each.bare], settings)
        return cls(asked, signatures([each.compared for each in asked], settings), stems)

    @classmethod
    def joined(cls, parts: Sequence[Questions]) -> Questions:
        return cls(
            [each for part in parts for each in part.asked],
            np.concatenate([part.signatures for part in parts]),
            np.concatenate([part.stems for part in parts]),
        )

    def places(self, *, bare: bool) -> Places:
        return np.array([place for place, each in enumerate(self.asked) if each.bare == bare], dtype=np.intp)


@dataclass
class Reading:
    """A file that is read. The counts are whole once ``parts`` is through: ``broken`` rows can't be read, ``empty``
    ones have no question, and neither are compared.

    ``column``: of the questions, where it is none of the usual.
    """

    path: Path
    column: str | None = None
    rows: int = 0
    broken: int = 0
    empty: int = 0
    first: str = ""

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.broken + self.empty} of {self.rows} rows were not compared ({self.broken} can't be "
            f"read, {self.empty} have no question); the first is {self.first}"
        )

    def parts(self, settings: NearDuplicates) -> Iterator[Questions]:
        """The distinct questions, some at a time.

        Raises:
            ValueError: the file is missing or unreadable, or has no question.
        """
        held: list[Asked] = []
        seen: set[int] = set()
        for asked in self._asked():
            digest = key(asked.compared)
            if digest not in seen:
                seen.add(digest)
                held.append(asked)
                if len(held) == _AT_ONCE:
                    yield Questions.of(held, settings)
                    held = []
        if not seen:
            usual = ", ".join(_QUESTION_COLUMNS)
            raise ValueError(
                f"{self.path}: no question was found; name its column with --column (the usual are {usual})"
            )
        if held:
            yield Questions.of(held, settings)

    def _asked(self) -> Iterator[Asked]:
        for where, row in readers.rows(str(self.path)):
            self.rows += 1
            if isinstance(row, Rejected):
                self.broken += 1
                self.first = self.first or f"{where} ({row})"
                continue
            question, options = question_of(row, self.column)
            if text := question.strip():
                yield Asked(where.row, text, with_options(text, options))
            else:
                self.empty += 1
                self.first = self.first or str(where)


def question_of(row: Mapping[str, Any], column: str | None = None) -> tuple[str, Sequence[str]]:
    """Question and options of a row: verl's RL columns, SFT messages, UltraMedical's conversations, or a column.

    The question is "" where there is none, the options () where none are known.
    """
    if column is not None:
        value = row.get(column)
        return (value if isinstance(value, str) else ""), _options(row)
    extra = row.get(schema.EXTRA_INFO)
    if isinstance(extra, Mapping) and isinstance(extra.get(schema.QUESTION), str):
        return extra[schema.QUESTION], _options(extra)
    for name, role, text in (
        (schema.MESSAGES, "role", "content"),
        (schema.PROMPT, "role", "content"),
        ("conversations", "from", "value"),
    ):
        turns = row.get(name)
        if isinstance(turns, Sequence) and not isinstance(turns, str):
            asked = [turn[text] for turn in turns if isinstance(turn, Mapping) and turn.get(role) in ("user", "human")]
            if asked and isinstance(asked[0], str):
                return _parted(asked[0])
    return next((row[name] for name in _QUESTION_COLUMNS if isinstance(row.get(name), str)), ""), _options(row)


def _options(row: Mapping[str, Any]) -> Sequence[str]:
    """Options in a column of their own."""
    for name in _OPTION_COLUMNS:
        if row.get(name):
            try:
                return from_value(row[name], name)[0]
            except Rejected:
                return ()
    return ()


def _parted(text: str) -> tuple[str, Sequence[str]]:
    """A user's message as question and options, without the instruction."""
    text = text.removesuffix(ANSWER_INSTRUCTION).rstrip()
    found = parse_lettered(text)
    return found if found and found[0] else (text, ())
