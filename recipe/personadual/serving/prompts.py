"""Prompts that force a mode: exactly as token ids, and whether a chat request comes to the same ids.

In training a forced prefix is its own ids behind the generation prompt. A chat request forces a mode with a last
assistant message that is to be continued; the template writes that message into a text, and the text is tokenised as a
whole. A template that trims messages takes the prefix's line end away, and a tokenizer may merge across its start.
"""

from __future__ import annotations

from typing import Any

from personadual.data_prep.chat_tokens import Messages, render_ids
from personadual.modes import DEFAULT_MODES, Mode, Modes, encode_prefix

_QUESTION = [{"role": "system", "content": "Profile."}, {"role": "user", "content": "Which city?"}]


def forced_prompt_ids(
    tokenizer: Any, messages: Messages, mode: str, modes: Modes = DEFAULT_MODES, **template_kwargs: Any
) -> list[int]:
    """Token ids of the prompt with the mode's prefix behind it, those of training; for ``/v1/completions``.

    Args:
        tokenizer: a Hugging Face tokenizer with the served model's chat template.
        mode: the mode's name. template_kwargs: what training gave the template, such as ``enable_thinking=False``.

    Raises:
        ValueError: an unknown mode, or a tokenizer that does not keep its prefix.
    """
    prefix = encode_prefix(tokenizer, modes[modes.index_of(mode)])
    return render_ids(tokenizer, messages, generate=True, **template_kwargs) + prefix


def forced_messages(messages: Messages, mode: Mode) -> list[dict[str, Any]]:
    """The messages of a chat request that forces ``mode``: the last one is to be continued."""
    return [*map(dict, messages), {"role": "assistant", "content": mode.prefix}]


def chat_forcing(tokenizer: Any, modes: Modes = DEFAULT_MODES, **template_kwargs: Any) -> dict[str, str]:
    """What is wrong with forcing each mode by a chat request: name -> sentence, "" where the ids are training's."""
    return {mode.name: _gap(tokenizer, mode, modes, template_kwargs) for mode in modes}


def _gap(tokenizer: Any, mode: Mode, modes: Modes, template_kwargs: dict[str, Any]) -> str:
    exact = forced_prompt_ids(tokenizer, _QUESTION, mode.name, modes, **template_kwargs)
    try:
        continued = render_ids(
            tokenizer,
            forced_messages(_QUESTION, mode),
            generate=False,
            continue_final_message=True,
            **template_kwargs,
        )
    except Exception as error:  # a template raises whatever its author chose
        return f"the chat template refuses the message that forces it ({type(error).__name__}: {error})"
    if continued == exact:
        return ""
    same = next((i for i, pair in enumerate(zip(exact, continued, strict=False)) if len(set(pair)) > 1), None)
    start = min(len(exact), len(continued)) if same is None else same
    found, needed = (tokenizer.decode(ids[start:]) for ids in (continued, exact))
    return f"the prompt ends in {found!r} where training had {needed!r}, or in other tokens for the same text"
