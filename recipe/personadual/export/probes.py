"""What both engines are asked: a few prompts, each followed by every mode's prefix and a short answer.

The prompts have no system message, which some chat templates refuse.
"""

from __future__ import annotations

from typing import Any

from personadual.data_prep.chat_tokens import encode, render_ids
from personadual.export import ExportError
from personadual.modes import Modes, encode_prefixes

QUESTIONS = (
    "Which city is the capital of France?",
    "My profile: nurse, lives in Lyon, likes quiet walks and tea.\n\nWhere should I spend a free Sunday?",
    "Was ist 17 + 25? Antworte kurz. 謝謝。",
)
ANSWER = 'One two three, so this is it.\n<answer>\n{"answer": "B"}\n</answer>'


def probes(tokenizer: Any, modes: Modes, template_kwargs: dict[str, Any]) -> list[dict[str, list[int]]]:
    """``prompt`` (ids through the chat template) and ``scored`` (ids whose log-probs are asked for), one per question
    and mode.

    Raises:
        ExportError: the tokenizer has no chat template, or does not keep a mode's tag.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ExportError("the tokenizer has no chat template; put chat_template.jinja into the checkpoint's tokenizer")
    try:
        prefixes = encode_prefixes(tokenizer, modes)
    except ValueError as error:
        raise ExportError(str(error)) from None
    asked = []
    for question in QUESTIONS:
        messages = [{"role": "user", "content": question}]
        prompt = render_ids(tokenizer, messages, generate=True, **template_kwargs)
        for prefix in prefixes:
            asked.append({"prompt": prompt, "scored": [*prefix, *encode(tokenizer, ANSWER)]})
    return asked
