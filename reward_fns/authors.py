"""The authors' released scoring rules, for comparison with their numbers (profile ``authors``).

Source: ``XiaoyouLiu/personadual`` at d7292dc, the graders of UltraMedical, flan and AlignX. Restated from what they
accept, weak points included; the rules themselves live in regular expressions there, and in linear searches here.
"""

from __future__ import annotations

import json

from personadual.modes import Modes
from personadual.reward_fns.answer_block import ANSWER_KEY, CLOSE, OPEN
from personadual.reward_fns.graders import ALIGNX, FLAN

_BLOCK_START = "\n\n" + OPEN
_OBJECT_START = f'{{"{ANSWER_KEY}":'


def authors_accuracy(text: str, ground_truth: str, data_source: str) -> bool:
    """Whether the last ``{...}`` anywhere in ``text`` is JSON whose answer is ``ground_truth`` to the character.

    The braces are the last left-to-right pair of a "{" and the next "}", so an answer with a brace inside fails.
    Answers that are no strings: AlignX never accepts them, flan takes their text, the others too unless they are 0,
    false or empty.
    """
    content = _last_braces(text)
    if content is None:
        return False
    try:
        answer = json.loads(content).get(ANSWER_KEY, "")
        if data_source == FLAN or (answer and data_source != ALIGNX):
            answer = str(answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, str) and answer == ground_truth


def authors_format(text: str, modes: Modes) -> bool:
    """Whether ``text`` is a tag, anything, a blank line, and a block that looks like an answer and ends the text.

    Nothing may follow the block, not even a newline; what stands between `{"answer":` and the last brace is not read.
    The tag need not end its line. The line behind the tag must not open a second tag.
    """
    tag = next((mode.tag for mode in modes if text.startswith(mode.tag)), None)
    if tag is None or not text.endswith(CLOSE):
        return False
    if text.startswith("\n[", len(tag)) and text.find("_mode]", len(tag) + 2) >= 0:
        return False
    last = len(text[: -len(CLOSE)].rstrip()) - 1
    if last < 0 or text[last] != "}":
        return False
    start = text.find(_BLOCK_START, len(tag))
    while start >= 0:
        content = start + len(_BLOCK_START)
        while content < last and text[content].isspace():
            content += 1
        if text.startswith(_OBJECT_START, content):
            return content + len(_OBJECT_START) <= last
        start = text.find(_BLOCK_START, start + 1)
    return False


def _last_braces(text: str) -> str | None:
    found = None
    start = text.find("{")
    while start >= 0:
        end = text.find("}", start)
        if end < 0:
            break
        found = (start, end + 1)
        start = text.find("{", end + 1)
    return text[slice(*found)] if found else None
