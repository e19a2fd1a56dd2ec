"""Asking a served model, through any client of OpenAI's: the answer with its mode, free or forced.

Also reads the answers of a server without the parser, of any vLLM and any other engine that has
``continue_final_message``: what stands in ``reasoning`` there is no mode, or nothing does, and the tag is in the text.
"""

from __future__ import annotations

from typing import Any

from personadual.data_prep.chat_tokens import Messages
from personadual.modes import DEFAULT_MODES, Modes
from personadual.serving.answers import Answer, read_answer
from personadual.serving.prompts import forced_messages, forced_prompt_ids


def chat_request(
    messages: Messages,
    mode: str | None = None,
    *,
    modes: Modes = DEFAULT_MODES,
    extra_body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments ``messages`` and ``extra_body`` of ``client.chat.completions.create``.

    ``mode`` is a mode's name, or None to let the model choose; ValueError where there is no such mode.
    """
    body = dict(extra_body or {})
    if mode is None:
        return {"messages": list(messages), "extra_body": body}
    body |= {"add_generation_prompt": False, "continue_final_message": True}
    return {"messages": forced_messages(messages, modes[modes.index_of(mode)]), "extra_body": body}


def read_message(message: Any, mode: str | None = None, *, modes: Modes = DEFAULT_MODES) -> Answer:
    """Answer in a completion's message; ``mode`` is the one that was forced, if any."""
    reported, text = getattr(message, "reasoning", None), message.content or ""
    if isinstance(reported, str) and reported.isidentifier():  # as every mode's name is, and no chain of thought
        return Answer(reported, text)
    return read_answer(text, modes, None if mode is None else modes[modes.index_of(mode)].prefix)


def ask(
    client: Any,
    model: str,
    messages: Messages,
    mode: str | None = None,
    *,
    modes: Modes = DEFAULT_MODES,
    tokenizer: Any = None,
    **options: Any,
) -> Answer:
    """The model's answer, in a mode of its own choice or in ``mode``.

    Args:
        client: an ``openai.OpenAI``. model: the served name. messages: without an assistant's at the end.
        mode: name of the mode to force. modes: the model's, where they are not the paper's.
        tokenizer: the model's. With it a forced prompt goes as token ids, which are training's under every chat
            template (see ``prompts``); without it as a chat request.
        options: for the client, such as ``temperature``, ``max_tokens``, ``seed``, ``extra_body``.

    Raises:
        ValueError: no such mode. What the client raises comes through.
    """
    if mode is not None and tokenizer is not None:
        return _ask_exactly(client, model, messages, mode, modes, tokenizer, options)
    request = chat_request(messages, mode, modes=modes, extra_body=options.pop("extra_body", None))
    completion = client.chat.completions.create(model=model, **request, **options)
    return read_message(completion.choices[0].message, mode, modes=modes)


def _ask_exactly(
    client: Any, model: str, messages: Messages, mode: str, modes: Modes, tokenizer: Any, options: dict[str, Any]
) -> Answer:
    body = dict(options.pop("extra_body", None) or {})
    ids = forced_prompt_ids(tokenizer, messages, mode, modes, **(body.pop("chat_template_kwargs", None) or {}))
    # This endpoint writes 16 tokens unless told otherwise, a chat as many as fit.
    options["max_tokens"] = options.pop("max_completion_tokens", None) or options.get("max_tokens")
    completion = client.completions.create(model=model, prompt=ids, extra_body=body, **options)
    return read_answer(completion.choices[0].text, modes, modes[modes.index_of(mode)].prefix)
