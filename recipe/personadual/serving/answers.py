"""A served text as mode and answer: whole, or piece by piece as it is streamed, with the same result.

``personadual.modes.parse_mode`` says what a tag is. Here is only what serving adds: what is known of a text whose end
has not come yet, and what a text means that goes on from a mode's prefix in the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

from personadual.modes import DEFAULT_MODES, Mode, Modes, parse_mode


@dataclass(frozen=True)
class Answer:
    """``mode``: a mode's name, "invalid" where the model wrote no tag, None where it can't be known.

    It is None for a continued message that does not end in a tag, and for every piece of a stream but the first.
    """

    mode: str | None
    text: str


def forced_mode(written: str, modes: Modes = DEFAULT_MODES) -> Mode | None:
    """The mode whose prefix ends ``written``, the assistant text that the model is to continue.

    White space behind the tag is not looked at, because some chat templates cut it.
    """
    tail = written.rstrip()
    return max((mode for mode in modes if tail.endswith(mode.tag)), key=lambda mode: len(mode.tag), default=None)


def read_answer(text: str, modes: Modes = DEFAULT_MODES, written: str | None = None) -> Answer:
    """Mode and answer of a finished text.

    Args:
        text: what the model wrote.
        written: the assistant text in the prompt that it goes on from; None where it began by itself. One line end at
            the start of ``text`` is then the prefix's own, which the template may have cut.
    """
    if written is None:
        parsed = parse_mode(text, modes)
        return Answer(parsed.name, parsed.body)
    mode = forced_mode(written, modes)
    if mode is None:
        return Answer(None, text)
    parsed = parse_mode(mode.prefix + text.removeprefix("\n"), modes)
    return Answer(parsed.name, parsed.body)


class AnswerStream:
    """``read_answer`` of a text that comes in pieces, each passed on as soon as it can't belong to a tag.

    The pieces' texts, joined, are ``read_answer(...).text``, and the first one carries its mode.
    """

    def __init__(self, modes: Modes = DEFAULT_MODES, written: str | None = None):
        self._modes, self._written = modes, written
        self._held = ""
        self.decided = False
        """Whether the mode has been said; what follows is text alone."""

    def feed(self, text: str) -> Answer | None:
        """What can be passed on after ``text``; None while it may still become a tag."""
        if self.decided:
            return Answer(None, text)
        self._held += text
        return None if self._open() else self._decide()

    def finish(self) -> Answer | None:
        """What was held back when the text ended; None where nothing was."""
        return None if self.decided else self._decide()

    def _open(self) -> bool:
        if self._written is not None:
            return not self._held
        return any(mode.prefix.startswith(self._held) and mode.prefix != self._held for mode in self._modes)

    def _decide(self) -> Answer:
        self.decided = True
        return read_answer(self._held, self._modes, self._written)
