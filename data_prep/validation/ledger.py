"""What can only be seen over many rows: repeats, contradictions, leaks between splits. About 50 bytes a row.

Texts are kept as 64-bit hashes; two texts that fall on one are not to be expected below billions of rows.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personadual import schema
from personadual.data_prep.baseline import lacks_baseline
from personadual.data_prep.columns import TEST
from personadual.data_prep.hashing import key
from personadual.data_prep.validation.balance import counted
from personadual.data_prep.validation.columns import RL
from personadual.data_prep.validation.findings import Problem
from personadual.data_prep.validation.lengths import prompt_of

Numbers = NDArray[Any]
ABSENT = 0
"""Key of a text that a row does not have."""


def _keys() -> array[int]:
    return array("Q")


@dataclass
class Ledger:
    """Keys of the rows of one file.

    ``splits`` are places in ``split_names``, ``conditions`` in ``schema.CONDITIONS``; -1 for a row that names none.
    """

    file: str
    kind: str
    split_names: list[str]
    prompts: array[int] = field(default_factory=_keys)
    variants: array[int] = field(default_factory=_keys)
    truths: array[int] = field(default_factory=_keys)
    questions: array[int] = field(default_factory=_keys)
    personas: array[int] = field(default_factory=_keys)
    items: array[int] = field(default_factory=lambda: array("q"))
    indices: array[int] = field(default_factory=lambda: array("q"))
    splits: array[int] = field(default_factory=lambda: array("b"))
    conditions: array[int] = field(default_factory=lambda: array("b"))

    def add(self, row: Mapping[str, Any] | None, variant: str | None) -> None:
        """``variant`` is what may differ between rows of one prompt: the mode asked for or shown."""
        row = row or {}
        info = (row.get(schema.EXTRA_INFO) or {}) if self.kind == RL else row
        messages = prompt_of(row)
        prompt = ABSENT
        if messages is not None:
            prompt = key("\x1e".join(f"{message['role']}\x1f{message['content']}" for message in messages))
        question, persona = info.get(schema.QUESTION_ID), info.get(schema.PERSONA)
        truth = (row.get(schema.REWARD_MODEL) or {}).get(schema.GROUND_TRUTH)
        item, index, split = info.get(schema.ITEM), info.get(schema.INDEX), info.get(schema.SPLIT)
        self.prompts.append(prompt)
        self.variants.append(key(f"{prompt}/{variant}") if prompt else ABSENT)
        self.truths.append(ABSENT if truth is None else key(str(truth)))
        # Files of others may name no questions; their prompts stand for them.
        self.questions.append(key(question) if question else prompt)
        self.personas.append(key(persona) if persona else ABSENT)
        self.items.append(_number(item))
        self.indices.append(_number(index))
        self.splits.append(self._split(split))
        condition = info.get(schema.CONDITION)
        self.conditions.append(schema.CONDITIONS.index(condition) if condition in schema.CONDITIONS else -1)

    def _split(self, name: str | None) -> int:
        if name is None:
            return -1
        if name not in self.split_names:
            if len(self.split_names) > 100:
                return -1  # no splits, whatever the column holds; each is a finding already
            self.split_names.append(name)
        return self.split_names.index(name)

    def problems(self) -> Iterator[tuple[int, Problem]]:
        """(row from 1, problem) of this file alone."""
        prompts, truths = _array(self.prompts), _array(self.truths)
        for first, place in _repeats(_array(self.variants), ABSENT):
            yield place + 1, Problem("repeated-prompt", f"the prompt of row {first + 1}", self._prompt_field)
        for first, place in _repeats(prompts, ABSENT, truths):
            yield place + 1, Problem("contradiction", f"the prompt of row {first + 1} with another ground truth")
        mixed = prompts ^ (truths * np.uint64(0x9E3779B97F4A7C15))
        for first, place in _repeats(_array(self.items), -1, mixed):
            yield place + 1, Problem("item-differs", f"the item of row {first + 1} with another prompt or ground truth")
        for first, place in _repeats(_array(self.indices), -1):
            yield place + 1, Problem("repeated-index", f"the index of row {first + 1}")

    @property
    def _prompt_field(self) -> str:
        return schema.PROMPT if self.kind == RL else schema.MESSAGES


def leaks(ledgers: Sequence[Ledger]) -> Iterator[tuple[str, int, Problem]]:
    """(file, row, problem) of questions and personas that stand in more than one split."""
    if not ledgers:
        return
    splits = np.concatenate([_array(ledger.splits) for ledger in ledgers])
    places = np.concatenate([np.full(len(ledger.splits), place) for place, ledger in enumerate(ledgers)])
    starts = np.cumsum([0, *(len(ledger.splits) for ledger in ledgers)])

    def where(at: int) -> tuple[str, int]:
        return ledgers[places[at]].file, int(at - starts[places[at]]) + 1

    for check, name in (("question-leak", "questions"), ("persona-leak", "personas")):
        keys = np.concatenate([_array(getattr(ledger, name)) for ledger in ledgers])
        named = np.flatnonzero((splits >= 0) & (keys != ABSENT))
        for first, other in _repeats(keys[named], ABSENT, splits[named]):
            one, two = named[first], named[other]
            (first_file, first_row), (file, row) = where(one), where(two)
            names = ledgers[0].split_names
            found = f"split {names[splits[two]]!r} here, {names[splits[one]]!r} in {first_file}, row {first_row}"
            yield file, row, Problem(check, found)
    # Without a split's name only that two files share the question is known. SFT and RL may well train on the same.
    keys = np.concatenate([_array(ledger.questions) for ledger in ledgers])
    kinds = np.array([ledger.kind == RL for ledger in ledgers])
    for kind in (True, False):
        bare = np.flatnonzero((kinds[places] == kind) & (keys != ABSENT))
        for first, other in _repeats(keys[bare], ABSENT, places[bare]):
            one, two = bare[first], bare[other]
            if splits[one] < 0 or splits[two] < 0:
                (first_file, first_row), (file, row) = where(one), where(two)
                yield file, row, Problem("question-in-two-files", f"the question of {first_file}, row {first_row}")


def no_baseline(ledgers: Sequence[Ledger]) -> Iterator[tuple[str, Problem]]:
    """(file, problem) where the test split, taken over all the files, can give no verdict; the first of its files."""
    tests = [
        (ledger, _array(ledger.splits) == ledger.split_names.index(TEST))
        for ledger in ledgers
        if ledger.kind == RL and TEST in ledger.split_names
    ]
    tests = [(ledger, rows) for ledger, rows in tests if rows.any()]
    if not tests:
        return
    questions = np.concatenate([_array(ledger.questions)[rows] for ledger, rows in tests])
    conditions = np.concatenate([_array(ledger.conditions)[rows] for ledger, rows in tests])
    if lacks_baseline(questions, conditions):
        counts = Counter(schema.CONDITIONS[place] for place in conditions if place >= 0)
        yield tests[0][0].file, Problem("no-baseline", f"no such question; rows: {counted(counts)}")


def _number(value: int | None) -> int:
    """The number as 64 bits hold it; -1 for none and for what is out of range."""
    return value if value is not None and 0 <= value < 1 << 63 else -1


def _array(values: array[int]) -> Numbers:
    """The numbers without a copy."""
    return np.frombuffer(values, dtype=values.typecode) if len(values) else np.empty(0, dtype=values.typecode)


def _repeats(keys: Numbers, absent: int, values: Numbers | None = None) -> Iterator[tuple[int, int]]:
    """(first place, place) wherever an earlier key is met again; with ``values`` only where those two differ."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(keys)])
    firsts = np.repeat(order[starts], np.diff(np.append(starts, len(keys))))
    wanted = (order != firsts) & (ordered != absent)
    if values is not None:
        wanted &= values[order] != values[firsts]
    places, ones = order[wanted], firsts[wanted]
    for at in np.argsort(places, kind="stable"):
        yield int(ones[at]), int(places[at])
