"""Benchmarks as ``datasets`` serves them: MMLU, ARC (questions with choices) and GSM8K (open numbers).

They are tests of many published models. Train on them only what will not be measured on them.

MMLU. Licence: MIT. Citation: Hendrycks et al., "Measuring Massive Multitask Language Understanding", arXiv 2009.03300.
Schema (``cais/mmlu``): ``question``, ``subject``, ``choices`` (four texts), ``answer`` (0 to 3); the configuration
``auxiliary_train`` has all of them inside ``train``.

ARC. Licence: CC-BY-SA-4.0. Citation: Clark et al., "Think you have Solved Question Answering? Try ARC", arXiv
1803.05457. Schema (``allenai/ai2_arc``): ``id``, ``question``, ``choices`` {``text``: [...], ``label``: [...]},
``answerKey``, one of the labels, which are letters or, in some rows, 1 to 4.

GSM8K. Licence: MIT. Citation: Cobbe et al., "Training Verifiers to Solve Math Word Problems", arXiv 2110.14168. Schema
(``openai/gsm8k``): ``question``, ``answer``, a solution whose last line is "#### 42".
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from personadual.data_prep import option_answers
from personadual.data_prep.options import LETTERS
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.fields import WRONG_KIND, get, id_of, text
from personadual.reward_fns.graders import ARC, GSM8K, MMLU
from personadual.reward_fns.normalise import canonical

NO_NUMBER = "no number behind ####"


class Mmlu:
    about = About(
        name="mmlu",
        licence="MIT",
        citation="Hendrycks et al., Measuring Massive Multitask Language Understanding, arXiv 2009.03300, 2021",
        homepage="https://huggingface.co/datasets/cais/mmlu",
        hub_id="cais/mmlu",
        hub_config="all",
        test_split="test",
    )

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a letter question. Raises Rejected."""
        if set(row) == {"train"} and isinstance(row["train"], Mapping):
            row = row["train"]
        question = text(row, "question")
        options, _ = option_answers.from_value(get(row, "choices"), "choices")
        option_answers.check(options)
        answer = get(row, "answer")
        if not isinstance(answer, int) or isinstance(answer, bool):
            raise Rejected(
                WRONG_KIND, f"a choice's number is needed, found {answer!r:.50}", field="answer", malformed=True
            )
        return Record(
            question_id=f"{MMLU}:{id_of(question, *options)}",
            question=question,
            answer=_letter(answer, options),
            data_source=MMLU,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            options=options,
            subject=text(row, "subject", may_be_empty=True),
            where=where,
        )


class Arc:
    about = About(
        name="arc",
        licence="CC-BY-SA-4.0",
        citation="Clark et al., Think you have Solved Question Answering? Try ARC, arXiv 1803.05457, 2018",
        homepage="https://huggingface.co/datasets/allenai/ai2_arc",
        hub_id="allenai/ai2_arc",
        hub_config="ARC-Challenge",
        test_split="test",
    )

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a letter question, with its choices as A, B, ... whatever their labels. Raises Rejected."""
        options, labels = option_answers.from_value(get(row, "choices"), "choices")
        option_answers.check(options)
        answer = text(row, "answerKey")
        return Record(
            question_id=f"{ARC}:{text(row, 'id')}",
            question=text(row, "question"),
            answer=_letter(labels.index(answer) if labels.count(answer) == 1 else -1, options),
            data_source=ARC,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            options=options,
            where=where,
        )


class Gsm8k:
    about = About(
        name="gsm8k",
        licence="MIT",
        citation="Cobbe et al., Training Verifiers to Solve Math Word Problems, arXiv 2110.14168, 2021",
        homepage="https://huggingface.co/datasets/openai/gsm8k",
        hub_id="openai/gsm8k",
        hub_config="main",
        test_split="test",
    )

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as an open question whose answer is a number. Raises Rejected."""
        question = text(row, "question")
        _, marker, number = text(row, "answer").rpartition("####")
        number = number.strip().lstrip("$")
        if not marker or not isinstance(canonical(number), Decimal):
            raise Rejected(NO_NUMBER, f"found {number!r:.100}", field="answer", malformed=True)
        return Record(
            question_id=f"{GSM8K}:{id_of(question)}",
            question=question,
            answer=number.replace(",", ""),
            data_source=GSM8K,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            where=where,
        )


def _letter(place: int, options: tuple[str, ...]) -> str:
    if not 0 <= place < len(options):
        raise Rejected(option_answers.NOT_AMONG, f"{len(options)} choices", field="answer", malformed=True)
    return LETTERS[place]
