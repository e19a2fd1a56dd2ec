"""GPQA: graduate-level questions whose authors ask that no example be shown in plain text.

Licence: CC-BY-4.0, but the set is gated: whoever takes it from the hub agrees not to reveal examples from it in plain
text or images online, so that it does not get into training corpora. The rows, and what is built from them, stay on
your machine; reports leave its texts out (``reward_fns.graders.PRIVATE_SOURCES``).
Citation: Rein et al., "GPQA: A Graduate-Level Google-Proof Q&A Benchmark", arXiv 2311.12022, 2023.
Schema (``Idavidrein/gpqa``, configurations ``gpqa_diamond`` with 198 rows, ``gpqa_main`` 448, ``gpqa_extended`` 546;
its one split is called train): ``Question``, ``Correct Answer``, ``Incorrect Answer 1`` to ``3``, ``Record ID``,
``Subdomain``, ``High-level domain``, and much about the writers and validators that is not read.

The options are put in an order drawn by the seed for each question, as the set has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personadual.data_prep.record import Record, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.drawn import in_drawn_order
from personadual.data_prep.sources.fields import id_of, text
from personadual.reward_fns.graders import GPQA

QUESTION, RIGHT, WRONG = "Question", "Correct Answer", tuple(f"Incorrect Answer {number}" for number in (1, 2, 3))
RECORD_ID, DOMAIN = "Record ID", "High-level domain"


class Gpqa:
    about = About(
        name="gpqa",
        licence="CC-BY-4.0, gated (no example in plain text)",
        citation="Rein et al., GPQA: A Graduate-Level Google-Proof Q&A Benchmark, arXiv 2311.12022, 2023",
        homepage="https://huggingface.co/datasets/Idavidrein/gpqa",
        hub_id="Idavidrein/gpqa",
        redistributable=False,
        hub_config="gpqa_diamond",
        test_split="train",
        private=True,
    )

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a letter question. Raises Rejected."""
        question = text(row, QUESTION)
        own_id = text(row, RECORD_ID, may_be_empty=True) if RECORD_ID in row else ""
        question_id = f"{GPQA}:{own_id or id_of(question)}"
        options, answer = in_drawn_order(text(row, RIGHT), [text(row, name) for name in WRONG], seed, question_id)
        return Record(
            question_id=question_id,
            question=question,
            answer=answer,
            data_source=GPQA,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            options=options,
            subject=text(row, DOMAIN, may_be_empty=True) if DOMAIN in row else "",
            where=where,
        )
