"""The answer block of a response, as the strict profile reads it:

<answer>
{"answer": "..."}
</answer>
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from personadual.reward_fns.normalise import is_blank

OPEN, CLOSE = "<answer>", "</answer>"
ANSWER_KEY = "answer"
THOUGHTS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))
"""How models and chat templates begin and end a think block."""
MAX_BLOCK_CHARACTERS = 4096  # an answer, not an essay; bounds what hostile text can cost the JSON reader


class AnswerBlock(NamedTuple):
    """The one answer of a response, and whether nothing but space follows its block."""

    answer: str
    at_end: bool


def render_block(answer: str) -> str:
    """The block that ``read_block`` reads as ``answer``: for training targets and prompts."""
    return f"{OPEN}\n{json.dumps({ANSWER_KEY: answer}, ensure_ascii=False)}\n{CLOSE}"


def read_block(text: str, thoughts_from: int = 0) -> AnswerBlock | None:
    """The answer of the one block in ``text``, or None.

    None where there is no block or more than one tag of either kind anywhere in the text, where the block stands in a
    think block (one that never ends, or that the chat template has opened, included), or where the content is not a
    JSON object with the key "answer" alone and a string that is not blank or a number as its value. Numbers come back
    as they were written. Space inside the block is free. Time is linear in the length of ``text``.

    ``thoughts_from`` is where a mode's tag ends: a tag that is "<think>" itself need not be closed.
    """
    # From the end, where the block is; searching backwards is also several times faster.
    opened, closed = text.rfind(OPEN), text.rfind(CLOSE)
    if not 0 <= opened < closed or text.rfind(OPEN, 0, opened) >= 0 or text.rfind(CLOSE, 0, closed) >= 0:
        return None
    content, behind = text[opened + len(OPEN) : closed], closed + len(CLOSE)
    if len(content) > MAX_BLOCK_CHARACTERS:
        return None
    try:
        value = _DECODER.decode(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) != {ANSWER_KEY}:
        return None
    answer = value[ANSWER_KEY]
    if not isinstance(answer, str) or is_blank(answer) or _is_thought(text, thoughts_from, opened, behind):
        return None
    return AnswerBlock(answer, at_end=not text[behind:].strip())


def _is_thought(text: str, first: int, start: int, end: int) -> bool:
    """Whether what stands from ``start`` to ``end`` is in a think block, of those that open from ``first`` on."""
    for opening, closing in THOUGHTS:
        last = text.rfind(opening, first, start)
        if last >= 0 and text.rfind(closing, last, start) < 0:
            return True
        following = text.find(closing, end)
        if following >= 0 and text.find(opening, end, following) < 0:
            return True
    return False


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no answer")


# Literals stay text: no float rounding, no limit on digits to trip over. true, false and null do not. Made once:
# ``json.loads`` with hooks makes a decoder for every call.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_int=str, parse_float=str, parse_constant=_refuse_constant
)
