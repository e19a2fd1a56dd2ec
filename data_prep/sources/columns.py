"""Which columns of a user's file hold what: the yaml of the generic source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from personadual import schema
from personadual.data_prep.config_reading import read, read_yaml
from personadual.data_prep.items import FACT
from personadual.data_prep.record import Rejected
from personadual.data_prep.sources.fields import MISSING, WRONG_KIND
from personadual.reward_fns.normalise import is_blank

VALUE = "value"
Constant = Mapping[str, Any]

_LITERAL = ("data_source", "licence", "ability", "answer_base")


@dataclass(frozen=True)
class Columns:
    """A column is a name, or a path into nested objects and lists ("meta.answers.0"), tried as a name first.

    Args:
        question, answer: columns that every row fills.
        data_source: by which rewards are graded and metrics reported; no column but the name itself.
        options: a column with all of them (a list, letters to texts, or a text with one of these or "A. ..." lines), or
            a list of columns with one each. The question's own column: they stand at the end of its text.
        answer_base: 0 or 1 where the answer is an option's number counted from there. Otherwise it is a letter, a
            label or the option's text.
        accept: further right answers, a list or one text.
        persona, condition, right_mode, subject: columns, or ``{value: ...}`` for the same in every row. A persona needs
            a condition.
        question_id: column by which two rows are the same question; without one, those with the same text are.
        licence, ability: not columns but what they are.
    """

    question: str
    answer: str
    data_source: str
    options: str | tuple[str, ...] | None = None
    answer_base: int | None = None
    accept: str | None = None
    persona: str | Constant | None = None
    condition: str | Constant | None = None
    right_mode: str | Constant | None = None
    subject: str | Constant | None = None
    question_id: str | None = None
    licence: str = "not stated"
    ability: str = FACT

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Mapping) and (set(value) != {VALUE} or not isinstance(value[VALUE], str)):
                raise ValueError(f"mapping.{field.name}: a column or {{value: TEXT}} is needed, found {dict(value)!r}")
            if value == "" or value == ():
                raise ValueError(f"mapping.{field.name}: a name is needed, found {value!r}")
        if self.answer_base not in (None, 0, 1) or (self.answer_base is not None and self.options is None):
            raise ValueError(f"mapping.answer_base: 0 or 1, beside options, is needed, found {self.answer_base!r}")
        if (self.persona is None) != (self.condition is None):
            missing = "condition" if self.condition is None else "persona"
            raise ValueError(
                f"mapping.{missing}: persona and condition go together; give a column or {{value: ...}} "
                f"(conditions are {', '.join(schema.CONDITIONS)})"
            )

    @classmethod
    def from_config(cls, mapping: Mapping[str, Any] | str | Path) -> Columns:
        """From a block of a yaml file, or from a file that holds one.

        Raises:
            ValueError: an unknown key (with the nearest known one), a missing one, or a value of another kind.
        """
        return read(cls, read_yaml(Path(mapping)) if isinstance(mapping, str | Path) else mapping, "mapping")

    def names(self) -> Iterator[tuple[str, str]]:
        """Key and column of everything that is read from a row."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in _LITERAL and isinstance(value, str | tuple):
                yield from ((field.name, column) for column in ([value] if isinstance(value, str) else value))

    def check(self, row: Mapping[str, Any]) -> None:
        """Refuse columns that ``row`` lacks. Raises ValueError with those that it has."""
        for key, column in self.names():
            try:
                lookup(row, column)
            except Rejected:
                near = get_close_matches(column, map(str, row), n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(
                    f"mapping.{key}: there is no column {column!r} in the file; it has {', '.join(map(str, row))}{hint}"
                ) from None


def lookup(row: Mapping[str, Any], column: str) -> Any:
    """The value at ``column``. Raises Rejected (malformed) where the row lacks it, with what it has."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(value):
            value = value[int(part[:9])]
        else:
            names = ", ".join(map(str, row)) or "none"
            raise Rejected(MISSING, f"the row has {names}", field=column, malformed=True)
    return value


def as_text(value: Any, column: str) -> str:
    """A text or number as text without outer space; None and a blank one are "". Raises Rejected (malformed)."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str | int | float) or isinstance(value, bool) or value != value:
        raise Rejected(WRONG_KIND, f"a text or number is needed, found {value!r:.50}", field=column, malformed=True)
    text = str(value).strip()
    return "" if is_blank(text) else text
