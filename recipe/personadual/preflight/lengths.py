"""Whether one sequence fits: into the model's context, into vLLM's, and into a GPU's token budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from personadual import checks
from personadual.context import model_contexts
from personadual.modes import encode_prefixes
from personadual.preflight.findings import WARNING, Finding, judged, ok, refused
from personadual.preflight.setup import RL, Setup

_ACTOR, _ROLLOUT, _REF = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.ref"


@dataclass(frozen=True)
class RolloutLengths:
    """Lengths in tokens. ``prompt`` and ``response`` are the data's, the others the rollout's own keys."""

    prompt: int
    response: int
    rollout_prompt: int
    rollout_response: int
    max_model_len: int | None = None
    max_batched: int = 8192
    max_sequences: int = 256
    chunked: bool = True


def length_findings(setup: Setup) -> Iterator[Finding]:
    contexts = model_contexts(setup.model.config) if setup.model.config is not None else None
    if setup.kind == RL:
        lengths = _rollout_lengths(setup)
        yield from rollout_findings(lengths, contexts)
        longest = lengths.prompt + lengths.response
        for key, tokens, sequence in _rl_budgets(setup):
            yield budget_finding(key, tokens, sequence, longest, "data.max_prompt_length + data.max_response_length")
        yield from _prefix_findings(setup)
        return
    longest = setup.number("data.max_length", 1024)
    if contexts is not None:
        yield judged(
            "data.max_length",
            longest <= contexts[0],
            f"at most {contexts[0]}, the model's context",
            longest,
            f"data.max_length={contexts[0]}, or a model with a longer context",
        )
    if setup.get("data.use_dynamic_bsz", True):
        key = "data.max_token_len_per_gpu"
        tokens = setup.number(key)
        yield budget_finding(key, tokens, max(setup.sequence_parallel, 1), longest, "data.max_length")


def rollout_findings(lengths: RolloutLengths, contexts: tuple[int, int] | None) -> Iterator[Finding]:
    """``contexts`` as ``model_contexts``; None where the model is not known."""
    longest = lengths.prompt + lengths.response
    limit = lengths.max_model_len
    if contexts is not None:
        most = min(contexts)
        if limit is not None:
            yield judged(
                f"{_ROLLOUT}.max_model_len",
                limit <= most,
                f"at most {most}: max_position_embeddings (verl, {contexts[0]}), scaled as vLLM does ({contexts[1]})",
                limit,
                f"{_ROLLOUT}.max_model_len={most}",
            )
        limit = most if limit is None else min(limit, most)
    if limit is not None:
        name = f"{_ROLLOUT}.max_model_len" if limit == lengths.max_model_len else "the model's context"
        room = limit - lengths.response
        shorter = f"data.max_prompt_length={room} or " if room > 0 else ""
        yield judged(
            "prompt and response",
            longest <= limit,
            f"at most {limit} tokens, {name}",
            f"data.max_prompt_length={lengths.prompt} + data.max_response_length={lengths.response} = {longest}",
            f"{shorter}data.max_response_length={max(limit - lengths.prompt, 1)}, or a longer context",
        )
    for name, data, rollout in (
        ("prompt_length", lengths.prompt, lengths.rollout_prompt),
        ("response_length", lengths.response, lengths.rollout_response),
    ):
        if data != rollout:
            yield judged(
                f"{_ROLLOUT}.{name}", False, f"data.max_{name} ({data})", rollout, f"leave it out; set data.max_{name}"
            )
    yield judged(
        f"{_ROLLOUT}.max_num_batched_tokens",
        lengths.max_batched >= lengths.max_sequences,
        f"at least max_num_seqs={lengths.max_sequences} (vllm/config/scheduler.py)",
        lengths.max_batched,
        f"{_ROLLOUT}.max_num_batched_tokens={max(lengths.max_sequences, longest)}, or a smaller max_num_seqs",
    )
    if not lengths.chunked:
        yield judged(
            "unchunked prefill",
            lengths.max_batched >= longest,
            f"without enable_chunked_prefill one sequence of {longest} tokens; verl raises it to the whole context",
            f"max_num_batched_tokens={lengths.max_batched}",
            f"{_ROLLOUT}.max_num_batched_tokens={longest}, or enable_chunked_prefill=True",
            WARNING,
        )


def budget_finding(key: str, tokens: int, sequence_parallel: int, longest: int, of: str) -> Finding:
    """A micro batch holds at least one sequence (verl/utils/seqlen_balancing.py, ``rearrange_micro_batches``)."""
    needed = -(-longest // sequence_parallel)
    times = f" times Ulysses size {sequence_parallel}" if sequence_parallel > 1 else ""
    return judged(
        key, tokens * sequence_parallel >= longest, f"at least {of}{times} ({longest})", tokens, f"{key}={needed}"
    )


def _rl_budgets(setup: Setup) -> Iterator[tuple[str, int, int]]:
    """(key, tokens, Ulysses size) of each model that sees whole sequences in dynamic batches."""
    sequence = max(setup.sequence_parallel, 1)
    if setup.get(f"{_ACTOR}.use_dynamic_bsz", False):
        for key in (f"{_ACTOR}.ppo_max_token_len_per_gpu", f"{_ROLLOUT}.log_prob_max_token_len_per_gpu"):
            yield key, setup.number(key), sequence
    reference = setup.get(f"{_ACTOR}.use_kl_loss", False) or setup.get("algorithm.use_kl_in_reward", False)
    if reference and setup.get(f"{_REF}.log_prob_use_dynamic_bsz", False):
        key = f"{_REF}.log_prob_max_token_len_per_gpu"
        yield key, setup.number(key), max(setup.number(f"{_REF}.ulysses_sequence_parallel_size", 1), 1)


def _prefix_findings(setup: Setup) -> Iterator[Finding]:
    if setup.model.tokenizer is None:
        return
    try:
        prefixes = encode_prefixes(setup.model.tokenizer, setup.settings.modes)
    except ValueError:
        return  # the template's checks say so
    try:
        checks.check_response_length(setup.config, setup.settings, prefixes)
        yield ok("prefix and response", f"prefixes of {', '.join(str(len(ids)) for ids in prefixes)} tokens")
    except checks.ConfigError as error:
        yield refused("prefix and response", error)


def _rollout_lengths(setup: Setup) -> RolloutLengths:
    prompt, response = setup.number("data.max_prompt_length", 512), setup.number("data.max_response_length", 512)
    limit = setup.get(f"{_ROLLOUT}.max_model_len")
    return RolloutLengths(
        prompt=prompt,
        response=response,
        rollout_prompt=setup.number(f"{_ROLLOUT}.prompt_length", prompt),
        rollout_response=setup.number(f"{_ROLLOUT}.response_length", response),
        max_model_len=None if limit is None else int(limit),
        max_batched=setup.number(f"{_ROLLOUT}.max_num_batched_tokens", 8192),
        max_sequences=setup.number(f"{_ROLLOUT}.max_num_seqs", 256),
        chunked=bool(setup.get(f"{_ROLLOUT}.enable_chunked_prefill", True)),
    )
