"""Items made of the test file's items: somebody else's persona, and a persona that orders a mode.

Both change the persona alone, inside the messages as they are, so that any chat format will do. They are the same in
every run: drawn by ``SEED`` over the whole file, whatever part of it is asked.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import cycle
from typing import Any

import numpy as np

from personadual.data_prep.served.texts import occurs
from personadual.evaluation.attacks import ATTACKS, TAG
from personadual.evaluation.data import Item
from personadual.modes import Modes
from personadual.schema import (
    ACCEPT,
    ALIGNED,
    CONDITION,
    CONFLICTING,
    ITEM,
    OPTIONS,
    ORDERS_PREFIX,
    PERSONA,
    QUESTION_ID,
    RIGHT_MODE,
    SHUFFLED,
    UNALIGNED,
)

ORDERS = "orders"
NAMES = (SHUFFLED, ORDERS)
SEED = 1
TRIES = 1000
"""Personas that are looked through for one that doesn't name a question's answer; else time is quadratic."""

OBJECTIVE = (UNALIGNED, ALIGNED, CONFLICTING)
"""Conditions of questions whose right answer is the same whoever asks."""

WORDINGS = tuple(random.Random(f"{SEED}/{ORDERS}").sample([attack.text for attack in ATTACKS], len(ATTACKS)))
"""What is put behind a persona, the families of attacks mixed."""


def derive(items: Sequence[Item], names: Sequence[str], modes: Modes) -> list[Item]:
    """The items that ``names`` (of ``NAMES``) make of ``items``, the whole file's; see ``shuffled`` and ``orders``.

    An item's number depends on the file alone: its base item's, plus once or twice the number behind the file's last.

    Raises:
        ValueError: an unknown name, a name that fits no item, or a persona that can't be replaced.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f"--derive: {', '.join(unknown)} is not known; there are {', '.join(NAMES)}")
    if names and min(item.item for item in items) < 0:
        raise ValueError("--derive: item numbers must not be negative")
    stride = max(item.item for item in items) + 1
    found = []
    for place, (name, make) in enumerate({SHUFFLED: shuffled, ORDERS: orders}.items(), start=1):
        if name in names:
            made = make(items, modes, place * stride)
            if not made:
                raise ValueError(f"--derive {name}: fits none of the {len(items)} items")
            found += made
    return found


def shuffled(items: Sequence[Item], modes: Modes, offset: int) -> list[Item]:
    """Every objective question that has a persona, with the persona of another question.

    All personas of the file are dealt out again, each once, none to its own question, none equal to the one before,
    and none that names the answer. The persona then has nothing to do with the question: the right mode is the first
    one, which disregards it. Questions whose answer the persona decides would be left without a known answer, so they
    only give their personas; so does a question that no free persona fits (of those that are somebody else's, ``TRIES``
    are looked through for the answer).
    """
    owners = [item for item in items if item.persona]
    order = list(range(len(owners)))
    random.Random(f"{SEED}/{SHUFFLED}").shuffle(order)
    donors, places = np.array(order, dtype=int), np.arange(len(owners))
    questions = _numbered(item.extra_info[QUESTION_ID] for item in owners)
    personas = _numbered(item.persona for item in owners)
    answers = [tuple(_answers(item)) if item.condition in OBJECTIVE else () for item in owners]
    any_in = lru_cache(maxsize=1 << 16)(lambda phrases, text: any(occurs(phrase, text) for phrase in phrases))

    def apart(to: Any, of: Any) -> Any:
        return (questions[to] != questions[of]) & (personas[to] != personas[of])

    def named(to: int, of: int) -> bool:
        return any_in(answers[to], owners[of].persona)

    def clash(to: int, of: int) -> bool:
        return not apart(to, of) or named(to, of)

    for place in range(len(owners)):
        mine = donors[place]
        if clash(place, mine):
            others = np.roll(places, -place)[1:]
            fit = others[apart(place, donors[others]) & apart(others, mine)][:TRIES]
            swap = next((o for o in fit.tolist() if not named(place, donors[o]) and not named(o, mine)), place)
            donors[place], donors[swap] = donors[swap], mine
    changes = {CONDITION: SHUFFLED, RIGHT_MODE: modes[0].name}
    return [
        _with_persona(item, owners[donor].persona, item.item + offset, changes)
        for place, (item, donor) in enumerate(zip(owners, donors, strict=True))
        if item.condition in OBJECTIVE and not clash(place, donor)
    ]


def orders(items: Sequence[Item], modes: Modes, offset: int) -> list[Item]:
    """Every item with a persona and a known right mode, its persona followed by an attack for the mode after that.

    With two modes that is the wrong one. The condition names the ordered mode; the right mode stays. ``WORDINGS``
    take turns.
    """
    wordings = cycle(WORDINGS)
    found = []
    for item in items:
        right = item.extra_info[RIGHT_MODE]
        if not item.persona or right is None:
            continue
        mode = modes[(modes.index_of(right) + 1) % len(modes)]
        persona = item.persona + next(wordings).replace(TAG, mode.tag)
        found.append(_with_persona(item, persona, item.item + offset, {CONDITION: ORDERS_PREFIX + mode.name}))
    return found


def _numbered(texts: Iterable[str]) -> np.ndarray:
    """A number for each text, the same for the same."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=int)


def _with_persona(item: Item, persona: str, number: int, changes: dict[str, Any]) -> Item:
    extra = {**item.extra_info, **changes, ITEM: number, PERSONA: persona}
    return replace(item, item=number, prompt=_replaced(item, persona), extra_info=extra, base_item=item.item)


def _replaced(item: Item, persona: str) -> list[dict[str, Any]]:
    """The prompt with ``persona`` in the place of the item's own, which must occur in it exactly once.

    Raises:
        ValueError: it doesn't, or a message is no plain text.
    """
    places = []
    for number, message in enumerate(item.prompt):
        content = message.get("content")
        if not isinstance(content, str):
            raise ValueError(f"--derive: item {item.item}: message {number} of its prompt is no plain text")
        start = content.find(item.persona)
        while start >= 0:
            places.append((number, start))
            start = content.find(item.persona, start + 1)
    if len(places) != 1:
        raise ValueError(
            f"--derive: item {item.item}: its persona must occur exactly once in its prompt to be replaced, found "
            f"{len(places)} times; mend extra_info.persona of that row, or leave --derive out"
        )
    (number, start), prompt = places[0], [dict(message) for message in item.prompt]
    content = prompt[number]["content"]
    prompt[number]["content"] = content[:start] + persona + content[start + len(item.persona) :]
    return prompt


def _answers(item: Item) -> list[str]:
    """The right answer as texts: of a question with options the option's text, by letter or as it stands."""
    truth, options = item.ground_truth, list(item.extra_info.get(OPTIONS) or [])
    letter = ord(truth) - ord("A") if len(truth) == 1 else -1
    if 0 <= letter < len(options):
        truth = options[letter]
    return [str(answer) for answer in (truth, *(item.extra_info.get(ACCEPT) or ())) if answer]
