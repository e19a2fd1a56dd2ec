"""First pass: a chunk of raw rows to records, with their keys and signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np

from personadual import schema
from personadual.data_prep import hashing
from personadual.data_prep.chunks import Chunk
from personadual.data_prep.hygiene import Hygiene
from personadual.data_prep.neardup import NearDuplicates, Signatures, signatures
from personadual.data_prep.pipeline.records import pack
from personadual.data_prep.pipeline.rejects import Reject
from personadual.data_prep.pipeline.spool import RecordKeys
from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.sources.base import QuestionSource
from personadual.data_prep.sources.fields import id_of
from personadual.data_prep.splits import persona_key
from personadual.reward_fns.normalise import canonical

_STEM_WORDS = 12


@dataclass
class ReadResult:
    """``records`` are packed; ``escaped`` counts the markers that hygiene broke, by field."""

    rows: int
    records: bytes
    keys: RecordKeys
    signatures: Signatures
    rejects: list[Reject]
    escaped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class ReadChunk:
    """The function of the first pass for one source."""

    source: QuestionSource
    seed: int
    hygiene: Hygiene
    near: NearDuplicates

    def __call__(self, chunk: Chunk) -> ReadResult:
        records: list[Record] = []
        rejects: list[Reject] = []
        escaped: Counter[str] = Counter()
        name = self.source.about.name
        decoded = chunk.decode()
        for where, row in decoded:
            try:
                if isinstance(row, Rejected):
                    raise row
                record, found = self.hygiene.record(self.source.record(row, where, self.seed))
            except Rejected as error:
                rejects.append(Reject.of(name, where, error))
            else:
                records.append(replace(record, where=where))
                escaped += found
        return ReadResult(
            rows=len(decoded),
            records=pack(records),
            keys=keys_of(records),
            signatures=signatures([compared_text(record) for record in records], self.near),
            rejects=rejects,
            escaped=escaped,
        )


def keys_of(records: Sequence[Record]) -> RecordKeys:
    texts = [text_id(record) for record in records]
    asked = ["\0".join((text, record.condition, record.persona)) for text, record in zip(texts, records, strict=True)]
    return RecordKeys(
        question=hashing.keys(record.question_id for record in records),
        text=hashing.keys(texts),
        asked=hashing.keys(asked),
        answered=hashing.keys(f"{key}\0{_answer(record)}" for key, record in zip(asked, records, strict=True)),
        persona=np.array([persona_key(record.persona) for record in records], dtype=np.uint64),
        subject=hashing.keys(record.subject for record in records),
        bare=np.array([not record.persona and record.condition == schema.NONE for record in records], dtype=bool),
    )


def text_id(record: Record) -> str:
    """What is the same for two records with the same words in question and options."""
    return id_of(record.question, *(record.options or ()))


def told_apart(record: Record) -> Record:
    """``record`` with an id of its words' own: for an id that another question has too."""
    return replace(record, question_id=f"{record.question_id}~{text_id(record)[:8]}")


def _answer(record: Record) -> str:
    """The answer without the differences that grading ignores."""
    if record.options is not None:
        return record.answer
    form = canonical(record.answer)
    return str(form.normalize() if isinstance(form, Decimal) else form)


def compared_text(record: Record) -> str:
    """What near-duplicates are found by."""
    return with_options(record.question, record.options or ())


def with_options(question: str, options: Sequence[str]) -> str:
    """The question, and its options too where it is short.

    "Which of these is true?" is another question with other options; a long question is the same one.
    """
    if options and len(question.split()) < _STEM_WORDS:
        return " ".join([question, *sorted(options)])
    return question
