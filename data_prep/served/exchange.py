"""A request to the served model, its answer, and what became of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from personadual.data_prep.record import Rejected
from personadual.data_prep.served.config import ServedConfig

Messages = tuple[Mapping[str, str], ...]

STOP, LENGTH, CONTENT_FILTER = "stop", "length", "content_filter"
"""Values of ``finish_reason`` in chat completions that are told apart here."""


@dataclass(frozen=True)
class Request:
    """Chat messages to be answered. ``about`` is whatever the caller needs to make sense of the answer."""

    id: str
    messages: Messages
    about: Any = None

    def key(self, config: ServedConfig) -> str:
        """sha256 of model, messages and sampling parameters: equal keys have the same answer.

        The address is not part of it: the same model served elsewhere gives the answers that are already there.
        """
        asked = [config.model, [dict(message) for message in self.messages], config.sampling]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Answer:
    """A completion as it came, empty and cut ones too; ``finish_reason`` is the server's, "" where it gives none."""

    text: str
    finish_reason: str


@dataclass(frozen=True)
class Failure:
    """Why a request has no answer: ``reason`` is a short fixed phrase to count by, ``detail`` what the server said."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Outcome:
    """A request with its answer, or with the failure that remained after all attempts."""

    request: Request
    reply: Answer | Failure
    cached: bool = False

    def text(self) -> str:
        """The completion, outer white space removed.

        Raises:
            Rejected: the request failed, or the completion is empty, cut off, or no text that a file can hold.
        """
        if isinstance(self.reply, Failure):
            raise Rejected(self.reply.reason, self.reply.detail)
        finish, text = self.reply.finish_reason, self.reply.text.strip()
        if finish == LENGTH:
            raise Rejected("completion cut at max_tokens", f"{len(text)} characters")
        if finish == CONTENT_FILTER:
            raise Rejected("completion stopped by the server's content filter")
        if finish not in (STOP, ""):
            raise Rejected("completion not ended by the model", finish)
        if not text:
            raise Rejected("empty completion")
        if not is_storable(text):
            raise Rejected("completion is no valid text", "NUL or a lone surrogate")
        return text


def is_storable(text: str) -> bool:
    """Whether the text has no NUL and can be written as UTF-8, which lone surrogates can't."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text
