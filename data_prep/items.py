"""A question under one condition, and the rows that it becomes in verl's files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from personadual import schema
from personadual.data_prep import chat
from personadual.data_prep.columns import MODE, RULE_STYLE, STYLE
from personadual.data_prep.options import render_options
from personadual.modes import Mode, Modes

FACT, PREFERENCE = "fact", "preference"
"""Values of verl's ``ability`` column: what a right answer takes."""


@dataclass(frozen=True)
class Item:
    """One question with one profile.

    ``mode_answers`` is what SFT shows in each mode, in the order of the modes, and ``bodies`` the whole text behind the
    mode's prefix where there is one ("" or nothing: the answer block alone). Everything that decides the right answer
    is in ``truth`` and ``accept``; ``right_mode`` is the index of the mode known to be better, if one is.
    ``data_source`` is verl's; "" where it follows from the condition.
    """

    question_id: str
    condition: str
    question: str
    persona: str
    truth: str
    accept: tuple[str, ...]
    mode_answers: tuple[str, ...]
    right_mode: int | None
    ability: str
    split: str
    source: str
    options: tuple[str, ...] | None = None
    licence: str = ""
    subject: str = ""
    bodies: tuple[str, ...] = ()
    data_source: str = ""

    @property
    def asked(self) -> str:
        """The question as the prompt has it: with its options."""
        return self.question if self.options is None else render_options(self.question, self.options)

    def response(self, mode: Mode, mode_index: int) -> str:
        """What SFT shows in ``mode``."""
        if self.bodies and self.bodies[mode_index]:
            return mode.prefix + self.bodies[mode_index].lstrip()
        return chat.response(mode, self.mode_answers[mode_index])

    @property
    def answers(self) -> tuple[str, ...]:
        """All the answers that count as right."""
        return (self.truth, *self.accept)


def sft_rows(items: Sequence[Item], modes: Modes, order: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
    """A ``messages`` row for each (item number, mode index) of ``order``."""
    rows = []
    for number, mode_index in order:
        item, mode = items[number], modes[mode_index]
        answer = {"role": "assistant", "content": item.response(mode, mode_index)}
        rows.append(
            {
                schema.MESSAGES: [*chat.prompt_messages(item.persona, item.asked), answer],
                schema.CONDITION: item.condition,
                MODE: mode.name,
                schema.ITEM: number,
                schema.QUESTION_ID: item.question_id,
                schema.SPLIT: item.split,
            }
        )
    return rows


def rl_rows(
    items: Sequence[Item], modes: Modes, source_prefix: str = "", asked_modes: Sequence[str] = (schema.FREE,)
) -> list[dict[str, Any]]:
    """A prompt row for each item and each of ``asked_modes``; an item's rows stand together and share its number.

    ``data_source`` is the item's own, or ``source_prefix`` and its condition.
    """
    rows: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        for asked in asked_modes:
            extra = {
                schema.INDEX: len(rows),
                schema.ITEM: number,
                schema.SPLIT: item.split,
                schema.QUESTION_ID: item.question_id,
                schema.CONDITION: item.condition,
                schema.RIGHT_MODE: None if item.right_mode is None else modes[item.right_mode].name,
                schema.ASKED_MODE: asked,
                schema.PERSONA: item.persona,
                schema.QUESTION: item.question,
                schema.OPTIONS: None if item.options is None else list(item.options),
                schema.ACCEPT: list(item.accept),
                schema.SOURCE: item.source,
                schema.LICENCE: item.licence,
                schema.SUBJECT: item.subject,
            }
            rows.append(
                {
                    schema.PROMPT: chat.prompt_messages(item.persona, item.asked),
                    schema.DATA_SOURCE: item.data_source or source_prefix + item.condition,
                    schema.ABILITY: item.ability,
                    schema.REWARD_MODEL: {STYLE: RULE_STYLE, schema.GROUND_TRUTH: item.truth},
                    schema.EXTRA_INFO: extra,
                }
            )
    return rows
