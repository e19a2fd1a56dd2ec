"""Fields of a row, read strictly: what is missing or of another kind is malformed, and named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personadual.data_prep import hashing
from personadual.data_prep.record import Rejected
from personadual.reward_fns.normalise import is_blank

MISSING = "missing field"
WRONG_KIND = "wrong kind of value"
EMPTY = "empty field"


def get(row: Mapping[str, Any], field: str) -> Any:
    """The value of a field that every row must have. Raises Rejected (malformed), naming those that there are."""
    if field not in row:
        raise Rejected(MISSING, f"the row has {', '.join(map(str, row)) or 'none'}", field=field, malformed=True)
    return row[field]


def text(row: Mapping[str, Any], field: str, *, may_be_empty: bool = False) -> str:
    """A text without outer space; None counts as an empty one. Raises Rejected (malformed)."""
    value = get(row, field)
    if value is not None and not isinstance(value, str):
        raise Rejected(WRONG_KIND, f"a text is needed, found {type(value).__name__}", field=field, malformed=True)
    value = "" if value is None or is_blank(value) else value.strip()
    if not value and not may_be_empty:
        raise Rejected(EMPTY, field=field, malformed=True)
    return value


def entries(row: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """A list of mappings, empty where the field is None or missing.

    A mapping of lists is the same: older versions of ``datasets`` store a list of structs in that way.
    """
    value = row.get(field)
    if value is None:
        return []
    if isinstance(value, dict) and all(isinstance(part, list) for part in value.values()):
        names = list(value)
        value = [dict(zip(names, parts, strict=False)) for parts in zip(*value.values(), strict=False)]
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Rejected(WRONG_KIND, f"a list of objects is needed, found {value!r:.100}", field=field, malformed=True)
    return value


def id_of(*texts: str) -> str:
    """An id of 16 hexadecimal digits for texts that differ in more than space and case."""
    return format(hashing.key("\n".join(" ".join(text.split()).casefold() for text in texts)), "016x")


def shortened(text: str, limit: int) -> str:
    """``text`` on one line, cut behind a word to at most ``limit`` characters."""
    text = " ".join(text[: 4 * limit].split())
    if len(text) <= limit:
        return text
    head, space, _ = text[:limit].rpartition(" ")
    return (head if space else text[: limit - 1]) + "…"
