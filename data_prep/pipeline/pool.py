"""The personas that are attached to questions: read, cleaned, made unique, bounded, and split."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from personadual.data_prep import hashing
from personadual.data_prep.attach import PersonaPool
from personadual.data_prep.chunks import Chunk
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.hashing import Keys
from personadual.data_prep.hygiene import Hygiene
from personadual.data_prep.pipeline.rejects import Reject, RejectLog
from personadual.data_prep.record import Rejected
from personadual.data_prep.sources.base import PersonaSource
from personadual.data_prep.splits import Splits, persona_key, split_personas

REPEATED = "repeated persona"
EMPTY = PersonaPool({split: pa.array([], pa.string()) for split in SPLITS})


class PersonaReader:
    """Holds at most ``limit`` personas, those with the smallest hashes, so that their order makes no difference."""

    def __init__(self, source: PersonaSource, hygiene: Hygiene, limit: int, seed: int):
        self.rows, self.repeated = 0, 0
        self.escaped: Counter[str] = Counter()
        self._source, self._hygiene, self._limit, self._salt = source, hygiene, limit, f"{seed}/persona pool"
        self._held: dict[int, str] = {}
        self._largest: list[tuple[int, int]] = []  # a heap of (-hash, key)

    def read(self, chunks: Iterable[Chunk], log: RejectLog) -> None:
        name = self._source.about.name
        for chunk in chunks:
            for where, row in chunk.decode():
                self.rows += 1
                try:
                    if isinstance(row, Rejected):
                        raise row
                    text, escaped = self._hygiene.text(self._source.persona(row, where), "persona")
                except Rejected as error:
                    log.add([Reject.of(name, where, error)])
                else:
                    self.escaped["persona"] += escaped
                    self._hold(text)

    def _hold(self, text: str) -> None:
        key = persona_key(text)
        if key in self._held:
            self.repeated += 1
            self._held[key] = min(self._held[key], text)  # of spellings that count as one, whichever came first
            return
        rank = int(hashing.mix(np.array([key], dtype=np.uint64), self._salt)[0])
        if len(self._held) >= self._limit:
            if -self._largest[0][0] <= rank:
                return
            del self._held[heapq.heappop(self._largest)[1]]
        self._held[key] = text
        heapq.heappush(self._largest, (-rank, key))

    def pool(self, splits: Splits, seed: int, taken: Keys) -> PersonaPool:
        """The personas by split, without those whose key is ``taken``: they come with a question already."""
        keys = np.array(sorted(self._held), dtype=np.uint64)
        keys = keys[~np.isin(keys, taken)]
        split_of = split_personas(keys, splits, seed)
        return PersonaPool(
            {
                split: pa.array([self._held[int(key)] for key in keys[split_of == place]], pa.string())
                for place, split in enumerate(SPLITS)
            }
        )
