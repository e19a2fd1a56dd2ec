"""Sample rows as the model sees them. Which rows is decided by a hash of seed, file and row, not by their order."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from personadual import schema
from personadual.data_prep.chat_tokens import render, turn_end
from personadual.data_prep.hashing import key
from personadual.data_prep.validation.chats import plain
from personadual.data_prep.validation.columns import RL
from personadual.data_prep.validation.lengths import prompt_of
from personadual.data_prep.validation.sft import response_of
from personadual.evaluation.text import visible
from personadual.modes import Modes


@dataclass
class Samples:
    """The ``size`` rows with the smallest hashes, in the order of the file."""

    size: int
    seed: int
    file: str
    _kept: list[tuple[int, int, Mapping[str, Any]]] = field(default_factory=list)

    def add(self, number: int, row: Mapping[str, Any]) -> None:
        entry = (-key(f"{self.seed}/{self.file}/{number}"), number, row)
        if len(self._kept) < self.size:
            heapq.heappush(self._kept, entry)
        elif self._kept and entry[0] > self._kept[0][0]:
            heapq.heapreplace(self._kept, entry)

    def rows(self) -> list[tuple[int, Mapping[str, Any]]]:
        return sorted(((number, row) for _, number, row in self._kept), key=lambda pair: pair[0])


@dataclass(frozen=True)
class View:
    """How a row is shown; without a tokenizer as plain messages."""

    modes: Modes
    tokenizer: Any = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def prompt(self, row: Mapping[str, Any]) -> str:
        """What the model reads.

        Raises:
            ValueError: the row is no chat, or the template refuses it.
        """
        messages = prompt_of(row)
        if messages is None:
            raise ValueError("no chat; `personadual data validate` says why")
        if self.tokenizer is None:
            return "\n".join(f"<{message['role']}> {message['content']}" for message in messages)
        try:
            return render(self.tokenizer, plain(messages), generate=True, **self.template_kwargs)
        except Exception as error:  # a template may raise anything
            raise ValueError(f"the chat template refuses it: {error}") from error

    def sample(self, number: int, row: Mapping[str, Any], kind: str) -> str:
        """Prompt, then what follows it: the forced prefix of each mode, or of the one asked for; the SFT response."""
        try:
            parts = [("prompt", self.prompt(row))]
        except ValueError as error:
            return f"row {number}: {visible(str(error))}"
        if kind == RL:
            info = row.get(schema.EXTRA_INFO) or {}
            asked = info.get(schema.ASKED_MODE)
            modes = [mode for mode in self.modes if asked in (mode.name, None, schema.FREE)]
            parts += [(f"forced prefix, {mode.name}", mode.prefix) for mode in modes]
            truth = (row.get(schema.REWARD_MODEL) or {}).get(schema.GROUND_TRUTH)
            parts += [("right answer, not shown", str(truth))]
        else:
            end = "" if self.tokenizer is None else turn_end(self.tokenizer, **self.template_kwargs)
            parts += [("response, with loss", (response_of(row) or "") + end)]
        return "\n".join([f"row {number}", *(f"  {name}:\n{_quoted(text)}" for name, text in parts)])


def _quoted(text: str) -> str:
    """Line by line, what a terminal would obey spelt out; a line break that ends the text is shown."""
    return "\n".join(f"    | {visible(line)}" for line in text.split("\n"))
