"""Any JSONL, CSV, TSV or parquet file as a source, by a mapping of its columns (``sources.columns``).

Licence and citation: the user's own; the mapping's ``licence`` is written into every row. Schema: the user's own. A
mapping for a CSV file with the columns q, a, b, c, right, who:

    question: q
    options: [a, b, c]
    answer: right
    persona: who
    condition: {value: personal}
    data_source: my_set
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from personadual import schema
from personadual.data_prep import option_answers
from personadual.data_prep.options import LETTERS, parse
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.columns import VALUE, Columns, Constant, as_text, lookup
from personadual.data_prep.sources.fields import EMPTY, WRONG_KIND, id_of
from personadual.modes import DEFAULT_MODES, Modes

NO_ANSWER = "no answer"
UNKNOWN_CONDITION, UNKNOWN_MODE = "unknown condition", "unknown mode"
PERSONA_AND_CONDITION = "persona and condition do not fit"


class Generic:
    def __init__(self, columns: Columns, modes: Modes = DEFAULT_MODES):
        self.columns, self.modes = columns, modes
        self.about = About(columns.data_source, columns.licence, citation="", homepage="", redistributable=False)

    def check_columns(self, row: Mapping[str, Any]) -> None:
        self.columns.check(row)

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a record. Every column of the mapping must be there; all but question and answer may be empty.

        Raises:
            Rejected: malformed where a column is missing or holds what it can't, unfit without an answer.
        """
        columns = self.columns
        question = as_text(lookup(row, columns.question), columns.question)
        question, options, labels = self._options(row, question)
        if not question:
            raise Rejected(EMPTY, field=columns.question, malformed=True)
        answer = as_text(lookup(row, columns.answer), columns.answer)
        if not answer:
            raise Rejected(NO_ANSWER, field=columns.answer)
        if options:
            answer = _letter(answer, options, labels, columns.answer_base)
        else:
            self._check_open(answer)
        persona, condition = self._constant(row, columns.persona), self._constant(row, columns.condition).lower()
        condition = condition or schema.NONE
        if condition not in schema.CONDITIONS:
            raise Rejected(UNKNOWN_CONDITION, f"found {condition!r:.50}", field="condition", malformed=True)
        if (condition == schema.NONE) == bool(persona):
            raise Rejected(
                PERSONA_AND_CONDITION, f"{condition}, persona {persona!r:.50}", field="persona", malformed=True
            )
        right_mode = self._constant(row, columns.right_mode)
        if right_mode and right_mode not in self.modes.names:
            raise Rejected(UNKNOWN_MODE, f"found {right_mode!r:.50}", field="right_mode", malformed=True)
        if columns.question_id is None:
            own_id = id_of(question, *(options or ()))
        elif not (own_id := as_text(lookup(row, columns.question_id), columns.question_id)):
            raise Rejected(EMPTY, field=columns.question_id, malformed=True)
        return Record(
            question_id=f"{columns.data_source}:{own_id}",
            question=question,
            answer=answer,
            data_source=columns.data_source,
            licence=columns.licence,
            source=columns.data_source,
            options=options or None,
            accept=self._accept(row),
            persona=persona,
            condition=condition,
            right_mode=right_mode or None,
            subject=self._constant(row, columns.subject),
            ability=columns.ability,
            where=where,
        )

    def _options(self, row: Mapping[str, Any], question: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """The question without its options, the options (none for an open question), and their labels."""
        named = self.columns.options
        if named is None:
            return question, (), ()
        if named == self.columns.question:
            stem, options = parse(question) or (question, ())
            return stem, options, ()
        if not isinstance(named, str):
            texts = [as_text(lookup(row, column), column) for column in named]
            while texts and not texts[-1]:  # a question with fewer options than there are columns
                texts.pop()
            return question, tuple(texts), ()
        value = lookup(row, named)
        if value is None or (isinstance(value, str | list | dict) and not value):
            return question, (), ()
        return question, *option_answers.from_value(value, named)

    def _check_open(self, answer: str) -> None:
        """Refuse the number or letter of an option that the row does not have. Raises Rejected."""
        if self.columns.answer_base is not None:
            of_an_option = answer.isdigit()
        else:  # a list in the question's own text stands there, read or not
            in_columns = self.columns.options not in (None, self.columns.question)
            of_an_option = in_columns and bool(option_answers.bare_letter(answer))
        if of_an_option:
            raise Rejected(option_answers.TOO_FEW, f"found none for the answer {answer!r:.50}", field="options")

    @staticmethod
    def _constant(row: Mapping[str, Any], column: str | Constant | None) -> str:
        if isinstance(column, str):
            return as_text(lookup(row, column), column)
        return "" if column is None else str(column[VALUE])

    def _accept(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        column = self.columns.accept
        if column is None:
            return ()
        value = lookup(row, column)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise Rejected(WRONG_KIND, f"not JSON: {error}", field=column, malformed=True) from None
        texts = [as_text(entry, column) for entry in (value if isinstance(value, list) else [value])]
        return tuple(text for text in texts if text)


def _letter(answer: str, options: tuple[str, ...], labels: tuple[str, ...], base: int | None) -> str:
    if base is None:
        return option_answers.letter_of(answer, options, labels)
    option_answers.check(options)
    letters = [option_answers.bare_letter(label) for label in labels]
    if any(letters) and letters != list(LETTERS[: len(options)]):
        found = f"number {answer!r:.50} of options labelled {', '.join(labels)}"
        raise Rejected(option_answers.AMBIGUOUS, found, field="answer")
    place = int(answer) - base if answer.isascii() and answer[:3].isdigit() and len(answer) < 3 else -1
    if not 0 <= place < len(options):
        raise Rejected(option_answers.NOT_AMONG, f"number {answer!r:.50} of {len(options)}", field="answer")
    return LETTERS[place]
