"""Standard sets that are nothing but a mapping of columns, in each of the layouts in which they are published.

MedQA. Licence: MIT (the authors' repository); the hub's copies say CC-BY-4.0 and, with ``-hf``, CC-BY-SA-4.0.
Citation: Jin et al., "What Disease does this Patient Have? A Large-scale Open Domain Question Answering Dataset from
Medical Exams", arXiv 2009.13081, 2020. Schema of ``GBaker/MedQA-USMLE-4-options`` (test: 1,273 rows): ``question``,
``options`` {``A`` ... ``D``}, ``answer`` (the text), ``answer_idx`` (the letter), ``meta_info`` ("step1", "step2&3").
Schema of ``GBaker/MedQA-USMLE-4-options-hf``, which lm-eval's ``medqa_4options`` takes: ``sent1``, ``ending0`` ...
``ending3``, ``label`` (0 to 3). Both have the same questions.

BIG-Bench Hard. Licence: MIT. Citation: Suzgun et al., "Challenging BIG-Bench Tasks and Whether Chain-of-Thought Can
Solve Them", arXiv 2210.09261, 2022. Schema of ``lukaemon/bbh`` (a configuration per task): ``input``, whose options
stand at its end as "(A) ...", or which has none; ``target``, "(A)" or the answer's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.columns import Columns, lookup
from personadual.data_prep.sources.generic import Generic
from personadual.reward_fns.graders import BBH, MEDQA


@dataclass(frozen=True)
class Entry:
    """What a set is, and its layouts: the first whose columns a row has is the row's."""

    about: About
    layouts: tuple[Columns, ...]


class Mapped:
    """A set of the catalogue."""

    def __init__(self, entry: Entry):
        self.about = entry.about
        self._layouts = [Generic(columns) for columns in entry.layouts]

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a record. Raises Rejected, for a row of no layout as for one of the first."""
        layout = next((layout for layout in self._layouts if _has(row, layout.columns)), self._layouts[0])
        record = layout.record(row, where, seed)
        return replace(record, licence=self.about.licence, source=self.about.hub_id or self.about.name)


def _has(row: Mapping[str, Any], columns: Columns) -> bool:
    try:
        for _, column in columns.names():
            lookup(row, column)
    except Rejected:
        return False
    return True


ENTRIES = (
    Entry(
        About(
            name="medqa",
            licence="MIT (hub copy: CC-BY-4.0)",
            citation="Jin et al., What Disease does this Patient Have?, arXiv 2009.13081, 2020",
            homepage="https://github.com/jind11/MedQA",
            hub_id="GBaker/MedQA-USMLE-4-options",
            test_split="test",
        ),
        (
            Columns(
                question="question",
                options="options",
                answer="answer_idx",
                subject="meta_info",
                data_source=MEDQA,
            ),
            Columns(
                question="sent1",
                options=("ending0", "ending1", "ending2", "ending3"),
                answer="label",
                answer_base=0,
                data_source=MEDQA,
            ),
            Columns(question="question", options="options", answer="answer_idx", data_source=MEDQA),
        ),
    ),
    Entry(
        About(
            name="bbh",
            licence="MIT",
            citation="Suzgun et al., Challenging BIG-Bench Tasks, arXiv 2210.09261, 2022",
            homepage="https://github.com/suzgunmirac/BIG-Bench-Hard",
            hub_id="lukaemon/bbh",
            test_split="test",
        ),
        (Columns(question="input", options="input", answer="target", data_source=BBH),),
    ),
)

CATALOGUE = {entry.about.name: partial(Mapped, entry) for entry in ENTRIES}
