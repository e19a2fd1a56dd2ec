"""Options that stand in a field of their own, and which of a question's options an answer names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from personadual.data_prep.options import LETTERS, parse_lettered
from personadual.data_prep.record import Rejected
from personadual.reward_fns.normalise import canonical, is_blank

UNREADABLE = "options not readable"
TOO_FEW, TOO_MANY = "fewer than two options", "more than 26 options"
EMPTY, SAME = "empty option", "two options are the same"
LETTER_OF_ANOTHER = "option is the letter of another"
NOT_AMONG, AMBIGUOUS = "answer is not among the options", "answer fits two options"

_LABEL = re.compile(r"\(?([A-Za-z])[.):]{0,2}(?:\s+(.*))?", re.DOTALL)


def from_value(value: Any, field: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options of a field that holds nothing else, and their labels.

    It may be a list of texts, a mapping of letters to texts, ARC's ``{"text": [...], "label": [...]}``, a text with a
    JSON list or mapping, or a text with a list by letter.

    Raises:
        Rejected: malformed, as it is none of these.
    """
    if isinstance(value, str):
        if value.lstrip()[:1] in ("[", "{"):
            try:
                return from_value(_not_a_text(json.loads(value)), field)
            except (ValueError, RecursionError) as error:
                raise Rejected(UNREADABLE, str(error), field=field, malformed=True) from None
        found = parse_lettered(value)
        if found is None or found[0]:
            raise Rejected(UNREADABLE, f"found {value[:200]!r}", field=field, malformed=True)
        return found[1], tuple(LETTERS[: len(found[1])])
    labels: Any = None
    if isinstance(value, Mapping):
        if set(value) == {"text", "label"}:
            value, labels = value["text"], value["label"]
        else:
            # A column of arrow structs has every key in every row, null where the row lacks it.
            held = sorted((key, text) for key, text in value.items() if isinstance(key, str) and text is not None)
            value, labels = [text for _, text in held], [key for key, _ in held]
    texts = _texts(value, field)
    labels = tuple(LETTERS[: len(texts)]) if labels is None else _texts(labels, field)
    if len(labels) != len(texts):
        raise Rejected(UNREADABLE, f"{len(texts)} texts, {len(labels)} labels", field=field, malformed=True)
    return texts, labels


def _not_a_text(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError("a list or a mapping is needed")
    return value


def _texts(value: Any, field: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise Rejected(UNREADABLE, f"found {type(value).__name__}", field=field, malformed=True)
    for entry in value:
        if not isinstance(entry, str | int | float) or isinstance(entry, bool):
            raise Rejected(UNREADABLE, f"found {entry!r:.200} as an option", field=field, malformed=True)
    return tuple(str(entry).strip() for entry in value)


def has_repeats(options: Sequence[str]) -> bool:
    """Whether two options differ in nothing but space. Case may be the point of a question: AA, Aa, aa."""
    return len({" ".join(option.split()) for option in options}) < len(options)


def check(options: Sequence[str]) -> None:
    """Refuse options that no letter or no text could name. Raises Rejected (unfit)."""
    if len(options) < 2:
        raise Rejected(TOO_FEW, f"found {len(options)}", field="options")
    if len(options) > len(LETTERS):
        raise Rejected(TOO_MANY, f"found {len(options)}", field="options")
    if any(is_blank(option) for option in options):
        raise Rejected(EMPTY, field="options")
    if has_repeats(options):
        raise Rejected(SAME, field="options")
    for place, option in enumerate(options):
        letter = option.strip().upper()
        if len(letter) == 1 and letter in LETTERS[: len(options)] and letter != LETTERS[place]:
            raise Rejected(LETTER_OF_ANOTHER, f"{LETTERS[place]} is {option!r}", field="options")


def letter_of(answer: str, options: Sequence[str], labels: Sequence[str] = (), *, as_text: bool = False) -> str:
    """The letter of the option that ``answer`` names: by its label, its text, or both as in "A. the text".

    ``labels`` are the source's own, where it has any: an option C may be the second one, where there is no B. Options
    without labels, and those whose labels are no letters, are named by A, B, ... as well.
    ``as_text`` is for sources that never give a letter, whose options may be letters themselves.

    Raises:
        Rejected: unfit options (``check``), an answer that is none of them, or one that could be two.
    """
    check(options)
    meant = {place for place, option in enumerate(options) if option.split() == answer.split()}
    if not meant:
        form = canonical(answer)
        meant = {place for place, option in enumerate(options) if canonical(option) == form}
    meant |= {place for place, label in enumerate(labels) if label == answer}
    if not as_text and (label := _LABEL.fullmatch(answer.strip())):
        letter, rest = label[1].upper(), label[2]
        own = [bare_letter(text) for text in labels]
        letters = own if any(own) else LETTERS[: len(options)]
        named = {place for place, text in enumerate(letters) if text == letter}
        if rest is None:
            meant |= named
        elif rest and not meant:
            meant = {place for place in named if canonical(rest) == canonical(options[place])}
    if len(meant) != 1:
        raise Rejected(AMBIGUOUS if meant else NOT_AMONG, f"found {answer!r:.200}", field="answer")
    return LETTERS[meant.pop()]


def bare_letter(text: str) -> str:
    """The letter of a text that is nothing else ("b", "(B)", "B."), as a capital; "" for any other text."""
    found = _LABEL.fullmatch(text.strip())
    return found[1].upper() if found and found[2] is None else ""
