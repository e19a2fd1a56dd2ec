"""Token ids of a chat: the prompt as rollouts get it, and the response behind it as SFT must teach it.

verl's rollouts start from the chat template with its generation prompt (verl/utils/tokenizer/continuous_token.py,
``build_initial_tokens``) and go on with the ids of a mode's prefix. A training sequence that is put together from the
same parts is the same to the token, whatever the template does with a finished conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from personadual.modes import INVALID_MODE, Modes, encode_prefix, parse_mode

Messages = Sequence[Mapping[str, Any]]

_QUESTION = {"role": "user", "content": "Which city?"}
_PROBE = "The answer is below."


class Sequences(NamedTuple):
    """A training sequence in two parts: ids without loss, ids with loss."""

    prompt: list[int]
    response: list[int]


def render(tokenizer: Any, messages: Messages, *, generate: bool, **template_kwargs: Any) -> str:
    """The messages through the chat template, as text; ``generate`` adds the generation prompt."""
    return tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=generate, **template_kwargs
    )


def render_ids(tokenizer: Any, messages: Messages, *, generate: bool, **template_kwargs: Any) -> list[int]:
    """The same as ids. ``return_dict`` is named because its default differs between transformers 4 and 5."""
    ids = tokenizer.apply_chat_template(
        list(messages), tokenize=True, add_generation_prompt=generate, return_dict=False, **template_kwargs
    )
    return list(ids)


def encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def split_response(response: str, modes: Modes) -> tuple[int, str]:
    """Index of the response's mode and its body.

    Raises:
        ValueError: no tag at the very start, or a body that is empty or starts with white space.
    """
    parsed = parse_mode(response, modes)
    if parsed.index == INVALID_MODE:
        tags = ", ".join(repr(mode.prefix) for mode in modes)
        raise ValueError(f"the response must start with one of {tags}, found {response[:40]!r}")
    if not parsed.body or parsed.body[0].isspace():
        raise ValueError(f"text must follow the tag's line at once, found {parsed.body[:40]!r}")
    return parsed.index, parsed.body


def turn_end(tokenizer: Any, **template_kwargs: Any) -> str:
    """What the template writes behind an assistant message, such as "<|im_end|>" and a newline.

    The end token of the tokenizer where the template writes nothing.

    Raises:
        ValueError: the template changes the message's text, so that its end can't be found.
    """
    messages = [_QUESTION, {"role": "assistant", "content": _PROBE}]
    _, found, end = render(tokenizer, messages, generate=False, **template_kwargs).rpartition(_PROBE)
    if not found:
        raise ValueError("the chat template does not keep the text of an assistant message; its end is unknown")
    return end or str(tokenizer.eos_token)


def stop_length(tokenizer: Any, **template_kwargs: Any) -> int:
    """Tokens of the turn end that a rollout writes: it stops at the end token, whatever the template adds behind."""
    ids = encode(tokenizer, turn_end(tokenizer, **template_kwargs))
    return ids.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in ids else len(ids)


def response_ids(tokenizer: Any, response: str, modes: Modes, end: str) -> list[int]:
    """Prefix, body and turn end, each encoded by itself.

    The prefix apart, because a forced prefix is: what follows it is the model's own choice of tokens.

    Raises:
        ValueError: as ``split_response`` and ``encode_prefix``.
    """
    index, body = split_response(response, modes)
    return encode_prefix(tokenizer, modes[index]) + encode(tokenizer, body) + encode(tokenizer, end)


def training_ids(tokenizer: Any, messages: Messages, modes: Modes, **template_kwargs: Any) -> Sequences:
    """The RL prompt of all messages but the last, and the last, an assistant's, as the response to it."""
    prompt = render_ids(tokenizer, messages[:-1], generate=True, **template_kwargs)
    end = turn_end(tokenizer, **template_kwargs)
    return Sequences(prompt, response_ids(tokenizer, messages[-1]["content"], modes, end))
