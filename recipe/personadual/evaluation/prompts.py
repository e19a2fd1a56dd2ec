"""Prompts and forced prefixes as token ids: what a rollout of training starts from, to the token."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from personadual.data_prep.chat_tokens import render_ids
from personadual.evaluation.data import Item
from personadual.modes import Modes, deciding_position, encode_prefixes
from personadual.schema import FREE


class TokenPrompts:
    """Token ids by a model's own tokenizer and chat template.

    Raises:
        ValueError: the tokenizer does not keep a mode's prefix, or has no chat template.
    """

    def __init__(self, tokenizer: Any, modes: Modes, template_kwargs: Mapping[str, Any]):
        self.tokenizer = tokenizer
        self.modes = modes
        prefixes = encode_prefixes(tokenizer, modes)
        self.prefixes: dict[str, list[int]] = {FREE: [], **dict(zip(modes.names, prefixes, strict=True))}
        """Ids by asked mode."""
        self.deciding = deciding_position(prefixes)
        self._template_kwargs = dict(template_kwargs)
        self._prompts: dict[int, list[int]] = {}

    def prompt(self, item: Item) -> list[int]:
        """Ids of the item's messages with the generation prompt behind them, templated once."""
        if item.item not in self._prompts:
            ids = render_ids(self.tokenizer, item.prompt, generate=True, **self._template_kwargs)
            self._prompts[item.item] = ids
        return self._prompts[item.item]

    def fingerprint(self, item: Item) -> str:
        """Hash that tells prompt formats apart: of the chat template, and the ids of prefixes and ``item``'s prompt."""
        formed = [getattr(self.tokenizer, "chat_template", None), self.prefixes, self.prompt(item)]
        return hashlib.sha256(json.dumps(formed, sort_keys=True).encode()).hexdigest()

    @property
    def longest_prefix(self) -> int:
        return max(map(len, self.prefixes.values()))
