"""Answers of open questions by data source and subject: where a conflicting persona takes its wrong answer from.

Memory is bounded per subject and over all of them, whatever the number of questions. Which answers are held depends on
the answers alone, not on their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from personadual.data_prep.hashing import key
from personadual.data_prep.record import Record

HELD = 128
"""Different answers that are held of a subject, those with the smallest keys."""
SUBJECTS = 10_000
"""Subjects that are held; questions of further ones get no answers."""
LONGEST = 200
"""In characters: no persona has a longer answer in it word for word."""


class AnswerPools:
    """The answers of the open questions among ``records``."""

    def __init__(self, records: Iterable[Record] = ()):
        found: dict[tuple[str, str], dict[str, int]] = {}
        for record in records:
            if record.options is not None or len(record.answer) > LONGEST:
                continue
            if (group := _group(record)) not in found and len(found) == SUBJECTS:
                continue
            answers = found.setdefault(group, {})
            answers[record.answer] = key(record.answer)
            if len(answers) == 2 * HELD:
                found[group] = _smallest(answers)
        self._found = {group: tuple(_smallest(answers)) for group, answers in found.items()}

    def of(self, record: Record) -> Sequence[str]:
        """Answers of the questions that share the data source and the subject of ``record``, its own among them."""
        return self._found.get(_group(record), ())


def _group(record: Record) -> tuple[str, str]:
    return record.data_source, record.subject


def _smallest(answers: dict[str, int]) -> dict[str, int]:
    return dict(sorted(answers.items(), key=lambda pair: (pair[1], pair[0]))[:HELD])
