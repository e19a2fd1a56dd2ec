"""What becomes of each record: its split, the conditions it is asked under, and the files it goes to.

Decided on a few numbers per record, for all of them at once, between the two passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from personadual.data_prep import attach, hashing, selection, splits
from personadual.data_prep.build_config import BuildConfig, Task
from personadual.data_prep.columns import SPLITS, TEST, TRAIN, VAL
from personadual.data_prep.hashing import Keys
from personadual.data_prep.pipeline.spool import Spool

SFT, RL = np.uint8(1), np.uint8(2)
"""Bits of a record's files."""

REPEATED, OVER_LIMIT, NOT_ASKED_FOR = "repeated record", "over the limit of its source", "beyond the items asked for"
TWO_ANSWERS = "two answers to one question"


@dataclass
class Plan:
    """Per record: place in ``SPLITS``, bits of ``attach.ATTACHED``, bits of files (0: dropped), and whether its id is
    also another question's (``shared_id``), so that it gets one of its own (``reading.told_apart``)."""

    split: NDArray[np.uint8]
    conditions: NDArray[np.uint8]
    files: NDArray[np.uint8]
    shared_id: selection.Rows
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)  # by source and reason
    told_apart: Counter[str] = field(default_factory=Counter)  # records with a shared id that go into a file, by source
    groups: int = 0
    largest_group: int = 0


def make_plan(config: BuildConfig, spool: Spool, sources: Sequence[str]) -> Plan:
    """The plan for all the records in ``spool``; ``sources`` are the names of its source numbers.

    Raises:
        ValueError: the splits come out empty (``splits.check_groups``).
    """
    keys, source = spool.keys(), spool.source_numbers()
    dropped: Counter[tuple[str, str]] = Counter()

    def by_source(rows: selection.Rows) -> Counter[str]:
        counts: Counter[str] = Counter()
        for number, found in enumerate(np.bincount(source[rows], minlength=len(sources))):
            if found:
                counts[sources[number]] += int(found)
        return counts

    def count(rows: selection.Rows, reason: str) -> None:
        dropped.update({(name, reason): number for name, number in by_source(rows).items()})

    kept = selection.first_of_equal(hashing.mix(keys.question, "record") ^ keys.answered)
    count(~kept, REPEATED)
    doubtful = selection.with_several(keys.asked, keys.answered, kept)
    count(doubtful, TWO_ANSWERS)
    kept &= ~doubtful
    shared_id = selection.with_several(keys.question, keys.text, kept)
    taken = np.zeros(len(kept), dtype=bool)
    for number, entry in enumerate(config.sources):
        taken |= selection.take(
            keys.question,
            keys.subject,
            kept & (source == number),
            f"{config.seed}/select",
            limit=entry.limit,
            per_group=entry.per_subject,
        )
    count(kept & ~taken, OVER_LIMIT)

    own = keys.persona if config.splits.own_personas else None
    labels = splits.group_questions(keys.question, spool.signatures(), own, config.near_duplicates)
    groups = splits.group_keys(labels, keys.question)
    split_of = splits.split_groups(groups, config.splits, config.seed)
    splits.check_groups(labels[taken], split_of[taken], config.splits, sources)

    files = _files(config, keys.question, groups, source, split_of, taken)
    count(taken & (files == 0), NOT_ASKED_FOR)
    personas = config.personas
    if personas is None:
        conditions = np.zeros(len(files), dtype=np.uint8)
    else:
        every = np.isin(split_of, [SPLITS.index(name) for name in personas.every_condition_in])
        all_of = personas.every_condition(served=config.served is not None)
        conditions = attach.condition_bits(keys.question, keys.bare, every, personas.shares, all_of, config.seed)
    sizes = np.bincount(labels[taken]) if taken.any() else np.zeros(1, dtype=int)
    told_apart = by_source(shared_id & (files > 0))
    return Plan(split_of, conditions, files, shared_id, dropped, told_apart, int((sizes > 0).sum()), int(sizes.max()))


def _files(
    config: BuildConfig,
    question: Keys,
    group: Keys,
    source: NDArray[np.uint16],
    split_of: NDArray[np.uint8],
    taken: selection.Rows,
) -> NDArray[np.uint8]:
    files = np.zeros(len(taken), dtype=np.uint8)
    place = hashing.unit(hashing.mix(group, f"{config.seed}/task"))
    # All the sources have a weight or none has.
    weights = {number: entry.weight for number, entry in enumerate(config.sources) if entry.weight is not None}

    def mark(bit: np.uint8, rows: selection.Rows, limit: int | None) -> None:
        if limit is not None:
            salt = f"{config.seed}/items"
            rows = selection.take(question, source, rows, salt, limit=limit, weights=weights or None)
        files[rows] |= bit

    train, val, test = (taken & (split_of == SPLITS.index(name)) for name in (TRAIN, VAL, TEST))
    # SFT from the lower end, RL from the upper one: groups are shared only where the shares sum to more than 1.
    if config.sft:
        mark(SFT, train & (place < config.sft.share), config.sft.items)
        mark(SFT, val, config.sft.val_items)
    if config.rl:
        mark(RL, train & (place >= 1 - config.rl.share), config.rl.items)
        mark(RL, val, config.rl.val_items)
    task: Task = config.rl or config.sft or Task()
    mark(RL, test, task.test_items)
    return files
