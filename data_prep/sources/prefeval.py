"""PrefEval: whether an answer follows a preference that the user has stated. Its multiple-choice forms are used.

Licence: CC-BY-NC-4.0 (the authors' repository): no commercial use.
Citation: Zhao et al., "Do LLMs Recognize Your Preferences? Evaluating Personalized Preference Following in LLMs",
arXiv 2502.09597, 2025.
Schema of the classification task (``benchmark_dataset/mcq_options/*.json`` of github.com/amazon-science/PrefEval, 1,000
rows in 20 files, each one JSON list): ``preference``, ``question``, ``classification_task_options`` (four texts, the
first of which follows the preference), ``explanation`` (not read).
Schema of the choice-based set (hub id ``siyanzhao/prefeval_implicit_choice``): ``preference``, ``implicit_query``,
``options``, ``aligned_op`` (the text of the one that follows the preference), ``topic``.

The stated preference is the persona, the options come in an order drawn by the seed. Left out: the generation task,
which only a judge can score, the turns that are put between preference and question, and the implicit forms, whose
preference has to be told from a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personadual import schema
from personadual.data_prep import option_answers
from personadual.data_prep.items import PREFERENCE
from personadual.data_prep.options import LETTERS
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.drawn import in_drawn_order
from personadual.data_prep.sources.fields import get, id_of, text
from personadual.modes import PERSONALIZED
from personadual.reward_fns.graders import PREFEVAL

CLASSIFICATION, CHOICES = "classification_task_options", "options"
ASKED = "Which of these answers suits me best?"
NO_CHOICES = "no options to choose from"


class PrefEval:
    about = About(
        name="prefeval",
        licence="CC-BY-NC-4.0 (non-commercial)",
        citation="Zhao et al., Do LLMs Recognize Your Preferences?, arXiv 2502.09597, 2025",
        homepage="https://prefeval.github.io",
        hub_id="siyanzhao/prefeval_implicit_choice",
        redistributable=False,
        test_split="train",
    )

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a letter question with its own persona; a row of the generation task is unfit. Raises Rejected."""
        preference = text(row, "preference")
        if CLASSIFICATION in row:
            question = text(row, "question")
            texts, _ = option_answers.from_value(get(row, CLASSIFICATION), CLASSIFICATION)
            option_answers.check(texts)
            right = 0
        elif CHOICES in row:
            question = text(row, "implicit_query")
            texts, _ = option_answers.from_value(get(row, CHOICES), CHOICES)
            right = LETTERS.index(option_answers.letter_of(text(row, "aligned_op"), texts, as_text=True))
        else:
            raise Rejected(NO_CHOICES, f"the row has {', '.join(map(str, row))}", field=CLASSIFICATION)
        question_id = f"{PREFEVAL}:{id_of(question, *sorted(texts))}"
        wrong = [option for place, option in enumerate(texts) if place != right]
        options, answer = in_drawn_order(texts[right], wrong, seed, question_id)
        return Record(
            question_id=question_id,
            question=f"{question}\n\n{ASKED}",
            answer=answer,
            data_source=PREFEVAL,
            licence=self.about.licence,
            source=self.about.hub_id if CHOICES in row and self.about.hub_id else self.about.homepage,
            options=options,
            persona=preference,
            condition=schema.PERSONAL,
            right_mode=PERSONALIZED.name,
            subject=text(row, "topic", may_be_empty=True) if "topic" in row else "",
            ability=PREFERENCE,
            where=where,
        )
