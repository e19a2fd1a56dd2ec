"""Several options in an order drawn for the question, for sets that always name the right one first or apart."""

from __future__ import annotations

import random
from collections.abc import Sequence

from personadual.data_prep import option_answers
from personadual.data_prep.options import LETTERS


def in_drawn_order(right: str, wrong: Sequence[str], seed: int, question_id: str) -> tuple[tuple[str, ...], str]:
    """The options in an order that depends on their texts, the seed and the question alone, and the right one's letter.

    Raises:
        Rejected: options that no letter or no text could name (``option_answers.check``), looked at in that order.
    """
    options = sorted((right, *wrong))
    random.Random(f"{seed}/options/{question_id}").shuffle(options)
    option_answers.check(options)
    return tuple(options), LETTERS[options.index(right)]
