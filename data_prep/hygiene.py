"""Markers that must not stand inside a question or a persona: mode tags, answer blocks, chat-template tokens.

A mode tag or an ``<answer>`` block shown in the prompt teaches the model to copy it and confuses who reads the log; a
token such as ``<|im_end|>`` ends the user's turn. By rule such a marker is broken by a space behind its first
character ("[ General_mode]", "< |im_end|>"), which stays readable and parses as nothing, or the row is dropped.

Case and full-width forms make no difference ("＜answer＞" is found too). Other look-alikes are not searched for.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from personadual.data_prep.record import Record, Rejected
from personadual.modes import DEFAULT_MODES, Modes
from personadual.reward_fns.answer_block import CLOSE, OPEN

ESCAPE, DROP = "escape", "drop"

MARKER = "holds a mode tag, an answer block or a chat-template token"
NO_TEXT = "NUL or lone surrogate"

# Control tokens of chat templates: <|...|> (ChatML, Llama 3, Phi, with full-width bars DeepSeek) and those by name.
_TOKEN = r"<\|[^<>|\s]{1,64}\|>"
_NAMED = (
    ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>", "<bos>", "<eos>", "<pad>")
    + ("<start_of_turn>", "<end_of_turn>", "<think>", "</think>", "<tool_call>", "</tool_call>")
    + ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]")
)


@dataclass(frozen=True)
class Rules:
    """What is done with a marker, by field: "escape" or "drop".

    An open ``answer`` (and what else is accepted for it) is dropped by default: escaped, it would ask the model for
    the escaped text. The answer to a question with options is a letter, and its text goes by the rule of ``options``.
    """

    question: str = ESCAPE
    persona: str = ESCAPE
    options: str = ESCAPE
    answer: str = DROP

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) not in (ESCAPE, DROP):
                raise ValueError(
                    f"hygiene.{field.name}: {ESCAPE!r} or {DROP!r} is needed, found {getattr(self, field.name)!r}"
                )


class Hygiene:
    """The markers of ``modes`` and of chat templates, and the rules for them.

    Raises:
        ValueError: a mode tag of a single character, which no text could avoid and no space could break.
    """

    def __init__(self, modes: Modes = DEFAULT_MODES, rules: Rules | None = None):
        short = [mode.tag for mode in modes if len(mode.tag) < 2]
        if short:
            raise ValueError(f"modes: the tag {short[0]!r} is a single character and can't be told from text")
        self.rules = rules or Rules()
        literals = [_folded(text) for text in (*(mode.tag for mode in modes), OPEN, CLOSE, *_NAMED)]
        self._markers = re.compile("|".join([*map(re.escape, literals), _TOKEN]), re.IGNORECASE)

    def text(self, text: str, field: str) -> tuple[str, int]:
        """``text`` of ``field`` ("question", "persona", "options" or "answer") by its rule, and how many were escaped.

        Raises:
            Rejected: a marker in a field whose rule is "drop" (unfit), or a text that is none (malformed).
        """
        check_text(text, field)
        total = 0
        while places := [match.start() for match in self._markers.finditer(_folded(text))]:
            if getattr(self.rules, field) == DROP:
                raise Rejected(MARKER, f"found {text[places[0] : places[0] + 40]!r}", field=field)
            total += len(places)
            ends = [place + 1 for place in places]
            text = " ".join(text[start:end] for start, end in zip([0, *ends], [*ends, None], strict=True))
        return text, total

    def record(self, record: Record) -> tuple[Record, Counter[str]]:
        """The record with clean texts, and how many markers were escaped by field. Raises Rejected as ``text``."""
        for field in ("question_id", "subject", "source", "licence", "data_source", "ability"):
            check_text(getattr(record, field), field)
        counts: Counter[str] = Counter()
        clean: dict[str, str | tuple[str, ...]] = {}
        named = {"question": "question", "persona": "persona", "answer": "answer", "accept": "answer"}
        for name, field in {**named, "options": "options"}.items():
            value = getattr(record, name)
            if not value or (name == "answer" and record.options is not None):
                continue
            texts = [value] if isinstance(value, str) else value
            cleaned = [self.text(text, field) for text in texts]
            if found := sum(count for _, count in cleaned):
                counts[field] += found
                clean[name] = cleaned[0][0] if isinstance(value, str) else tuple(text for text, _ in cleaned)
        return (replace(record, **clean) if clean else record), counts  # type: ignore[arg-type]


def check_text(text: str, field: str) -> None:
    """Refuse what can't be written as UTF-8 or ends a text in C. Raises Rejected (malformed)."""
    if "\0" in text:
        raise Rejected(NO_TEXT, f"NUL at {text.index(chr(0))}", field=field, malformed=True)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Rejected(NO_TEXT, f"surrogate at {error.start}", field=field, malformed=True) from None


# Blocks with the forms of ASCII characters that NFKC makes one of them: superscripts, letterlike, enclosed, small,
# full-width, mathematical. Each is folded to one character, so that places in the text stay what they are.
_BLOCKS = (
    *((0xA0, 0x2FF), (0x1D00, 0x1FFF), (0x2000, 0x24FF), (0x2C7C, 0x2C7D), (0xFE50, 0xFE6F), (0xFF00, 0xFFEF)),
    *((0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF), (0x1FBF0, 0x1FBF9)),
)
_FORMS: Mapping[int, str] = {
    code: form
    for first, last in _BLOCKS
    for code in range(first, last + 1)
    if len(form := unicodedata.normalize("NFKC", chr(code))) == 1 and form.isascii() and not form.isspace()
}
# One range above U+FFFF, as the regular expression would try one character after the other there.
_HAS_FORM = re.compile(f"[{''.join(chr(code) for code in _FORMS if code <= 0xFFFF)}\U0001d400-\U0001fbf9]")


def _folded(text: str) -> str:
    return text if text.isascii() or not _HAS_FORM.search(text) else text.translate(_FORMS)
