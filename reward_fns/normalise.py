"""When two texts are the same answer: one canonical form per text, compared with ``==``.

Ignored: case, runs of space, final punctuation, enclosing quotes, compatibility forms (full-width letters, ligatures),
typographic quotes and dashes, zero-width characters, and accents on Latin letters, because people and models write
"Bogota" for "Bogotá". Marks of other scripts are kept: there they are letters or vowels of their own.

Kept: articles ("the Hague" is not "Hague"; list such names under ``accept``), inner punctuation, and units.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import cache

FINAL_PUNCTUATION = frozenset(".,;:!?。、")
QUOTES = {'"': '"', "'": "'", "`": "`", "«": "»", "「": "」"}

# Of no width: spaces and joiners, signs of direction, invisible operators; and fillers of Hangul, which show nothing.
_ZERO_WIDTH = (
    "\u200b\u200c\u200d\u2060\ufeff\u00ad"
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    "\u2061\u2062\u2063\u2064\u180e\u115f\u1160\u3164\uffa0"
)
_BLANK = re.compile(rf"[\s{_ZERO_WIDTH}]*")

# Superscript digits would otherwise become plain ones, and 10² the number 102.
_SUPERSCRIPTS = {digit: f"^{value}" for value, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_UNIFIED = str.maketrans(
    {**_SUPERSCRIPTS, **dict.fromkeys("‘’‛", "'"), **dict.fromkeys("“”„‟", '"'), **dict.fromkeys("‐‑‒–—−", "-")}
    | dict.fromkeys(_ZERO_WIDTH, "")
)

# Leading zeros make a code, not a number: 007 is not 7.
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?"
)
MAX_NUMBER_CHARACTERS = 64
_ACCENTS = re.compile("(?<=[A-Za-z])[\u0300-\u036f]+")

MAX_MARKS = 30
"""Combining marks in a row: the limit of Unicode's Stream-Safe Text Format (UAX 15), which no language comes near."""
_MARKS_END = 0x1F000
_ACCENT_BLOCK = range(
    0x300, 0x370
)  # whole: one of it, U+034F, is no mark and parts runs only until accents are dropped


def is_blank(text: str) -> bool:
    """Whether ``clean`` leaves nothing of ``text``: white space and zero-width characters alone."""
    return _BLANK.fullmatch(text) is not None


def bound_marks(text: str) -> str:
    """``text`` with at most ``MAX_MARKS`` combining marks in a row, to be normalised in linear time.

    ``unicodedata.normalize`` sorts each run of marks by insertion: minutes for a hundred thousand of them.
    """
    if text.isascii():
        return text
    suspect, too_long = _runs_of_marks()
    return too_long.sub(r"\1", text) if suspect.search(text) else text


@cache
def _runs_of_marks() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What may be too long a run, and what is one: a regular expression tries ranges above U+FFFF one by one."""
    marks = [code for code in range(0x300, _MARKS_END) if code in _ACCENT_BLOCK or _is_mark(chr(code))]
    low = "".join(chr(code) for code in marks if code <= 0xFFFF)
    high = "".join(chr(code) for code in marks if code > 0xFFFF)
    return (
        re.compile(f"[{low}\U00010000-{chr(_MARKS_END - 1)}]{{{MAX_MARKS + 1}}}"),
        re.compile(f"([{low}{high}]{{{MAX_MARKS}}})[{low}{high}]+"),
    )


def _is_mark(character: str) -> bool:
    """Whether it is a mark or decomposes to marks alone; then its first one is a mark as well."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def clean(text: str) -> str:
    """``text`` without the differences that do not matter. A text of nothing but punctuation keeps it."""
    if text.isascii():  # nothing below but case and space touches ASCII
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKD", bound_marks(text.translate(_UNIFIED)))
        text = unicodedata.normalize("NFKC", _without_latin_accents(text).casefold())
    text = " ".join(text.split())
    return _without_wrapping(text) or text


def canonical(text: str) -> str | Decimal:
    """A value equal to that of every text with the same meaning: a ``Decimal`` for a number, else ``clean(text)``.

    1000, "1,000", "1000.0", "+1e3" are equal. Percent signs, units and decimal commas make a text of it.
    """
    return canonical_of(clean(text))


def canonical_of(form: str) -> str | Decimal:
    """``canonical`` of a text that is clean already."""
    if len(form) <= MAX_NUMBER_CHARACTERS and _NUMBER.fullmatch(form):
        return Decimal(form.replace(",", ""))
    return form


def _without_latin_accents(decomposed: str) -> str:
    """Drops combining marks behind ASCII letters only: a struck-out "=" must not become an "="."""
    return _ACCENTS.sub("", decomposed)


def _without_wrapping(text: str) -> str:
    """Strips final punctuation and enclosing quotes, in turns, with two indices so that deep nesting costs nothing."""
    start, end = 0, len(text)
    while start < end:
        last = text[end - 1]
        if last in FINAL_PUNCTUATION or last == " ":
            end -= 1
        elif text[start] == " ":
            start += 1
        elif end - start >= 2 and QUOTES.get(text[start]) == last:
            start, end = start + 1, end - 1
        else:
            break
    return text[start:end]
