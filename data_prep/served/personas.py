"""Personas written for a question: aligned ones name its answer, conflicting ones assert a wrong one."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from personadual import schema
from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.served.exchange import Outcome, Request
from personadual.data_prep.served.prompts import PERSONA_ALIGNED, PERSONA_CONFLICTING, Prompts
from personadual.data_prep.served.service import Service
from personadual.data_prep.served.texts import check_clean, occurs, without_thinking
from personadual.modes import DEFAULT_MODES, Modes
from personadual.reward_fns.matching import is_right

FEWEST, MOST = 40, 1500
"""Bounds of a persona's length in characters; about 8 and 250 words."""

_I_AM = re.compile(r"I(?: am|['’]m)\b", re.IGNORECASE)
_QUOTES = "\"'“”„«»`*"
_OF_THE_QUESTION = ("correct answer", "right answer", "the answer is", "multiple-choice", "multiple choice")
_DRAWS = 32


@dataclass(frozen=True)
class PersonaJob:
    """A persona to be written for ``record``, ``schema.ALIGNED`` or ``schema.CONFLICTING``.

    ``wrong`` is the answer that a conflicting one asserts.
    """

    record: Record
    condition: str
    wrong: str = ""


def persona_job(record: Record, condition: str, seed: int, pool: Sequence[str] = ()) -> PersonaJob:
    """The job for ``record``; the wrong answer is drawn by seed and question from its options, or from ``pool``.

    ``pool`` holds answers of the same kind, such as those of other questions of the subject.

    Raises:
        Rejected: a conflicting persona is wanted and no answer is both wrong and different enough.
        ValueError: a condition that is written for no question.
    """
    if condition == schema.ALIGNED:
        return PersonaJob(record, condition)
    if condition != schema.CONFLICTING:
        raise ValueError(f"condition {condition!r}: {schema.ALIGNED} or {schema.CONFLICTING} is needed")
    rng = random.Random(f"{seed}/conflicting/{record.question_id}")
    if record.options is not None:
        candidates = rng.sample(record.options, len(record.options))
    else:
        candidates = [pool[rng.randrange(len(pool))] for _ in range(_DRAWS if pool else 0)]
    rights = (record.answer_text, *record.accept)
    for candidate in candidates:
        apart = not any(occurs(candidate, right) or occurs(right, candidate) for right in rights)
        if candidate.strip() and apart and not is_right(candidate, record.answer, record.options, record.accept):
            return PersonaJob(record, condition, candidate.strip())
    raise Rejected("no wrong answer for a conflicting persona", f"{len(candidates)} looked at", field="options")


def persona_request(job: PersonaJob, prompts: Prompts) -> Request:
    """The request for a persona; ``about`` is the job."""
    record, aligned = job.record, job.condition == schema.ALIGNED
    options = [(chr(ord("A") + place), text) for place, text in enumerate(record.options or ())]
    values = {"question": record.question, "options": options, "answer": record.answer_text}
    messages = (
        prompts.messages(PERSONA_ALIGNED, **values)
        if aligned
        else prompts.messages(PERSONA_CONFLICTING, **values, wrong=job.wrong)
    )
    return Request(f"persona/{record.question_id}/{job.condition}", messages, job)


def read_persona(outcome: Outcome, modes: Modes = DEFAULT_MODES) -> str:
    """The persona of an answered request, in one paragraph that begins with "I am".

    An aligned one must contain the answer, which is what makes it help; a conflicting one the wrong answer that it was
    told to assert, and not the right one.

    Raises:
        Rejected: the request failed, or the persona is not what was asked for.
    """
    job: PersonaJob = outcome.request.about
    record = job.record
    persona = first_person(without_thinking(outcome.text()))
    check_clean(persona, modes)
    if not FEWEST <= len(persona) <= MOST:
        raise Rejected("persona too short or too long", f"{len(persona)} characters")
    lowered = persona.lower()
    if any(phrase in lowered for phrase in _OF_THE_QUESTION) or occurs(record.question, persona):
        raise Rejected("persona speaks of the question")
    rights = (record.answer_text, *record.accept)
    named = any(occurs(right, persona) for right in rights)
    if job.condition == schema.ALIGNED and not named:
        raise Rejected("aligned persona without the answer", repr(record.answer_text))
    if job.condition == schema.CONFLICTING:
        if not occurs(job.wrong, persona):
            raise Rejected("conflicting persona without its wrong answer", repr(job.wrong))
        if named:
            raise Rejected("conflicting persona with the right answer", repr(record.answer_text))
    return persona


def first_person(text: str) -> str:
    """``text`` as one line that begins with "I am"; quotes around all of it are taken off.

    Raises:
        Rejected: it begins in another way.
    """
    line = " ".join(text.split())
    if line[:1] in _QUOTES:
        line = line.strip(_QUOTES + " ")
    opening = _I_AM.match(line)
    if opening is None:
        raise Rejected("persona does not begin with 'I am'", line[:60])
    return "I am" + line[opening.end() :]


def make_personas(
    jobs: Iterable[PersonaJob],
    service: Service,
    counts: Counter[str],
    *,
    modes: Modes = DEFAULT_MODES,
    total: int | None = None,
) -> Iterator[tuple[PersonaJob, str]]:
    """Personas of the jobs, in their order; those that can't be used are counted by reason."""
    for outcome in service.ask((persona_request(job, service.prompts) for job in jobs), total):
        try:
            yield outcome.request.about, read_persona(outcome, modes)
        except Rejected as rejected:
            counts[rejected.reason] += 1
