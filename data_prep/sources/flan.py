"""FLAN: 70 language tasks as instructions; those that can be graded by matching the answer are used.

Licence: none for the whole; each task has that of its data set, some of which forbid handing the texts on.
Citation: Wei et al., "Finetuned Language Models Are Zero-Shot Learners", arXiv 2109.01652, 2021.
Schema (hub id ``Muennighoff/flan``): ``inputs``, ``targets``, ``task`` ("arc_easy_10templates"); no id.

A row with "OPTIONS:" and dashed options is a letter question; ``targets`` is the option's text. Without options a row
is used if its task asks for a short fact (``OPEN_TASKS``) and the target is short and no question itself: some of a
task's ten templates are reversed ("Write a question about this article"). Other tasks are unfit, those of
``UNFIT_TASKS`` for the reason given there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from personadual.data_prep import option_answers
from personadual.data_prep.options import parse_dashed
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.fields import id_of, text
from personadual.reward_fns.graders import FLAN

OPEN_TASKS = frozenset({"math_dataset", "natural_questions", "trivia_qa", "squad_v1", "squad_v2", "drop"})

TRANSLATION, SUMMARISATION = "translation task", "summarisation task"
GENERATION, REWRITING, SEVERAL_ANSWERS = "generation task", "rewriting task", "task with several answers at once"

UNFIT_TASKS = {
    "para_crawl": TRANSLATION,
    "wmt14": TRANSLATION,
    "wmt16": TRANSLATION,
    "aeslc": SUMMARISATION,
    "cnn_dailymail": SUMMARISATION,
    "gigaword": SUMMARISATION,
    "multi_news": SUMMARISATION,
    "newsroom": SUMMARISATION,
    "opinion_abstracts": SUMMARISATION,
    "samsum": SUMMARISATION,
    "wiki_lingua": SUMMARISATION,
    "xsum": SUMMARISATION,
    "common_gen": GENERATION,
    "dart": GENERATION,
    "e2e_nlg": GENERATION,
    "web_nlg": GENERATION,
    "fix_punct": REWRITING,
    "true_case": REWRITING,
    "word_segment": REWRITING,
    "coqa": SEVERAL_ANSWERS,
    "quac": SEVERAL_ANSWERS,
}
"""Reasons by the beginning of the task's name."""

FREE_TEXT = "free-text task without options"
UNREADABLE = "options run into the text"
NO_ANSWER, LONG_ANSWER = "no answer", "long open answer"
REVERSED = "answer is a question"

MAX_ANSWER_WORDS = 8
MAX_ANSWER_CHARACTERS = 80

_TEMPLATES = re.compile(r"_[0-9]+templates.*")


class Flan:
    about = About(
        name="flan",
        licence="by task (none for the whole)",
        citation="Wei et al., Finetuned Language Models Are Zero-Shot Learners, arXiv 2109.01652, 2021",
        homepage="https://huggingface.co/datasets/Muennighoff/flan",
        hub_id="Muennighoff/flan",
        redistributable=False,
    )

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a record. Raises Rejected, for unfit rows with one of the reasons above."""
        task = _TEMPLATES.sub("", text(row, "task"))
        inputs = text(row, "inputs")
        target = text(row, "targets", may_be_empty=True)
        for prefix, reason in UNFIT_TASKS.items():
            if task.startswith(prefix):
                raise Rejected(reason, f"found {task!r}", field="task")
        question, options, answer = inputs, None, target
        if "OPTIONS:" in inputs:
            found = parse_dashed(inputs)
            if found is None or not found[0]:
                raise Rejected(UNREADABLE, field="inputs")
            question, options = found
            answer = option_answers.letter_of(target, options, as_text=True)
        else:
            _check_open(task, target)
        return Record(
            question_id=f"{FLAN}:{id_of(inputs)}",
            question=question,
            answer=answer,
            data_source=FLAN,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            options=options,
            subject=task,
            where=where,
        )


def _check_open(task: str, target: str) -> None:
    if task not in OPEN_TASKS:
        raise Rejected(FREE_TEXT, f"found {task!r}", field="task")
    if target.endswith("?"):
        raise Rejected(REVERSED, f"found {target!r:.100}", field="targets")
    if not target or len(target) > MAX_ANSWER_CHARACTERS or len(target.split()) > MAX_ANSWER_WORDS:
        raise Rejected(LONG_ANSWER if target else NO_ANSWER, f"found {target!r:.100}", field="targets")
