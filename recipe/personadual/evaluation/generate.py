"""Generations of one model over the test items: chosen freely and forced into each mode, graded, one row each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from personadual.data_prep.chat import response
from personadual.evaluation import columns
from personadual.evaluation.data import Item
from personadual.evaluation.runfile import RunFile
from personadual.modes import Modes, parse_mode
from personadual.schema import (
    ACC,
    ASKED_MODE,
    CONDITION,
    DATA_SOURCE,
    EXTRA_INFO,
    FORMAT,
    FREE,
    GROUND_TRUTH,
    ITEM,
    PERSONA,
    QUESTION,
    QUESTION_ID,
    REWARD_MODEL,
    RIGHT_MODE,
    SCORE,
    SOURCE,
)

Grader = Callable[..., dict[str, Any]]
Key = tuple[int, str, int]
COPIED = (QUESTION_ID, CONDITION, RIGHT_MODE, PERSONA, QUESTION)
SAY_EVERY = 5.0  # seconds


@dataclass(frozen=True)
class Asked:
    """One answer to ask for: to an item under an asked mode (``FREE`` or a mode), greedy (0) or sampled (1, 2, ...)."""

    item: Item
    asked_mode: str
    sample: int = 0

    @property
    def key(self) -> Key:
        return self.item.item, self.asked_mode, self.sample

    @property
    def seed(self) -> int | None:
        """Of sampling: the same for every model and in every run. None for the greedy answer."""
        if self.sample == 0:
            return None
        digest = hashlib.sha256(f"{self.item.item}/{self.asked_mode}/{self.sample}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1


@dataclass(frozen=True)
class Score:
    """Log-probs of a forced prefix: of all its tokens together, and of the deciding one. None where unknown."""

    tag: float | None = None
    deciding: float | None = None


@dataclass(frozen=True)
class Reply:
    """An answer: its text, a forced prefix in front and special tokens dropped; its length in tokens, prefix and end
    included; whether the length limit ended it; and for greedy forced answers the prefix's score.
    """

    response: str
    n_tokens: int
    truncated: bool
    score: Score = Score()


Batch = list[tuple[Asked, Reply]]
"""Answers that came together."""


@dataclass
class Counts:
    """Answers written, their tokens, and of an offline engine the prompt tokens: sent, and found in its cache."""

    answers: int = 0
    tokens: int = 0
    prompt_tokens: int | None = None
    cached_prompt_tokens: int | None = None

    def as_json(self) -> dict[str, int]:
        return {name: number for name, number in vars(self).items() if number is not None}


def plan(items: Sequence[Item], modes: Modes, samples: int = 0, free_only: bool = False) -> list[Asked]:
    """Every item free, then forced into each mode; of each the greedy answer, then the sampled ones.

    An item's answers stand together, because they share its prompt.
    """
    asked_modes = (FREE,) if free_only else (FREE, *modes.names)
    return [Asked(item, mode, sample) for item in items for mode in asked_modes for sample in range(samples + 1)]


def pending(asks: Sequence[Asked], rows: Sequence[dict[str, Any]]) -> list[Asked]:
    """The asks that ``rows`` does not answer yet."""
    done = {(row[ITEM], row[ASKED_MODE], row.get(columns.SAMPLE, 0)) for row in rows}
    return [asked for asked in asks if asked.key not in done]


class RowMaker:
    """Turns replies into graded rows (see ``columns``)."""

    def __init__(self, label: str, seed: int, modes: Modes, grader: Grader, temperature: float):
        self.label, self.seed, self.modes = label, seed, modes
        self._grader, self._temperature = grader, temperature

    def row(self, asked: Asked, reply: Reply) -> dict[str, Any]:
        """The mode is read from the text, of forced rows too."""
        item = asked.item
        # A lone surrogate, which a byte-level tokenizer or a server's JSON can hold, has no UTF-8; it counts as "?".
        text = reply.response.encode(errors="replace").decode()
        extra_info = {**item.extra_info, ASKED_MODE: asked.asked_mode}
        grade = self._grader(item.data_source, text, item.ground_truth, extra_info=extra_info)
        row = {
            columns.MODEL: self.label,
            columns.SEED: self.seed,
            ITEM: item.item,
            DATA_SOURCE: item.data_source,
            SOURCE: item.extra_info.get(SOURCE),
            **{name: item.extra_info[name] for name in COPIED},
            ASKED_MODE: asked.asked_mode,
            GROUND_TRUTH: item.ground_truth,
            columns.RESPONSE: text,
            columns.MODE: parse_mode(text, self.modes).name,
            **{name: float(grade[name]) for name in (ACC, FORMAT, SCORE)},
            columns.TAG_LOGPROB: reply.score.tag,
            columns.DECIDING_LOGPROB: reply.score.deciding,
            columns.N_TOKENS: reply.n_tokens,
            columns.TRUNCATED: reply.truncated,
            columns.SAMPLE: asked.sample,
            columns.TEMPERATURE: self._temperature if asked.sample else 0.0,
            columns.BASE_ITEM: item.base_item,
        }
        return columns.check_row(row, f"item {item.item}, {asked.asked_mode}")


def check_gradable(items: Sequence[Item], maker: RowMaker) -> None:
    """Make a row of every item of the test file with its own truth as the answer.

    Raises:
        ValueError: naming file, row and field, for an item that no answer could be graded for or written of.
    """
    for item in items:
        if item.base_item is not None:  # derived: its truth and options are the base item's
            continue
        reply = Reply(response(maker.modes[0], item.ground_truth), 0, False)
        try:
            maker.row(Asked(item, FREE), reply)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{item.where}: no answer to it could be graded, see its {REWARD_MODEL}.{GROUND_TRUTH} and "
                f"{EXTRA_INFO}: {error}. `personadual data validate` looks at every row"
            ) from error


def generate(
    maker: RowMaker, answers: Iterable[Batch], total: int, out: RunFile, say: Callable[[str], None], counts: Counts
) -> None:
    """Append the rows of each batch of answers to ``out`` as it comes; ``counts`` counts along."""
    scores = Scores(out.rows)
    start = said = time.monotonic()
    for batch in answers:
        rows = [maker.row(asked, reply) for asked, reply in scores.filled(batch)]
        out.append(rows)
        counts.answers += len(rows)
        counts.tokens += sum(row[columns.N_TOKENS] for row in rows)
        now = time.monotonic()
        if rows and (now - said >= SAY_EVERY or counts.answers == total):
            left = (now - start) / counts.answers * (total - counts.answers)
            speed = f"{counts.tokens / max(now - start, 1e-9):.0f} tokens/s"
            say(f"{maker.label}: {counts.answers}/{total} answers, {speed}, about {left:.0f} s left")
            said = now


class Scores:
    """Gives sampled forced answers the score that came with the greedy one, whose prompt and prefix are the same.

    ``rows`` are those of earlier runs.
    """

    def __init__(self, rows: Sequence[dict[str, Any]]):
        self._known: dict[tuple[int, str], Score] = {}
        self._waiting: dict[tuple[int, str], Batch] = {}
        for row in rows:
            if not row.get(columns.SAMPLE, 0):
                score = Score(row[columns.TAG_LOGPROB], row[columns.DECIDING_LOGPROB])
                self._known[row[ITEM], row[ASKED_MODE]] = score

    def filled(self, batch: Batch) -> Batch:
        """``batch`` with its scores. A sampled answer that comes before its score is held until then."""
        found: Batch = []
        for asked, reply in batch:
            key = asked.item.item, asked.asked_mode
            if asked.sample == 0:
                self._known[key] = reply.score
                found.append((asked, reply))
                found += [(held, replace(late, score=reply.score)) for held, late in self._waiting.pop(key, [])]
            elif asked.asked_mode == FREE or key in self._known:
                found.append((asked, replace(reply, score=self._known.get(key, Score()))))
            else:
                self._waiting.setdefault(key, []).append((asked, reply))
        return found
