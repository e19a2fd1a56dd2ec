"""Numbers and model text as Markdown and as plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from personadual.evaluation.bootstrap import Estimate

PLAIN_PUNCTUATION = frozenset(" .,;()?'=+%-")


def number(value: float, signed: bool = False) -> str:
    """Two decimals; three, or a bound, where two would turn a value into a 0 or a 1 that it is not."""
    if value != value:
        return "–"
    value = round(value, 9)
    size = abs(value)
    shown = f"{size:.2f}"
    if shown in ("0.00", "1.00") and size != float(shown):
        shown = f"{size:.3f}"
        if shown == "0.000":
            return "≈0" if signed or value < 0 else "<0.001"
        if shown == "1.000" and size < 1:
            shown = ">0.999" if not signed and value > 0 else shown
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return sign + shown


def estimate_text(estimate: Estimate | None, signed: bool = False) -> str:
    """``0.43 [0.36, 0.50]``."""
    if estimate is None:
        return "–"
    if estimate.low != estimate.low:
        return number(estimate.value, signed)
    interval = f"[{number(estimate.low, signed)}, {number(estimate.high, signed)}]"
    return f"{number(estimate.value, signed)} {interval}"


def p_text(p: float) -> str:
    """``p = 0.012``; a bound below 0.001, nothing where there is no test."""
    if p != p:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def seeds_text(seeds: int) -> str:
    return f"{seeds} training seed{'s' if seeds > 1 else ''}"


def visible(text: str) -> str:
    """``text`` on one line with everything unseen spelt out: control, direction and zero-width characters."""
    shown = []
    for character in text.replace("\r\n", "\n"):
        if character == "\n":
            shown.append(" ⏎ ")
        elif unicodedata.category(character)[0] == "C" or unicodedata.category(character) in ("Zl", "Zp"):
            shown.append(f"\\u{ord(character):04x}")
        else:
            shown.append(character)
    return "".join(shown)


def escape(text: str, limit: int = 160) -> str:
    """``text`` on one line, cut at ``limit`` characters, with nothing in it that Markdown or HTML reads.

    Everything but letters, digits and harmless punctuation becomes a numeric character reference, which can open no
    link, tag, cell or emphasis. A full stop inside a word is one too: it could make a bare domain a link.
    """
    text = visible(text if len(text) <= limit else text[: limit - 1] + "…")
    shown = []
    for position, character in enumerate(text):
        inside = character == "." and text[position + 1 : position + 2].isalnum()
        plain = character.isalnum() or (character in PLAIN_PUNCTUATION and not inside)
        shown.append(character if plain else f"&#{ord(character)};")
    return "".join(shown)


def foreign(text: str, limit: int = 160) -> str:
    """Text that others wrote (a model, a data set, a caller) for a table cell or a sentence.

    ``<code>`` around the escaped text keeps GitHub from making mentions of it.
    """
    return f"<code>{escape(text, limit)}</code>" if visible(text).strip() else "*(empty)*"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; cells must be safe already (``foreign``)."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a terminal: aligned columns."""
    cells = [[visible(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
