"""The rows of an SFT file: a prompt, then one tagged response with one answer block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from personadual import schema
from personadual.data_prep.columns import MODE
from personadual.data_prep.validation.chats import ASSISTANT, USER, chat_problems
from personadual.data_prep.validation.findings import Problem
from personadual.data_prep.validation.markers import Markers
from personadual.data_prep.validation.rl import named_problems
from personadual.modes import INVALID_MODE, Modes, parse_mode
from personadual.reward_fns.answer_block import CLOSE, OPEN, read_block

_SHOWN = 60


@dataclass
class SFTRows:
    """Checks one row at a time; ``row`` holds the usable columns."""

    markers: Markers

    @property
    def modes(self) -> Modes:
        return self.markers.modes

    def mode_of(self, row: Mapping[str, Any]) -> str | None:
        """Name of the mode whose tag the response starts with."""
        response = response_of(row)
        parsed = parse_mode(response, self.modes) if response is not None else None
        return parsed.name if parsed is not None and parsed.index != INVALID_MODE else None

    def problems(self, row: Mapping[str, Any]) -> Iterator[Problem]:
        yield from named_problems(row, "")
        if schema.MESSAGES not in row:
            return
        messages = row[schema.MESSAGES]
        yield from chat_problems(messages, schema.MESSAGES, ASSISTANT)
        response = response_of(row)
        prompt = [message for message in (messages or ())[: None if response is None else -1] if message]
        texts = [str(message.get("content") or "") for message in prompt]
        yield from self.markers.in_prompt((f"{schema.MESSAGES}[].content", text) for text in texts)
        if response is None:
            return
        if not prompt or prompt[-1].get("role") != USER:
            yield Problem("last-message", "no user message before the response", f"{schema.MESSAGES}[-2].role")
        yield from self._response(response, row.get(MODE))

    def _response(self, response: str, named: str | None) -> Iterator[Problem]:
        parsed = parse_mode(response, self.modes)
        if parsed.index == INVALID_MODE:
            yield Problem("no-mode-tag", repr(response[:_SHOWN]))
        elif named is not None and named != parsed.name:
            yield Problem("mode-column", f"{named!r} beside the tag of {parsed.name!r}")
        body = parsed.body
        if parsed.index != INVALID_MODE:
            if body[:1].isspace():
                yield Problem("body-not-stripped", repr(body[:_SHOWN]))
            tag = self.modes[parsed.index].tag
            body = body.replace(f"{tag[0]}/{tag[1:]}", "\n", 1)  # what a tag opens, as <think> does, ends somewhere
            if second := self.markers.tag(body):
                yield Problem("second-mode-tag", second)
        if token := self.markers.control_token(body):
            yield Problem("control-token-in-response", token)
        yield from _block(response, len(response) - len(parsed.body))


def response_of(row: Mapping[str, Any]) -> str | None:
    """Text of the last message, where that is the assistant's."""
    messages = row.get(schema.MESSAGES)
    last = messages[-1] if messages else None
    if not last or last.get("role") != ASSISTANT or not isinstance(last.get("content"), str):
        return None
    return last["content"]


def _block(response: str, thoughts_from: int) -> Iterator[Problem]:
    opened, closed = response.count(OPEN), response.count(CLOSE)
    block = read_block(response, thoughts_from)
    if not opened or not closed:
        yield Problem("no-answer-block", f"{opened} {OPEN} and {closed} {CLOSE}")
    elif opened > 1 or closed > 1:
        yield Problem("answer-blocks", f"{opened} {OPEN} and {closed} {CLOSE}")
    elif block is None:
        yield Problem("bad-answer-block", repr(response[response.find(OPEN) :][:_SHOWN]))
    elif not block.at_end:
        yield Problem("block-not-last", repr(response.partition(CLOSE)[2].strip()[:_SHOWN]))
