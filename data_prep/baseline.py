"""Whether a test set can give the evaluation's verdict, which compares answers to one question.

One side is the question without a persona, the other the question with an unaligned or conflicting one
(``evaluation.verdict``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from personadual import schema
from personadual.data_prep.hashing import Keys, keys

_PLAIN = schema.CONDITIONS.index(schema.NONE)
_MISLEADING = [schema.CONDITIONS.index(name) for name in (schema.UNALIGNED, schema.CONFLICTING)]
_WITH_PERSONA = [*_MISLEADING, schema.CONDITIONS.index(schema.ALIGNED)]


def lacks_baseline(question_keys: Keys, conditions: NDArray[np.integer]) -> bool:
    """Whether there are attached personas, and no question is asked both without one and with one that misleads.

    ``conditions`` are places in ``schema.CONDITIONS``, -1 for any other. Sets without attached personas lack nothing:
    plain benchmarks, and questions that come with their asker.
    """
    if not np.isin(conditions, _WITH_PERSONA).any():
        return False
    plain, misled = question_keys[conditions == _PLAIN], question_keys[np.isin(conditions, _MISLEADING)]
    return not np.isin(misled, plain).any()


def file_lacks_baseline(path: Path) -> bool:
    """``lacks_baseline`` of one of our RL files; only its ids and conditions are read."""
    names = [f"{schema.EXTRA_INFO}.{name}" for name in (schema.QUESTION_ID, schema.CONDITION)]
    extra = pq.ParquetFile(path).read(names).column(schema.EXTRA_INFO).combine_chunks()
    questions, conditions = (extra.field(name).to_pylist() for name in (schema.QUESTION_ID, schema.CONDITION))
    return lacks_baseline(keys(questions), np.array([schema.CONDITIONS.index(name) for name in conditions]))
