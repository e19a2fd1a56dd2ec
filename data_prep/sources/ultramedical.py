"""UltraMedical: biomedical instructions; its questions with options and a letter as the answer are used.

Licence: MIT (the collection builds on MedQA, MedMCQA, PubMedQA and others, each with terms of its own).
Citation: Zhang et al., "UltraMedical: Building Specialized Generalists in Biomedicine", arXiv 2406.03949, 2024.
Schema (hub id ``TsinghuaC3I/UltraMedical``, 409,593 rows): ``id`` ("MedQA,1592": the subset is before the comma),
``type``, ``conversations`` [{``from``: "human" | "gpt", ``value``}], ``answer``, ``score``. The options stand at the
end of the human turn ("A. ...", one a line); open-ended rows have none and no letter. A field ``options`` (list or
letters to texts), which some copies of the set have, is taken instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from personadual.data_prep import option_answers
from personadual.data_prep.options import parse
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.fields import MISSING, entries, text
from personadual.reward_fns.graders import ULTRAMEDICAL

NO_LETTER = "no letter answer"
NO_OPTIONS = "no options in the question"

_LETTER = re.compile(r"\(?([A-Z])[.)]{0,2}")


class UltraMedical:
    about = About(
        name="ultramedical",
        licence="MIT",
        citation="Zhang et al., UltraMedical, arXiv 2406.03949, 2024",
        homepage="https://huggingface.co/datasets/TsinghuaC3I/UltraMedical",
        hub_id="TsinghuaC3I/UltraMedical",
    )

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a record; rows without a letter answer or readable options are unfit. Raises Rejected."""
        row_id = text(row, "id")
        asked = next((turn for turn in entries(row, "conversations") if turn.get("from") == "human"), None)
        if asked is None:
            raise Rejected(MISSING, "a turn from 'human' is needed", field="conversations", malformed=True)
        question = text(asked, "value")
        letter = _LETTER.fullmatch(text(row, "answer", may_be_empty=True))
        if letter is None:
            raise Rejected(NO_LETTER, f"found {row['answer']!r:.100}", field="answer")
        found = parse(question)
        labels: tuple[str, ...] = ()
        if row.get("options") is not None:
            options, labels = option_answers.from_value(row["options"], "options")
            question = found[0] if found else question
        elif found is None:
            raise Rejected(NO_OPTIONS, field="conversations")
        else:
            question, options = found
        answer = option_answers.letter_of(letter[1], options, labels)
        if not question:
            raise Rejected(NO_OPTIONS, "nothing but options", field="conversations")
        return Record(
            question_id=f"{ULTRAMEDICAL}:{row_id}",
            question=question,
            answer=answer,
            data_source=ULTRAMEDICAL,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            options=options,
            subject=row_id.partition(",")[0].strip(),
            where=where,
        )
