"""Token lengths as verl counts them: the prompt after the chat template, the response with tag and end token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from personadual import schema
from personadual.data_prep import chat
from personadual.data_prep.chat_tokens import render, stop_length
from personadual.data_prep.validation.chats import plain
from personadual.data_prep.validation.findings import Problem
from personadual.data_prep.validation.sft import response_of
from personadual.modes import Modes

Row = Mapping[str, Any]


@dataclass
class Lengths:
    """Measures the rows of a batch at once, which is what makes a tokenizer fast.

    ``max_prompt`` and ``max_response`` are limits in tokens; None for none.
    """

    tokenizer: Any
    modes: Modes
    max_prompt: int | None = None
    max_response: int | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._end = stop_length(self.tokenizer, **self.template_kwargs)

    def problems(self, rows: Sequence[Row]) -> Iterator[tuple[int, Problem]]:
        """(place in ``rows``, problem). Rows that are no chats are left to the other checks."""
        texts: dict[int, str] = {}
        for place, row in enumerate(rows):
            messages = prompt_of(row)
            if messages is None:
                continue
            try:
                texts[place] = render(self.tokenizer, plain(messages), generate=True, **self.template_kwargs)
            except Exception as error:  # a template may raise anything
                yield place, Problem("template-fails", f"{type(error).__name__}: {error}", _field(row))
        if self.max_prompt is not None:
            for place, length in self._counts(texts).items():
                if length > self.max_prompt:
                    yield place, Problem("prompt-too-long", f"{length} tokens", _field(rows[place]))
        if self.max_response is not None:
            answers = {place: text for place, row in enumerate(rows) if (text := self._response(row)) is not None}
            for place, length in self._counts(answers).items():
                if length + self._end > self.max_response:
                    sft = schema.MESSAGES in rows[place]
                    name = f"{schema.MESSAGES}[-1].content" if sft else f"{schema.REWARD_MODEL}.{schema.GROUND_TRUTH}"
                    yield place, Problem("response-too-long", f"{length + self._end} tokens", name)

    def _counts(self, texts: Mapping[int, str]) -> dict[int, int]:
        if not texts:
            return {}
        encoded = self.tokenizer(list(texts.values()), add_special_tokens=False)["input_ids"]
        return {place: len(ids) for place, ids in zip(texts, encoded, strict=True)}

    def _response(self, row: Row) -> str | None:
        """What SFT shows; of an RL row the shortest perfect response, in the mode with the longest tag."""
        if schema.MESSAGES in row:
            return response_of(row)
        truth = (row.get(schema.REWARD_MODEL) or {}).get(schema.GROUND_TRUTH)
        if truth is None:
            return None
        return chat.response(max(self.modes, key=lambda mode: len(mode.tag)), str(truth))


def prompt_of(row: Row) -> list[dict[str, Any]] | None:
    """The messages that the model reads; None where they are no chat."""
    messages = row.get(schema.PROMPT) if schema.PROMPT in row else row.get(schema.MESSAGES)
    if schema.MESSAGES in row:
        messages = None if response_of(row) is None else (messages or [])[:-1]
    if not messages or any(
        not message or not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str)
        for message in messages
    ):
        return None
    return list(messages)


def _field(row: Row) -> str:
    return schema.PROMPT if schema.PROMPT in row else schema.MESSAGES
