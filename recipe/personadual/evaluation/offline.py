"""Answers by vLLM's offline engine: asks in, token ids through the engines, texts out."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from personadual.evaluation.engine import Completion, Request
from personadual.evaluation.generate import Asked, Batch, Counts, Reply, Score
from personadual.evaluation.pool import EnginePool
from personadual.evaluation.prompts import TokenPrompts


def answer(
    asks: Sequence[Asked], pool: EnginePool, prompts: TokenPrompts, chunk: int, counts: Counts
) -> Generator[Batch, None, None]:
    """Answers to all ``asks``, ``chunk`` or some more at a time; ``counts`` counts prompt tokens."""
    chunks = whole_items(asks, chunk)
    batches = ([request_of(asked, prompts) for asked in part] for part in chunks)
    counts.prompt_tokens = counts.cached_prompt_tokens = 0
    for number, completions in pool.complete(batches):
        answered = list(zip(chunks[number], completions, strict=True))
        for asked, completion in answered:
            counts.prompt_tokens += len(prompts.prompt(asked.item)) + len(prompts.prefixes[asked.asked_mode])
            counts.cached_prompt_tokens += completion.cached_tokens
        yield [(asked, reply_of(asked, completion, prompts)) for asked, completion in answered]


def request_of(asked: Asked, prompts: TokenPrompts) -> Request:
    prefix = prompts.prefixes[asked.asked_mode]
    return Request(prompts.prompt(asked.item), prefix, asked.seed, scored=asked.sample == 0)


def reply_of(asked: Asked, completion: Completion, prompts: TokenPrompts) -> Reply:
    token_ids = prompts.prefixes[asked.asked_mode] + completion.token_ids
    response = prompts.tokenizer.decode(token_ids, skip_special_tokens=True)
    return Reply(response, len(token_ids), completion.truncated, score_of(completion.prefix_logprobs, prompts))


def score_of(prefix_logprobs: Sequence[float], prompts: TokenPrompts) -> Score:
    """Of the log-probs of a prefix's tokens; unknown where there are none."""
    if not prefix_logprobs:
        return Score()
    return Score(sum(prefix_logprobs), prefix_logprobs[prompts.deciding])


def whole_items(asks: Sequence[Asked], least: int) -> list[list[Asked]]:
    """``asks`` in parts of at least that many, an item's never in two, so that its prompt is computed once."""
    parts: list[list[Asked]] = []
    for asked in asks:
        if not parts or (len(parts[-1]) >= least and parts[-1][-1].item.item != asked.item.item):
            parts.append([])
        parts[-1].append(asked)
    return parts
