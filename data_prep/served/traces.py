"""SFT traces from a served model: what is asked for a question in a mode, and which completions are kept.

The three prompts of the method: general mode with the truth shown, personalized mode with the truth shown, and
personalized without it as a filter: an objective item gets a personalized trace only if the model answers it correctly
with the aligned persona and nothing else. All is determined by the answers, so by the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from personadual import schema
from personadual.data_prep.items import FACT
from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.served.bodies import Body, read_body
from personadual.data_prep.served.exchange import Outcome, Request
from personadual.data_prep.served.judge import judge_all
from personadual.data_prep.served.prompts import TRACE_FILTER, TRACE_GENERAL, TRACE_PERSONALIZED, Prompts
from personadual.data_prep.served.service import Service
from personadual.modes import Mode
from personadual.reward_fns.answer_block import render_block
from personadual.reward_fns.compose import score_row
from personadual.reward_fns.settings import Settings

WRONG = "wrong answer"

# A trace must stand by itself: these give away that the truth was shown.
_SHOWN = tuple(
    f"{adjective} {noun}"
    for adjective in ("provided", "given", "stated", "supplied", "reference")
    for noun in ("answer", "correct answer")
) + ("answer provided", "answer given", "answer is provided", "answer was given")


@dataclass(frozen=True)
class TraceJob:
    """A trace to be written: the question, its persona ("" for none), and the mode that it is to show.

    ``prompt`` is the template; one of ``TRACE_GENERAL``, ``TRACE_PERSONALIZED``, ``TRACE_FILTER``.
    """

    record: Record
    persona: str
    condition: str
    mode: Mode
    prompt: str


@dataclass(frozen=True)
class Trace:
    """A graded trace. ``body`` goes behind the mode's prefix, as the whole of an SFT response."""

    job: TraceJob
    body: str


def needs_filter(record: Record) -> bool:
    """Whether a personalized trace needs the filter: for facts, not for what only the persona decides."""
    return record.ability == FACT


def trace_request(job: TraceJob, prompts: Prompts) -> Request:
    """The request for a trace; ``about`` is the job.

    Raises:
        ValueError: no such prompt, or a personalized one without a persona.
    """
    record = job.record
    if job.prompt not in (TRACE_GENERAL, TRACE_PERSONALIZED, TRACE_FILTER):
        raise ValueError(f"question {record.question_id}: {job.prompt!r} is no trace prompt")
    if not job.persona and job.prompt != TRACE_GENERAL:
        raise ValueError(f"question {record.question_id}: the prompt {job.prompt} needs a persona, found none")
    letters = [chr(ord("A") + place) for place in range(len(record.options or ()))]
    messages = prompts.messages(
        job.prompt,
        question=record.question,
        options=list(zip(letters, record.options or (), strict=True)),
        persona=job.persona,
        truth=f"{record.answer}. {record.answer_text}" if record.options else record.answer,
        block=render_block("/".join(letters) if letters else "your answer"),
    )
    return Request(f"{job.prompt}/{record.question_id}/{job.condition}", messages, job)


def read_trace(outcome: Outcome, settings: Settings) -> Trace:
    """The trace of an answered request, graded as training grades it.

    The answer block is written anew: with the option's letter, or the words of an open answer as they are.

    Raises:
        Rejected: the request failed, the completion breaks the form, its answer is wrong, or it lets slip that the
            truth was shown.
    """
    job: TraceJob = outcome.request.about
    body = _body(outcome, settings)
    if not _is_right(job, body, settings):
        raise Rejected(WRONG, f"{body.answer[:80]!r} for {job.record.answer_text!r}")
    return Trace(job, body._replace(answer=job.record.answer if job.record.options else body.answer).written())


def make_traces(
    jobs: Iterable[TraceJob],
    service: Service,
    settings: Settings,
    counts: Counter[str],
    *,
    judge: Service | None = None,
    total: int | None = None,
) -> Iterator[Trace]:
    """Traces of the jobs, in their order; those that can't be used are counted by reason.

    With ``judge``, an open answer that no rule matches is put to it at the end; what it calls right comes last, with
    the ground truth in the block, so that the trace passes the rules too.
    """
    undecided: list[tuple[TraceJob, Body]] = []
    for outcome in service.ask((trace_request(job, service.prompts) for job in jobs), total):
        job: TraceJob = outcome.request.about
        try:
            yield read_trace(outcome, settings)
        except Rejected as rejected:
            if judge is not None and rejected.reason == WRONG and not job.record.options:
                undecided.append((job, _body(outcome, settings)))
            else:
                counts[rejected.reason] += 1
    if judge is not None:
        verdicts = judge_all(((job.record, body.answer) for job, body in undecided), judge, counts, len(undecided))
        for (job, body), right in zip(undecided, verdicts, strict=True):
            if right:
                yield Trace(job, body._replace(answer=job.record.answer).written())
            elif right is not None:
                counts[WRONG] += 1


def passed_filter(
    jobs: Iterable[TraceJob], service: Service, settings: Settings, counts: Counter[str], total: int | None = None
) -> set[str]:
    """Question ids of the filter jobs that were answered correctly without the truth; the others are counted."""
    passed = set()
    for outcome in service.ask((trace_request(job, service.prompts) for job in jobs), total):
        try:
            passed.add(read_trace(outcome, settings).job.record.question_id)
        except Rejected as rejected:
            counts[rejected.reason] += 1
    return passed


def _body(outcome: Outcome, settings: Settings) -> Body:
    job: TraceJob = outcome.request.about
    body = read_body(outcome.text(), settings.modes)
    if job.prompt != TRACE_FILTER:
        lowered = body.reasoning.lower()
        if any(phrase in lowered for phrase in _SHOWN):
            raise Rejected("says that the answer was shown")
    return body


def _is_right(job: TraceJob, body: Body, settings: Settings) -> bool:
    record = job.record
    extra = {schema.OPTIONS: list(record.options) if record.options else None, schema.ACCEPT: list(record.accept)}
    try:
        score = score_row(record.data_source, job.mode.prefix + body.written(), record.answer, extra, settings=settings)
    except ValueError as error:
        raise Rejected("question cannot be graded", str(error), malformed=True) from error
    return score[schema.ACC] == 1
