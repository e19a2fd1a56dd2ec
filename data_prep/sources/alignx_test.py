"""AlignX-test: the held-out part of AlignX, as the same A/B questions.

Licence: none is stated; see ``sources.alignx``, which also has the citation and the columns.
Schema (hub id ``JinaLeejnl/AlignX-test``): JSON lists by what is known of the user: ``Reddit_DEMO.json``
(demographics), ``Reddit_PAIR.json`` and ``Reddit_UGC.json`` (four earlier choices, four own comments),
``Reddit_arbitrary.json`` (some of each) and one with sixteen entries of history. The columns are AlignX's, of which a
file may lack those of users; ``profile``, a summary that some files have, is not read.

More of a user is shown than in training (``ProfileLimits``), all four entries of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from personadual.data_prep.config_reading import read
from personadual.data_prep.record import Record, Where
from personadual.data_prep.sources.alignx import AlignX, ProfileLimits
from personadual.reward_fns.graders import ALIGNX_TEST

LIMITS = ProfileLimits(comments=4, choices=4)


class AlignXTest(AlignX):
    about = replace(
        AlignX.about,
        name="alignx_test",
        homepage="https://huggingface.co/datasets/JinaLeejnl/AlignX-test",
        hub_id="JinaLeejnl/AlignX-test",
        test_split="train",
    )

    def __init__(self, limits: ProfileLimits = LIMITS):
        super().__init__(limits)

    def with_settings(self, settings: Mapping[str, Any]) -> AlignXTest:
        """With other ``ProfileLimits`` than these. Raises ValueError."""
        return AlignXTest(read(ProfileLimits, {**vars(self.limits), **settings}, "settings"))

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """As AlignX's, under a data source of its own; the question's id stays AlignX's. Raises Rejected."""
        return replace(super().record(row, where, seed), data_source=ALIGNX_TEST)
