"""An optional judge for free-form answers: yes or no on whether an answer means the same as the ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.served.exchange import Outcome, Request
from personadual.data_prep.served.prompts import JUDGE, Prompts
from personadual.data_prep.served.service import Service
from personadual.data_prep.served.texts import without_thinking
from personadual.reward_fns.answer_block import read_block, render_block

YES, NO = "yes", "no"
UNDECIDED = "judge undecided"


def judge_request(record: Record, candidate: str, prompts: Prompts) -> Request:
    """Whether ``candidate`` answers ``record``, as a request. The template quotes it: it can't pose as a prompt."""
    messages = prompts.messages(
        JUDGE,
        question=record.question,
        truth=record.answer_text,
        accept=list(record.accept),
        candidate=candidate,
        block=render_block(f"{YES}/{NO}"),
    )
    return Request(f"{JUDGE}/{record.question_id}", messages)


def read_verdict(outcome: Outcome) -> bool:
    """The judge's verdict: one answer block at the end with exactly "yes" or "no".

    Raises:
        Rejected: the request failed, or the verdict is anything else. It is then unknown, which is not "no".
    """
    block = read_block(without_thinking(outcome.text()))
    if block is None or not block.at_end or block.answer not in (YES, NO):
        raise Rejected(UNDECIDED, f"no block with {YES} or {NO} alone")
    return block.answer == YES


def judge_all(
    answers: Iterable[tuple[Record, str]], service: Service, counts: Counter[str], total: int | None = None
) -> Iterator[bool | None]:
    """Verdicts on (record, candidate) pairs in their order; None, counted by reason, where there is none."""
    for outcome in service.ask((judge_request(*answer, service.prompts) for answer in answers), total):
        try:
            yield read_verdict(outcome)
        except Rejected as rejected:
            counts[rejected.reason] += 1
            yield None
