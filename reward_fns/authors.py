"""The authors' released scoring rules, for comparison with their numbers (profile ``authors``).

Source: ``XiaoyouLiu/personadual`` at d7292dc, the graders of UltraMedical, flan and AlignX. Restated from what they
accept, weak points included; the rules themselves live in regular expressions there, and in linear searches here.
"""

from __future__ import annotations

import json
import re

from personadual.modes import Modes
from personadual.reward_fns.answer_block import ANSWER_KEY, CLOSE, OPEN
from personadual.reward_fns.graders import ALIGNX, FLAN

_BLOCK_START = re.compile(rf'\n\n{OPEN}\s*\{{"{ANSWER_KEY}":')
MAX_OBJECT_CHARACTERS = 1 << 16
"""Longer braces hold no answer here: a million characters of JSON lists take a tenth of a second to read."""


def authors_accuracy(text: str, ground_truth: str, data_source: str) -> bool:
    """Whether the last ``{...}`` anywhere in ``text`` is JSON whose answer is ``ground_truth`` to the character.

    The braces are the last left-to-right pair of a "{" and the next "}", so an answer with a brace inside fails. Those
    with more than ``MAX_OBJECT_CHARACTERS`` between them fail too, which is ours.
    Answers that are no strings: AlignX never accepts them, flan takes their text, the others too unless they are 0,
    false or empty.
    """
    content = _last_braces(text)
    if content is None or len(content) > MAX_OBJECT_CHARACTERS:
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
    start = _BLOCK_START.search(text, len(tag))
    return start is not None and start.end() <= last


def _last_braces(text: str) -> str | None:
    # Read from the end: between two "}" the first "{" opens a pair, and the second "}" closes it.
    opened = text.rfind("{", 0, max(text.rfind("}"), 0))
    if opened < 0:
        return None
    first = text.find("{", text.rfind("}", 0, opened) + 1)
    return text[first : text.find("}", opened) + 1]
