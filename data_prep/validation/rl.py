"""The rows of an RL file: can each be shown, and can its right answer be told from a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from personadual import schema
from personadual.data_prep import chat
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.option_answers import has_repeats
from personadual.data_prep.options import LETTERS
from personadual.data_prep.validation.chats import USER, chat_problems
from personadual.data_prep.validation.findings import Problem
from personadual.data_prep.validation.markers import Markers
from personadual.modes import Modes
from personadual.reward_fns.compose import score_row
from personadual.reward_fns.graders import OBJECTIVE, check_data_sources
from personadual.reward_fns.matching import is_right
from personadual.reward_fns.normalise import canonical, is_blank
from personadual.reward_fns.settings import Settings

MAX_OPTIONS = 26
"""Options have letters."""
_UNREADABLE = {"bad-options", "bad-accept", "unknown-asked-mode"}
"""Checks of what a grader reads beside the ground truth; where it can't, it would only say the same again."""


@dataclass
class RLRows:
    """Checks one row at a time. Only what its file has is looked at: ``row`` holds the usable columns and fields."""

    settings: Settings
    markers: Markers
    _sources: dict[str, bool] = field(default_factory=dict)

    @property
    def modes(self) -> Modes:
        return self.settings.modes

    def problems(self, row: Mapping[str, Any]) -> Iterator[Problem]:
        info = row.get(schema.EXTRA_INFO) or {}
        yield from self._prompt(row, info)
        known = schema.DATA_SOURCE in row and self._is_known(row[schema.DATA_SOURCE])
        if schema.DATA_SOURCE in row and not known:
            yield Problem("unknown-data-source", repr(row[schema.DATA_SOURCE]))
        found = [*self._options(info), *self._names(info)]
        yield from found
        if schema.GROUND_TRUTH in (row.get(schema.REWARD_MODEL) or {}):
            yield from self._gradable(row, info, known, {problem.check for problem in found})
        index = info.get(schema.INDEX, 0)
        if index is None or index < 0:
            yield Problem("no-index", repr(index))

    def _prompt(self, row: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[Problem]:
        persona = info.get(schema.PERSONA) or ""
        shown = ""
        if schema.PROMPT in row:
            messages = row[schema.PROMPT]
            yield from chat_problems(messages, schema.PROMPT, USER)
            texts = [str(message.get("content") or "") for message in messages or () if message]
            yield from self.markers.in_prompt((f"{schema.PROMPT}[].content", text) for text in texts)
            shown = "\n".join(texts)
            if persona and persona not in shown:
                yield Problem("persona-not-shown", repr(persona))
        if persona and persona not in shown:
            yield from self.markers.in_prompt([(f"{schema.EXTRA_INFO}.{schema.PERSONA}", persona)])
        condition = info.get(schema.CONDITION)
        if condition in schema.CONDITIONS and schema.PERSONA in info and (condition == schema.NONE) == bool(persona):
            yield Problem("persona-and-condition", f"condition {condition!r} and persona {persona!r}")

    def _is_known(self, source: Any) -> bool:
        if source not in self._sources:
            try:
                check_data_sources([source], self.settings.graders)
                self._sources[source] = True
            except ValueError:
                self._sources[source] = False
        return self._sources[source]

    def _options(self, info: Mapping[str, Any]) -> Iterator[Problem]:
        options = info.get(schema.OPTIONS)
        if options is not None:
            if any(not isinstance(text, str) or is_blank(text) for text in options):
                yield Problem("bad-options", f"a blank or null one in {options!r}")
            elif not 2 <= len(options) <= MAX_OPTIONS:
                yield Problem("bad-options", f"{len(options)} options")
            elif has_repeats(options):
                yield Problem("bad-options", f"two that are the same in {options!r}")
            elif _alike(options):
                yield Problem("options-alike", f"in {options!r}")
        accept = info.get(schema.ACCEPT)
        if accept is not None and any(not isinstance(text, str) or is_blank(text) for text in accept):
            yield Problem("bad-accept", repr(accept))

    def _names(self, info: Mapping[str, Any]) -> Iterator[Problem]:
        asked, right = info.get(schema.ASKED_MODE), info.get(schema.RIGHT_MODE)
        if asked not in (None, schema.FREE, *self.modes.names):
            yield Problem("unknown-asked-mode", repr(asked))
        if right not in (None, *self.modes.names):
            yield Problem("unknown-right-mode", repr(right))
        yield from named_problems(info, f"{schema.EXTRA_INFO}.")

    def _gradable(
        self, row: Mapping[str, Any], info: Mapping[str, Any], known: bool, said: Set[str]
    ) -> Iterator[Problem]:
        truth = row[schema.REWARD_MODEL][schema.GROUND_TRUTH]
        if truth is None or truth != truth or is_blank(str(truth)):
            yield Problem("no-ground-truth", repr(truth))
            return
        if said & _UNREADABLE:
            return
        source = row.get(schema.DATA_SOURCE) or ""
        options = info.get(schema.OPTIONS) or ()
        try:
            if options:
                is_right(None, str(truth), options)
        except ValueError:
            yield Problem("truth-not-an-option", f"{truth!r}; options {options!r}")
            return
        if "options-alike" in said:
            letters = LETTERS[: len(options)]
            if sum(is_right(letter, str(truth), options) for letter in letters) > 1:
                yield Problem("truth-not-an-option", f"{truth!r} can be two of the options {options!r}")
                return
        asked = info.get(schema.ASKED_MODE)
        mode = self.modes[self.modes.index_of(asked) if asked in self.modes.names else 0]
        perfect = chat.response(mode, str(truth))
        grade = score_row(source, perfect, truth, info, settings=self.settings, grader=None if known else OBJECTIVE)
        if grade[schema.ACC] != 1 or grade[schema.FORMAT] != 1:
            found = f"acc {grade[schema.ACC]:g}, format {grade[schema.FORMAT]:g} for {truth!r}"
            yield Problem("not-gradable", found)


def _alike(options: Sequence[str]) -> bool:
    """Whether a grader reads two options alike, so that only a letter or the very text tells them apart."""
    return len({canonical(text) for text in options}) < len(options)


def named_problems(row: Mapping[str, Any], place: str) -> Iterator[Problem]:
    """Condition and split, where a row has them; ``place`` is put before the field's name."""
    for name, known, check in (
        (schema.CONDITION, schema.CONDITIONS, "unknown-condition"),
        (schema.SPLIT, SPLITS, "unknown-split"),
    ):
        value = row.get(name)
        if value is not None and value not in known:
            yield Problem(check, repr(value), place + name)
