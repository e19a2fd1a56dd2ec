"""PersonaMem: which of four replies suits a user whose conversations with an assistant are known.

Licence: MIT. Citation: Jiang et al., "Know Me, Respond to Me: Benchmarking LLMs for Dynamic User Profiling and
Personalized Responses at Scale", arXiv 2504.14225, 2025.
Schema (hub id ``bowen-upenn/PersonaMem-v1``, earlier ``PersonaMem``; splits ``32k``, 589 rows, ``128k`` and ``1M``, by
the tokens of the conversation; ``questions_32k.csv``): ``question_id``, ``question_type``, ``topic``,
``user_question_or_message``, ``correct_answer`` ("(c)"), ``all_options`` (a Python or JSON list of "(a) ..." to
"(d) ..."), ``shared_context_id``, ``end_index_in_shared_context``, and statistics that are not read. The conversations
stand in a second file, ``shared_contexts_32k.jsonl``, each line {id: [{``role``, ``content``}]}, which must lie beside
the first; with a hub id it is downloaded. The input may also be the folder of both.

The persona is the conversation up to the row's end index, which begins with a description of the user.
``settings: {characters: N}`` keeps the description and the latest messages within N characters, which is no longer the
published task.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personadual import schema
from personadual.data_prep import option_answers
from personadual.data_prep.config_reading import read
from personadual.data_prep.items import PREFERENCE
from personadual.data_prep.options import LETTERS
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.columns import as_text
from personadual.data_prep.sources.fields import WRONG_KIND, get, text
from personadual.data_prep.sources.shared_contexts import SharedContexts, find, questions_in
from personadual.modes import PERSONALIZED
from personadual.reward_fns.graders import PERSONAMEM

QUESTION, OPTIONS, RIGHT = "user_question_or_message", "all_options", "correct_answer"
CONTEXT, END = "shared_context_id", "end_index_in_shared_context"
ASKED = "Which of these replies suits me best?"
NO_CONTEXT, EMPTY_CONTEXT = "no such conversation", "empty conversation"

_SPEAKERS = {"user": "User: ", "assistant": "Assistant: ", "system": ""}
_TEXT_OR_END = re.compile(r"""[\s,]*(?:('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|\]\Z)""")
_LABEL = re.compile(r"\(([a-z])\)\s+")


@dataclass(frozen=True)
class Settings:
    """``characters`` of the conversation at most; null: all of it, as published."""

    characters: int | None = None

    def __post_init__(self) -> None:
        if self.characters is not None and self.characters < 1:
            raise ValueError(f"settings.characters: a number above 0 is needed, found {self.characters}")


class PersonaMem:
    about = About(
        name="personamem",
        licence="MIT",
        citation="Jiang et al., Know Me, Respond to Me, arXiv 2504.14225, 2025",
        homepage="https://github.com/bowen-upenn/PersonaMem",
        hub_id="bowen-upenn/PersonaMem-v1",
        test_split="32k",
    )

    def __init__(self, settings: Settings | None = None):
        self.settings = settings or Settings()
        self.contexts = SharedContexts()

    def with_settings(self, settings: Mapping[str, Any]) -> PersonaMem:
        """With ``Settings``. Raises ValueError."""
        return PersonaMem(read(Settings, settings, "settings"))

    def look_beside(self, input: str, split: str | None) -> str:
        """Find the conversations of ``input``, and its questions where it is a folder. Raises ValueError."""
        questions = questions_in(input, split)
        self.contexts = find(questions, split or self.about.test_split or "")
        return questions

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as a letter question with its own persona. Raises Rejected."""
        labels, options = labelled(get(row, OPTIONS))
        option_answers.check(options)
        right = text(row, RIGHT).strip("() ").lower()
        if right not in labels:
            raise Rejected(option_answers.NOT_AMONG, f"found {right!r:.50}", field=RIGHT, malformed=True)
        return Record(
            question_id=f"{PERSONAMEM}:{text(row, 'question_id')}",
            question=f"{text(row, QUESTION)}\n\n{ASKED}",
            answer=LETTERS[labels.index(right)],
            data_source=PERSONAMEM,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            options=options,
            persona=self.persona(row),
            condition=schema.PERSONAL,
            right_mode=PERSONALIZED.name,
            subject=text(row, "question_type", may_be_empty=True) if "question_type" in row else "",
            ability=PREFERENCE,
            where=where,
        )

    def persona(self, row: Mapping[str, Any]) -> str:
        """The conversation up to the row's end, as text."""
        end = as_text(get(row, END), END)
        if not (end.isascii() and end.isdigit() and len(end) < 10):
            raise Rejected(WRONG_KIND, f"a number is needed, found {end!r:.50}", field=END, malformed=True)
        messages = self.contexts.get(text(row, CONTEXT))
        if messages is None:
            raise Rejected(NO_CONTEXT, f"found {row[CONTEXT]!r:.80}", field=CONTEXT, malformed=True)
        told = transcript(messages[: int(end)], self.settings.characters)
        if not told:
            raise Rejected(EMPTY_CONTEXT, field=END)
        return told


def labelled(value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels ("a", ...) and texts of a list of "(a) ...", given as a list or as one written in Python or JSON.

    Raises:
        Rejected: malformed, as it is no such list.
    """
    if isinstance(value, str):
        value = _python_list(value)
    texts, _ = option_answers.from_value(value, OPTIONS)
    marks = [_LABEL.match(entry) for entry in texts]
    if not all(marks):
        raise Rejected(option_answers.UNREADABLE, f"found {texts!r:.200}", field=OPTIONS, malformed=True)
    found = [(mark[1], entry[mark.end() :]) for mark, entry in zip(marks, texts, strict=True) if mark]
    return tuple(label for label, _ in found), tuple(entry for _, entry in found)


def _python_list(written: str) -> list[str]:
    """The texts of a list written in Python or JSON; only its string literals are evaluated, one by one."""
    written = written.strip()
    texts: list[str] = []
    place = 1 if written.startswith("[") else len(written)
    try:
        while match := _TEXT_OR_END.match(written, place):
            if match[1] is None:
                return texts
            texts.append(str(ast.literal_eval(match[1])))
            place = match.end()
    except (ValueError, SyntaxError):
        pass
    raise Rejected(option_answers.UNREADABLE, f"found {written[:80]!r}", field=OPTIONS, malformed=True)


def transcript(messages: Sequence[Mapping[str, Any]], limit: int | None) -> str:
    """The messages with who said them, an empty line between two; within ``limit`` the first and the latest ones."""
    lines: list[str] = []
    described = False
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if not isinstance(content, str) or role not in _SPEAKERS:
            raise Rejected(WRONG_KIND, f"role and content are needed, found {message!r:.80}", field=CONTEXT)
        speaker = _SPEAKERS[role]
        if content := content.strip():
            described = described or (role == "system" and not lines)
            lines.append(content if content.startswith(speaker) else speaker + content)
    if limit is None:
        return "\n\n".join(lines)
    first = [lines.pop(0)[:limit]] if described else []
    left = limit - sum(map(len, first))
    latest: list[str] = []
    while lines and (left := left - len(lines[-1]) - 2) >= 0:
        latest.insert(0, lines.pop())
    return "\n\n".join(first + latest)
