"""What the first pass leaves for the second: blobs and signatures on disk, a few numbers per record in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from personadual.data_prep.hashing import Keys
from personadual.data_prep.neardup import Signatures


class RecordKeys(NamedTuple):
    """Per record: keys of its question id, of what stands in question and options (``text``), of that under its own
    persona and condition (``asked``), of that with its answer (``answered``), of its own persona (0 for none) and of
    its subject, and whether a persona may be attached to it (``bare``)."""

    question: Keys
    text: Keys
    asked: Keys
    answered: Keys
    persona: Keys
    subject: Keys
    bare: NDArray[np.bool_]


class Spool:
    """Chunks of packed records with their keys, in the order in which they are added."""

    def __init__(self, folder: Path, num_perm: int):
        self._blobs = folder / "records"
        self._signatures = folder / "signatures"
        self._num_perm = num_perm
        self._sizes: list[int] = []
        self._rows: list[int] = []
        self._keys: list[RecordKeys] = []
        self._sources: list[int] = []
        self._open = [self._blobs.open("wb"), self._signatures.open("wb")]

    def add(self, source: int, blob: bytes, keys: RecordKeys, signatures: Signatures) -> None:
        """A chunk of records of the source with this number."""
        self._open[0].write(blob)
        self._open[1].write(signatures.tobytes())
        self._sizes.append(len(blob))
        self._rows.append(len(signatures))
        self._keys.append(keys)
        self._sources.append(source)

    def finish(self) -> None:
        for stream in self._open:
            stream.close()

    def keys(self) -> RecordKeys:
        """Keys of all the records."""
        if not self._keys:
            empty = np.empty(0, dtype=np.uint64)
            return RecordKeys(empty, empty, empty, empty, empty, empty, np.empty(0, dtype=bool))
        joined = RecordKeys(*(np.concatenate(parts) for parts in zip(*self._keys, strict=True)))
        self._keys = [joined]
        return joined

    def signatures(self) -> Signatures:
        """Signatures of all the records, read from disk: one copy, to be dropped after use."""
        return np.fromfile(self._signatures, dtype=np.uint32).reshape(-1, self._num_perm)

    def source_numbers(self) -> NDArray[np.uint16]:
        return np.repeat(np.array(self._sources, dtype=np.uint16), self._rows)

    def blobs(self) -> Iterator[tuple[int, slice, bytes]]:
        """Each chunk: the number of its source, the range of its records, and the records."""
        first = 0
        with self._blobs.open("rb") as stream:
            for source, size, rows in zip(self._sources, self._sizes, self._rows, strict=True):
                yield source, slice(first, first + rows), stream.read(size)
                first += rows
