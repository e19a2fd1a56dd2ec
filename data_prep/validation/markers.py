"""What has a meaning of its own to the trainer or the chat template, and has no place in foreign text.

What counts as a chat template's token is said in ``personadual.data_prep.hygiene``, which takes such texts out when
data is built. A tag in other than ASCII characters counts as such a token. A mode whose tag is ``<answer>``, as in
``+arm=think``, only names answers that begin with their block; that tag is looked for as the block's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from personadual.data_prep.hygiene import Hygiene
from personadual.data_prep.record import Rejected
from personadual.data_prep.validation.findings import Problem
from personadual.modes import Modes
from personadual.reward_fns.answer_block import CLOSE, OPEN

_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_ANSWER = re.compile(f"{re.escape(OPEN)}|{re.escape(CLOSE)}", re.IGNORECASE)
_SHOWN = 40


class Markers:
    """Looks for mode tags, answer blocks and control tokens; ``tokenizer`` adds its own special tokens to the last.

    Raises:
        ValueError: modes whose tags can't be told from text (see ``Hygiene``).
    """

    def __init__(self, modes: Modes, tokenizer: Any = None):
        self.modes = modes
        tags = [re.escape(mode.tag) for mode in modes if mode.tag != OPEN]
        self._tags = re.compile("|".join(tags), re.IGNORECASE)
        self._hygiene = Hygiene(modes)
        added = tokenizer.added_tokens_decoder.values() if tokenizer is not None else ()
        special = sorted((str(token) for token in added if token.special and str(token).strip()), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special))) if special else None

    def tag(self, text: str) -> str | None:
        """The first mode tag in ``text``."""
        found = self._tags.search(text)
        return found and found[0]

    def control_token(self, text: str) -> str | None:
        """The first token of a chat template in ``text``; mode tags and answer tags are none."""
        if self._special is not None and (found := self._special.search(text)):
            return found[0]
        rest = _ANSWER.sub("\n", self._tags.sub("\n", text))
        try:
            escaped, count = self._hygiene.text(rest, "question")
        except Rejected:  # a NUL, which is a finding of its own
            return None
        if not count:
            return None
        # Escaping puts a space behind a token's first character.
        start = next(place for place, (one, other) in enumerate(zip(rest, escaped, strict=False)) if one != other) - 1
        return rest[start : start + _SHOWN]

    def in_prompt(self, texts: Iterable[tuple[str, str]]) -> Iterator[Problem]:
        """Problems of what the model reads, given as (field, text)."""
        for field, text in texts:
            if tag := self.tag(text):
                yield Problem("mode-tag-in-prompt", tag, field)
            tags = list(_ANSWER.finditer(text))
            names = [found[0].lower() for found in tags]
            if OPEN in names and CLOSE in names[names.index(OPEN) :]:
                start = tags[names.index(OPEN)].start()
                yield Problem("answer-block-in-prompt", text[start : start + _SHOWN], field)
            elif tags:
                yield Problem("answer-tag-in-prompt", tags[0][0], field)
            if token := self.control_token(text):
                yield Problem("control-token-in-prompt", token, field)
            if character := _CHARACTERS.search(text):
                yield Problem("control-character", repr(character[0]), field)
