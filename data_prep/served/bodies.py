"""A completion taken apart: the reasoning, and the answer of its one block."""

from __future__ import annotations

from typing import NamedTuple

from personadual.data_prep.record import Rejected
from personadual.data_prep.served.texts import check_clean, without_thinking
from personadual.modes import Modes
from personadual.reward_fns.answer_block import CLOSE, OPEN, read_block, render_block

REASONING_OPEN, REASONING_CLOSE = "<reasoning>", "</reasoning>"


class Body(NamedTuple):
    """What a completion says. Neither part has outer white space, so that a mode's prefix tokenises apart from it."""

    reasoning: str
    answer: str

    def written(self) -> str:
        """As SFT shows it behind the mode's prefix: the reasoning, a blank line, the answer block."""
        return f"{self.reasoning}\n\n{render_block(self.answer)}"


def read_body(completion: str, modes: Modes) -> Body:
    """Reasoning and answer of a completion.

    One leading think block and one leading mode tag are taken off: the tag is ours to put there. The reasoning tags
    are not kept, they only show where it ends; a completion without any has its reasoning before the answer block.

    Raises:
        Rejected: anything else that is not reasoning and then exactly one well-formed answer block.
    """
    text = _without_tag(without_thinking(completion.strip()), modes)
    if OPEN not in text and CLOSE not in text:
        raise Rejected("no answer block", text[-80:])
    if text.count(OPEN) != 1 or text.count(CLOSE) != 1:
        raise Rejected("not exactly one answer block", f"{text.count(OPEN)} opened, {text.count(CLOSE)} closed")
    block = read_block(text)
    if block is None:
        raise Rejected("answer block is not the JSON asked for", text[text.find(OPEN) :][:120])
    if not block.at_end:
        raise Rejected("text behind the answer block", text.partition(CLOSE)[2].strip()[:80])
    reasoning = _reasoning(text.partition(OPEN)[0].strip())
    if not reasoning:
        raise Rejected("no reasoning")
    check_clean(reasoning, modes)
    check_clean(block.answer, modes)
    return Body(reasoning, block.answer.strip())


def _reasoning(text: str) -> str:
    opened, closed = text.count(REASONING_OPEN), text.count(REASONING_CLOSE)
    if opened == closed == 0:
        return text
    if (opened, closed) != (1, 1) or not text.startswith(REASONING_OPEN) or not text.endswith(REASONING_CLOSE):
        raise Rejected("broken reasoning tags", f"{opened} opened, {closed} closed")
    return text[len(REASONING_OPEN) : -len(REASONING_CLOSE)].strip()


def _without_tag(text: str, modes: Modes) -> str:
    for mode in modes:
        if text.startswith(mode.tag):
            return text[len(mode.tag) :]
    return text
