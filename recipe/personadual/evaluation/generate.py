"""Generations of one model over the test items: chosen freely and forced into each mode, graded, one row each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from personadual.evaluation import columns
from personadual.evaluation.data import Item
from personadual.evaluation.engine import Completion, Engine, Request
from personadual.evaluation.runfile import RunFile
from personadual.modes import Modes, deciding_position, encode_prefixes, parse_mode
from personadual.schema import (
    ACC,
    ASKED_MODE,
    CONDITION,
    DATA_SOURCE,
    FORMAT,
    FREE,
    GROUND_TRUTH,
    ITEM,
    PERSONA,
    QUESTION,
    QUESTION_ID,
    RIGHT_MODE,
    SCORE,
    SOURCE,
)

Grader = Callable[..., dict[str, Any]]
COPIED = (QUESTION_ID, CONDITION, RIGHT_MODE, PERSONA, QUESTION)


@dataclass(frozen=True)
class Asked:
    """One answer to ask for: an item under an asked mode (``FREE`` or a mode's name)."""

    item: Item
    asked_mode: str
    request: Request


class Generator:
    """Turns items into requests and completions into rows."""

    def __init__(self, label: str, seed: int, modes: Modes, tokenizer: Any, grader: Grader, template: dict[str, Any]):
        self.label, self.seed, self.modes = label, seed, modes
        self._tokenizer, self._grader, self._template = tokenizer, grader, template
        self._prefixes = dict(zip(modes.names, encode_prefixes(tokenizer, modes), strict=True))
        self._deciding = deciding_position(list(self._prefixes.values()))

    def asks(self, items: Sequence[Item]) -> list[Asked]:
        """Every item free, then forced into each mode; the prompt is templated as verl does it for a rollout."""
        found = []
        for item in items:
            prompt_ids = self._tokenizer.apply_chat_template(
                item.prompt, add_generation_prompt=True, tokenize=True, return_dict=False, **self._template
            )
            for asked_mode in (FREE, *self.modes.names):
                found.append(Asked(item, asked_mode, Request(list(prompt_ids), self._prefixes.get(asked_mode, []))))
        return found

    def row(self, asked: Asked, completion: Completion) -> dict[str, Any]:
        """The graded row (see ``columns``). The mode is read from the text, of forced rows too."""
        item, forced = asked.item, bool(asked.request.prefix_ids)
        token_ids = asked.request.prefix_ids + completion.token_ids
        response = self._tokenizer.decode(token_ids, skip_special_tokens=True)
        extra_info = {**item.extra_info, ASKED_MODE: asked.asked_mode}
        grade = self._grader(item.data_source, response, item.ground_truth, extra_info=extra_info)
        row = {
            columns.MODEL: self.label,
            columns.SEED: self.seed,
            ITEM: item.item,
            DATA_SOURCE: item.data_source,
            SOURCE: item.extra_info.get(SOURCE),
            **{name: item.extra_info[name] for name in COPIED},
            ASKED_MODE: asked.asked_mode,
            GROUND_TRUTH: item.ground_truth,
            columns.RESPONSE: response,
            columns.MODE: parse_mode(response, self.modes).name,
            **{name: float(grade[name]) for name in (ACC, FORMAT, SCORE)},
            columns.TAG_LOGPROB: sum(completion.prefix_logprobs) if forced else None,
            columns.DECIDING_LOGPROB: completion.prefix_logprobs[self._deciding] if forced else None,
            columns.N_TOKENS: len(token_ids),
            columns.TRUNCATED: completion.truncated,
        }
        columns.check_row(row, f"item {item.item}, {asked.asked_mode}")
        return {field.name: row[field.name] for field in columns.FIELDS}


def pending(asks: Sequence[Asked], rows: Sequence[dict[str, Any]]) -> list[Asked]:
    """The asks that ``rows`` does not answer yet, by item and asked mode."""
    done = {(row[ITEM], row[ASKED_MODE]) for row in rows}
    return [asked for asked in asks if (asked.item.item, asked.asked_mode) not in done]


def longest_prompt(asks: Sequence[Asked]) -> int:
    return max(len(asked.request.prompt_ids) for asked in asks)


def generate(
    generator: Generator, asks: Sequence[Asked], engine: Engine, out: RunFile, chunk: int, say: Callable[[str], None]
) -> int:
    """Answer ``asks`` in chunks, append each chunk's rows to ``out``, and return the number of tokens generated."""
    start, tokens, done = time.monotonic(), 0, 0
    for part in _chunks(asks, chunk):
        completions = engine.complete([asked.request for asked in part])
        out.append([generator.row(asked, got) for asked, got in zip(part, completions, strict=True)])
        done += len(part)
        tokens += sum(len(completion.token_ids) for completion in completions)
        passed = time.monotonic() - start
        left = passed / done * (len(asks) - done)
        speed = f"{tokens / max(passed, 1e-9):.0f} tokens/s"
        say(f"{generator.label}: {done}/{len(asks)} answers, {speed}, about {left:.0f} s left")
    return tokens


def _chunks(asks: Sequence[Asked], size: int) -> Iterator[Sequence[Asked]]:
    for start in range(0, len(asks), size):
        yield asks[start : start + size]
