"""Options in texts: found at the end of a question, put in an order by seed, and written for the prompt."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from string import ascii_uppercase

LETTERS = ascii_uppercase

# "A. text", "A) text", "A: text" or "(A) text" at the start of a line; groups: letter, letter, text.
_MARKED = re.compile(r"[ \t]{0,16}(?:\(([A-Z])\)[.:]?|([A-Z])[.):])(?:[ \t]+(.*))?")
_INLINE = re.compile(r"(?<!\S)\(([A-Z])\)(?!\S)")
_DASHED = "OPTIONS:\n- "
_LEADS = frozenset({"options", "choices", "answer choices", "answer options", "the options are"})
_TRAILERS = frozenset({"answer", "the answer is", "your answer"})

Found = tuple[str, tuple[str, ...]]


def parse(text: str) -> Found | None:
    """The question and the options of a text that ends in a list of options, or None where there is no such list.

    Known are FLAN's list ("OPTIONS:" and a dash before each) and lists by letter: each on its own lines ("A. ...",
    "A) ...", "A: ...", "(A) ..."), or one behind the other as "(A) ... (B) ...". The letters must run from A without
    a gap to the end of the text; otherwise nothing says where an option ends. Time is linear in the text.
    """
    return parse_dashed(text) or parse_lettered(text)


def parse_dashed(text: str) -> Found | None:
    """FLAN's list, the last one if the text holds several. Text behind the list makes it unreadable."""
    start = text.rfind(_DASHED)
    if start < 0:
        return None
    lines = text[start:].rstrip().split("\n")[1:]
    if not all(line.startswith("- ") for line in lines):
        return None
    return _found(text[:start], [line[2:] for line in lines])


def parse_lettered(text: str) -> Found | None:
    """A list by letter: the last one that starts with A. A line without a letter goes on with the option before it."""
    lines = text.rstrip().split("\n")
    if _bare(lines[-1]) in _TRAILERS:
        lines.pop()
    marks = [(number, match) for number, line in enumerate(lines) if (match := _MARKED.fullmatch(line.rstrip()))]
    start = _last_a([match[1] or match[2] for _, match in marks])
    if start is None:
        return _parse_inline("\n".join(lines).rstrip())
    marks = marks[start:]
    if len({match[1] is None for _, match in marks}) > 1:  # "(A)" and "A." are not of one list
        return None
    options = []
    ends = [number for number, _ in marks[1:]] + [len(lines)]
    for (number, match), end in zip(marks, ends, strict=True):
        option = "\n".join([match[3] or "", *lines[number + 1 : end]]).strip()
        if "\n\n" in option:  # a paragraph of its own need not belong to the option
            return None
        options.append(" ".join(option.split()))
    return _found("\n".join(lines[: marks[0][0]]), options)


def _parse_inline(text: str) -> Found | None:
    marks = list(_INLINE.finditer(text))
    start = _last_a([match[1] for match in marks])
    if start is None:
        return None
    marks = marks[start:]
    ends = [match.start() for match in marks[1:]] + [len(text)]
    return _found(text[: marks[0].start()], [text[m.end() : end] for m, end in zip(marks, ends, strict=True)])


def _last_a(letters: Sequence[str]) -> int | None:
    """Where the last A stands, if B, C, ... follow it to the end."""
    if "A" not in letters:
        return None
    start = len(letters) - 1 - letters[::-1].index("A")
    run = "".join(letters[start:])
    return start if len(run) > 1 and LETTERS.startswith(run) else None


def _found(stem: str, options: Sequence[str]) -> Found:
    lines = stem.rstrip().split("\n")
    if len(lines) > 1 and _bare(lines[-1]) in _LEADS:
        lines.pop()
    return "\n".join(lines).strip(), tuple(option.strip() for option in options)


def _bare(line: str) -> str:
    return line.strip().rstrip(":").rstrip().casefold() if len(line) < 64 else ""


def in_seeded_order(right: str, wrong: str, seed: int, question_id: str) -> tuple[tuple[str, str], str]:
    """Two options in an order drawn for the question, and the letter of the right one.

    The order is drawn for the two texts, not for their roles: two users who are asked the same question and prefer
    different answers see it in the same order.
    """
    pair = sorted((right, wrong))
    if random.Random(f"{seed}/options/{question_id}").random() < 0.5:
        pair.reverse()
    return (pair[0], pair[1]), LETTERS[pair.index(right)]


def render_options(question: str, options: Sequence[str] | None) -> str:
    """The question as a prompt shows it: each option behind its letter on a line of its own, "A. the text".

    Options of several lines are set apart by empty lines.
    """
    if not options:
        return question
    apart = "\n\n" if any("\n" in option for option in options) else "\n"
    return apart.join([question, *(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))])
