"""When a text names an answer, and what no generated text may contain."""

from __future__ import annotations

import re
from functools import cache

from personadual.data_prep.hygiene import DROP, Hygiene, Rules
from personadual.data_prep.record import Rejected
from personadual.modes import Modes
from personadual.reward_fns.answer_block import THOUGHTS
from personadual.reward_fns.normalise import clean

THINK_OPEN, THINK_CLOSE = THOUGHTS[0]

# Commas that only group digits: 1,000 is 1000.
_GROUPING = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# Scripts from here on (CJK and others) are written without spaces: a word may begin and end anywhere.
_UNSPACED = "\u2e80"


def occurs(phrase: str, text: str) -> bool:
    """Whether ``text`` contains ``phrase`` as whole words, both without the differences that grading ignores."""
    needle, hay = (_GROUPING.sub("", clean(part)) for part in (phrase, text))
    start = hay.find(needle) if needle else -1
    while start >= 0:
        end = start + len(needle)
        if not _joined(hay, start) and not _joined(hay, end):
            return True
        start = hay.find(needle, start + 1)
    return False


def without_thinking(text: str) -> str:
    """``text`` without one leading think block, also where the chat template has opened it already.

    Raises:
        Rejected: a think tag is left over, so that it can't be told where the answer begins.
    """
    thought, closed, behind = text.strip().partition(THINK_CLOSE)
    if closed and THINK_OPEN not in thought.removeprefix(THINK_OPEN):
        text = behind.strip()
    if THINK_OPEN in text or THINK_CLOSE in text:
        raise Rejected("stray think tag", text[:80])
    return text


def check_clean(text: str, modes: Modes) -> None:
    """Refuses what means something to the trainer or a chat template.

    Raises:
        Rejected: a mode tag, an answer block or a control token is in ``text``.
    """
    _hygiene(modes).text(text, "persona")


@cache
def _hygiene(modes: Modes) -> Hygiene:
    # Escaping is for texts of people; a model can be asked for another one.
    return Hygiene(modes, Rules(persona=DROP))


def _joined(text: str, place: int) -> bool:
    """Whether a word goes on over ``place``."""
    if place <= 0 or place >= len(text):
        return False
    left, right = text[place - 1], text[place]
    return left.isalnum() and right.isalnum() and left < _UNSPACED and right < _UNSPACED
