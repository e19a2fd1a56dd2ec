"""Text that others wrote, on its way into the page. Escaping is jinja's; here unseen characters become seen ones."""

from __future__ import annotations

import html
import re
from typing import Any, NamedTuple

from markupsafe import Markup

from personadual.evaluation.text import visible

# What a sentence of findings or limits may hold: emphasis, and foreign text, itself without any of these characters.
TOKENS = re.compile(r"(\*\*|</?code>|\*\(empty\)\*|`)")


class Cut(NamedTuple):
    """The beginning of a text, how many characters of it are left out, and its end behind those."""

    text: str
    left_out: int
    end: str = ""


def visible_lines(text: str) -> str:
    """``text`` with its line ends kept and every other unseen character spelt out (``text.visible``)."""
    if text.isprintable():
        return text
    return "\n".join(visible(line) for line in text.replace("\r\n", "\n").split("\n"))


def cut(text: str, characters: int, end: int = 0, lines: int = 18) -> Cut:
    """``text`` made visible, at most ``characters`` + ``end`` long and on at most ``lines`` lines.

    If it is longer, its middle is left out: the last ``end`` characters stay, because an answer stands at the end.
    """
    text = text.replace("\r\n", "\n").strip("\n").rstrip()
    if _fitting(text, characters + end, lines) == len(text):
        return Cut(visible_lines(text), 0)
    end_lines = lines // 3 if end else 0
    first = _fitting(text, characters, lines - end_lines)
    last = _fitting(text[first:][: -end - 1 : -1], end, end_lines)
    return Cut(visible_lines(text[:first]), len(text) - first - last, visible_lines(text[len(text) - last :]))


def _fitting(text: str, characters: int, lines: int) -> int:
    """How many characters of ``text`` fit, made visible, into so many characters and lines."""
    length = breaks = 0
    for position, character in enumerate(text):
        length += 1 if character == "\n" else len(visible(character))
        breaks += character == "\n"
        if length > characters or breaks >= lines:
            return position
    return len(text)


def finalize(value: Any) -> Any:
    """What jinja writes for an expression, before it escapes it: no string gets around ``visible``."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible_lines(value)
    return value


class Part(NamedTuple):
    """A run of a sentence and how it is set."""

    text: str
    strong: bool
    code: bool


def sentence_parts(sentence: str) -> list[Part]:
    """A Markdown sentence of ``findings``, ``limits`` or ``verdicts`` as runs of plain text.

    Its foreign text is made of letters and character references (``text.escape``), so that only our own marks are read
    as marks; the references are resolved here and the text is escaped anew by the template.
    """
    parts, strong, code = [], False, False
    for token in TOKENS.split(sentence):
        if token == "**":
            strong = not strong
        elif token == "`":
            code = not code
        elif token in ("<code>", "</code>"):
            code = token == "<code>"
        elif token == "*(empty)*":
            parts.append(Part("(empty)", strong, False))
        elif token:
            parts.append(Part(html.unescape(token), strong, code))
    return parts
