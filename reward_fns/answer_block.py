"""The answer block of a response, as the strict profile reads it:

<answer>
{"answer": "..."}
</answer>
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

OPEN, CLOSE = "<answer>", "</answer>"
ANSWER_KEY = "answer"
MAX_BLOCK_CHARACTERS = 4096  # an answer, not an essay; bounds what hostile text can cost the JSON reader


class AnswerBlock(NamedTuple):
    """The one answer of a response, and whether nothing but space follows its block."""

    answer: str
    at_end: bool


def render_block(answer: str) -> str:
    """The block that ``read_block`` reads as ``answer``: for training targets and prompts."""
    return f"{OPEN}\n{json.dumps({ANSWER_KEY: answer}, ensure_ascii=False)}\n{CLOSE}"


def read_block(text: str) -> AnswerBlock | None:
    """The answer of the one block in ``text``, or None.

    None where there is no block or more than one tag of either kind anywhere in the text, or where the content is not a
    JSON object with the key "answer" alone and a non-empty string or a number as its value. Numbers come back as they
    were written. Space inside the block is free. Time is linear in the length of ``text``.
    """
    if text.count(OPEN) != 1 or text.count(CLOSE) != 1:
        return None
    content, closed, behind = text.partition(OPEN)[2].partition(CLOSE)
    if not closed or len(content) > MAX_BLOCK_CHARACTERS:
        return None
    try:
        value = _DECODER.decode(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) != {ANSWER_KEY}:
        return None
    answer = value[ANSWER_KEY]
    if not isinstance(answer, str) or not answer.strip():
        return None
    return AnswerBlock(answer, at_end=not behind.strip())


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
