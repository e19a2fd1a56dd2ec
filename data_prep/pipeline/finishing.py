"""Second pass: records and what is planned for them to the rows of verl's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from personadual import schema
from personadual.data_prep.attach import PersonaPool, attach, conditions_of, right_mode
from personadual.data_prep.build_config import ALL
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA, SPLITS, TEST, TRAIN, VAL, to_table
from personadual.data_prep.items import PREFERENCE, Item, rl_rows, sft_rows
from personadual.data_prep.pipeline.plan import RL, SFT
from personadual.data_prep.pipeline.reading import told_apart
from personadual.data_prep.pipeline.records import table_bytes, unpack
from personadual.data_prep.pipeline.rejects import Reject
from personadual.data_prep.record import Record, Rejected
from personadual.modes import Modes

SFT_FILES = {TRAIN: "sft_train.parquet", VAL: "sft_val.parquet"}
RL_FILES = {TRAIN: "rl_train.parquet", VAL: "rl_val.parquet", TEST: "test.parquet"}

NO_TRACE = "no trace from the served model"

BodyKey = tuple[str, str, str, str]
"""Question id, condition, persona, name of the mode."""
CountKey = tuple[str, str, str, str]
"""Source, condition, split, file."""


@dataclass(frozen=True)
class ServedTexts:
    """What a served model wrote: personas by question id and condition, bodies by ``BodyKey``.

    ``traced``: an SFT row must have a body from it; otherwise its body is the answer block alone.
    """

    personas: Mapping[tuple[str, str], str] = field(default_factory=dict)
    bodies: Mapping[BodyKey, str] = field(default_factory=dict)
    traced: bool = False


class Work(NamedTuple):
    """Packed records of one source, and the part of the plan that is theirs."""

    source: str
    records: bytes
    split: NDArray[np.uint8]
    conditions: NDArray[np.uint8]
    files: NDArray[np.uint8]
    shared_id: NDArray[np.bool_]


@dataclass
class Finished:
    """Per file a packed table, whose items are numbered from 0, and how many items it has."""

    tables: dict[str, tuple[bytes, int]]
    counts: Counter[CountKey]
    rejects: list[Reject]


@dataclass(frozen=True)
class FinishChunk:
    """The function of the second pass."""

    modes: Modes
    seed: int
    pool: PersonaPool
    served: ServedTexts
    sft_modes: str

    def __call__(self, work: Work) -> Finished:
        sft: dict[str, list[Item]] = {split: [] for split in SFT_FILES}
        rl: dict[str, list[Item]] = {split: [] for split in RL_FILES}
        rejects: list[Reject] = []
        planned = zip(unpack(work.records), work.split, work.conditions, work.files, work.shared_id, strict=True)
        for record, place, conditions, files, shared_id in planned:
            if not files:
                continue
            if shared_id:
                record = told_apart(record)
            split = SPLITS[place]
            for condition in conditions_of(int(conditions)):
                try:
                    asked = attach(record, condition, split, self.pool, self.served.personas, self.seed)
                except Rejected as error:
                    rejects.append(Reject.of(work.source, record.where, error))
                    continue
                item = self._item(asked, split)
                if files & SFT:
                    if self.served.traced and not any(item.bodies[mode] for mode in shown_modes(item, self)):
                        rejects.append(Reject.of(work.source, record.where, Rejected(NO_TRACE, asked.condition)))
                    else:
                        sft[split].append(item)
                if files & RL:
                    rl[split].append(item)
        return self._finished(work.source, sft, rl, rejects)

    def _item(self, record: Record, split: str) -> Item:
        bodies = tuple(
            self.served.bodies.get((record.question_id, record.condition, record.persona, mode.name), "")
            for mode in self.modes
        )
        return Item(
            question_id=record.question_id,
            condition=record.condition,
            question=record.question,
            persona=record.persona,
            truth=record.answer,
            accept=record.accept,
            mode_answers=(record.answer,) * len(self.modes),
            right_mode=right_mode(record, self.modes),
            ability=record.ability,
            split=split,
            source=record.source,
            options=record.options,
            licence=record.licence,
            subject=record.subject,
            bodies=bodies if self.served.traced else (),
            data_source=record.data_source,
        )

    def _finished(
        self, source: str, sft: Mapping[str, list[Item]], rl: Mapping[str, list[Item]], rejects: list[Reject]
    ) -> Finished:
        tables: dict[str, tuple[bytes, int]] = {}
        counts: Counter[CountKey] = Counter()
        for split, items in sft.items():
            order = [
                (number, mode)
                for number, item in enumerate(items)
                for mode in shown_modes(item, self)
                if not self.served.traced or item.bodies[mode]
            ]
            if order:
                name = SFT_FILES[split]
                tables[name] = table_bytes(to_table(sft_rows(items, self.modes, order), SFT_SCHEMA)), len(items)
                counts.update((source, items[n].condition, split, name) for n, _ in order)
        for split, items in rl.items():
            if items:
                # Validation asks each item freely and in each mode, so that the right mode can be read off.
                asked = (schema.FREE, *self.modes.names) if split == VAL else (schema.FREE,)
                name = RL_FILES[split]
                rows = rl_rows(items, self.modes, asked_modes=asked)
                tables[name] = table_bytes(to_table(rows, RL_SCHEMA)), len(items)
                counts.update((source, item.condition, split, name) for item in items for _ in asked)
        return Finished(tables, counts, rejects)


def shown_modes(item: Item, function: FinishChunk) -> range | tuple[int]:
    """Indices of the modes in which SFT shows ``item``."""
    if function.sft_modes == ALL:
        return range(len(function.modes))
    return (default_mode(item.right_mode, item.ability),)


def default_mode(right: int | None, ability: str) -> int:
    """The right mode where it is known, else by facts for a fact and by the persona for a preference."""
    if right is not None:
        return right
    return 1 if ability == PREFERENCE else 0
