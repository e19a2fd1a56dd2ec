"""Forces a prefix on a rollout: a proxy around verl's LLM client, and how to find a prefix in a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from personadual.modes import INVALID_MODE, Modes, parse_mode


class ForcedPrefixClient:
    """LLM client whose first ``generate`` continues ``prefix_ids`` as if the model had written them.

    The prefix goes to the engine behind the prompt (so that the engine's prefix cache still serves the prompt) and
    comes back at the head of the response; it costs response tokens, never the response's tail. Further calls, of an
    agent loop with several turns, pass through. All other attributes are those of the wrapped client.

    ``generate`` raises RuntimeError where log-probs were asked for and the engine did not give one per token.
    """

    def __init__(self, client: Any, prefix_ids: Sequence[int], response_length: int):
        self._client = client
        self._prefix_ids = list(prefix_ids)
        self._response_length = response_length
        self._pending = True

    def __getattr__(self, name: str) -> Any:
        if name == "_client":  # not set yet, as in copy.copy
            raise AttributeError(name)
        return getattr(self._client, name)

    async def generate(self, *, prompt_ids: list[int], sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        if not self._pending:
            return await self._client.generate(prompt_ids=prompt_ids, sampling_params=sampling_params, **kwargs)
        self._pending = False
        # verl shares one dict between the sessions of a prompt (agent_loop_tq.py, _run_prompt): never write to it.
        params = dict(sampling_params)
        room = self._response_length - len(self._prefix_ids)
        params["max_tokens"] = min(room, params.get("max_tokens", room))
        output = await self._client.generate(
            prompt_ids=list(prompt_ids) + self._prefix_ids, sampling_params=params, **kwargs
        )
        generated = list(output.token_ids)
        if params.get("logprobs"):
            # Placeholder: the trainer puts the actor's own log-probs here, since a teacher-forced token has no rollout
            # probability (trainer.py, _compute_old_log_prob). Rows of a batch must agree in their fields, so the list
            # is there also where the engine was stopped before its first token.
            given = list(output.log_probs or [])
            if len(given) != len(generated):
                raise RuntimeError(
                    f"the engine was asked for log-probs and gave {len(given)} for {len(generated)} tokens; the "
                    "correction between rollout and actor would learn from made-up ones. Set actor_rollout_ref."
                    "rollout.calculate_log_probs=False, or take an engine that gives them"
                )
            output.log_probs = [0.0] * len(self._prefix_ids) + given
        output.token_ids = self._prefix_ids + generated
        return output


def locate_mode(
    response_ids: Sequence[int], tokenizer: Any, modes: Modes, prefixes: Sequence[Sequence[int]]
) -> tuple[int, int]:
    """Mode of a freely written response and the number of its tokens that spell the mode's prefix.

    Returns (``INVALID_MODE``, 0) where no tag stands at the very start, or a special token stands before its end.
    """
    for index, prefix in enumerate(prefixes):
        if list(response_ids[: len(prefix)]) == list(prefix):
            return index, len(prefix)
    # The same text in other tokens, which the model may well write; at most a token per byte of it.
    longest = max(len(mode.prefix.encode()) for mode in modes)
    head = list(response_ids[: longest + 1])
    text = tokenizer.decode(head, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    parsed = parse_mode(text, modes)
    if parsed.index == INVALID_MODE:
        return INVALID_MODE, 0
    mode = modes[parsed.index]
    # Special tokens are no text, but a model that writes one before or in its tag has not answered in that mode.
    if not tokenizer.decode(head, skip_special_tokens=False, clean_up_tokenization_spaces=False).startswith(mode.tag):
        return INVALID_MODE, 0
    # Tag and newline; the tag alone where the response ends there (what follows is then only an end-of-text token).
    wanted = mode.prefix if text.startswith(mode.prefix) else mode.tag
    for length in range(1, len(head) + 1):
        spelled = tokenizer.decode(head[:length], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if spelled.startswith(wanted):
            return parsed.index, length
    return parsed.index, len(head)


def adopt_prefix_log_probs(
    rollout: torch.Tensor, actor: torch.Tensor, prefix_lengths: torch.Tensor, forced: torch.Tensor
) -> torch.Tensor:
    """``rollout`` log-probs with those of forced prefix tokens replaced by the actor's.

    Args:
        rollout, actor: jagged nested tensors (B, t) of the same row lengths. prefix_lengths: (B,) int.
        forced: (B,) bool, the rows whose prefix was written by us.

    Returns:
        Jagged, as ``rollout``. Raises ValueError where the two differ in row lengths.
    """
    jagged: tuple[Any, Any] = (rollout, actor)  # torch's type stubs do not know nested tensors
    offsets: torch.Tensor = jagged[0].offsets()
    if not torch.equal(offsets, jagged[1].offsets()):
        raise ValueError("rollout and actor log-probs differ in the lengths of their rows")
    device = offsets.device
    start, lengths = offsets[:-1], offsets.diff()
    row = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
    column = torch.arange(int(offsets[-1]), device=device) - start[row]
    of_prefix = forced.to(device)[row] & (column < prefix_lengths.to(device)[row])
    values = torch.where(of_prefix, actor.values().to(rollout.values().dtype), rollout.values())
    # Without the row lengths' bounds torch pads such a tensor to the length of all values together.
    shortest, longest = int(lengths.min()), int(lengths.max())
    return torch.nested.nested_tensor_from_jagged(values, offsets, min_seqlen=shortest, max_seqlen=longest)


def choice_probs(
    log_probs: torch.Tensor, prefix_lengths: torch.Tensor, forced: torch.Tensor, deciding_position: int
) -> torch.Tensor:
    """(B,) float64: the probability of each forced row's deciding token; NaN for a row that was not forced.

    Args:
        log_probs: (B, T) of the actor, at the rollout's temperature, given the tokens before.
        prefix_lengths: (B,) int. forced: (B,) bool. deciding_position: column at which the modes' prefixes part.
    """
    nothing = torch.full((len(forced),), float("nan"), dtype=torch.float64)
    if deciding_position >= log_probs.shape[1]:
        return nothing
    known = forced & (prefix_lengths > deciding_position)
    return torch.where(known, log_probs[:, deciding_position].double().exp(), nothing)
