"""Columns of a generation row: one answer of one model to one test item under one asked mode, one JSON line each."""

from __future__ import annotations

from typing import Any, NamedTuple

from personadual.schema import (
    ACC,
    ASKED_MODE,
    CONDITION,
    CONDITIONS,
    DATA_SOURCE,
    DERIVED_CONDITIONS,
    FORMAT,
    GROUND_TRUTH,
    ITEM,
    PERSONA,
    QUESTION,
    QUESTION_ID,
    RIGHT_MODE,
    SCORE,
    SOURCE,
)

MODEL = "model"  # label of the model, as the report shows it
SEED = "seed"  # training seed of the model, to tell runs of one label apart
SAMPLE = "sample"  # 0 for the greedy answer, 1, 2, ... for sampled ones
TEMPERATURE = "temperature"  # of sampling; 0 for greedy decoding
BASE_ITEM = "base_item"  # derived items: the item of the test file that this one was made from
RESPONSE = "response"  # decoded answer, a forced prefix in front, special tokens dropped
MODE = "mode"  # name of the mode the response starts with, "invalid" for none
TAG_LOGPROB = "tag_logprob"  # forced rows: sum over the prefix tokens of log p(token | prompt, prefix so far)
DECIDING_LOGPROB = "deciding_logprob"  # forced rows: log p of the token at which the modes' prefixes part
N_TOKENS = "n_tokens"  # length of the response in tokens, forced prefix and end token included
TRUNCATED = "truncated"  # whether the length limit ended the response

ALL = "all"  # pseudo-condition: every item


class Field(NamedTuple):
    """A column: its name, the JSON types it may have, whether it may be null.

    ``added``: files from before this column have it not; their rows are read with ``default``.
    """

    name: str
    types: tuple[type, ...]
    nullable: bool = False
    added: bool = False
    default: Any = None


NUMBER = (int, float)
FIELDS = (
    Field(MODEL, (str,)),
    Field(SEED, (int,)),
    Field(ITEM, (int,)),
    Field(QUESTION_ID, (str,)),
    Field(DATA_SOURCE, (str,)),
    Field(SOURCE, (str,), nullable=True),
    Field(CONDITION, (str,)),
    Field(RIGHT_MODE, (str,), nullable=True),
    Field(ASKED_MODE, (str,)),
    Field(PERSONA, (str,)),
    Field(QUESTION, (str,)),
    Field(GROUND_TRUTH, (str,)),
    Field(RESPONSE, (str,)),
    Field(MODE, (str,)),
    Field(ACC, NUMBER),
    Field(FORMAT, NUMBER),
    Field(SCORE, NUMBER),
    Field(TAG_LOGPROB, NUMBER, nullable=True),
    Field(DECIDING_LOGPROB, NUMBER, nullable=True),
    Field(N_TOKENS, (int,)),
    Field(TRUNCATED, (bool,)),
    # Before there was sampling every answer was greedy.
    Field(SAMPLE, (int,), added=True, default=0),
    Field(TEMPERATURE, NUMBER, added=True, default=0.0),
    Field(BASE_ITEM, (int,), nullable=True, added=True),
)
ANSWER = (MODEL, SEED, ITEM, ASKED_MODE, SAMPLE)
"""What tells answers apart: no two rows have the same."""


def check_row(row: Any, where: str) -> dict[str, Any]:
    """``row`` in the order of ``FIELDS``, with the defaults of those added later.

    Raises:
        ValueError: naming ``where`` and the field, for a missing or unknown field, a wrong type, or half a character.
    """
    if not isinstance(row, dict):
        raise ValueError(f"{where}: a JSON object is needed, found {type(row).__name__}")
    known = {field.name for field in FIELDS}
    missing = [field.name for field in FIELDS if field.name not in row and not field.added]
    unknown = [name for name in row if name not in known]
    if missing or unknown:
        parts = [f"missing field(s) {', '.join(sorted(missing))}"] if missing else []
        parts += [f"unknown field(s) {', '.join(sorted(unknown))}"] if unknown else []
        raise ValueError(f"{where}: {'; '.join(parts)}")
    full = {field.name: row.get(field.name, field.default) for field in FIELDS}
    for field in FIELDS:
        value = full[field.name]
        if value is None and field.nullable:
            continue
        wrong_bool = isinstance(value, bool) and bool not in field.types
        if wrong_bool or not isinstance(value, field.types) or value != value:
            wanted = " or ".join(kind.__name__ for kind in field.types) + (" or null" if field.nullable else "")
            raise ValueError(f"{where}: field {field.name!r} must be {wanted}, found {value!r}")
        if isinstance(value, str) and not is_utf8(value):
            raise ValueError(f"{where}: field {field.name!r} has a lone surrogate, which is no text: {value!a}")
    return full


def is_utf8(text: str) -> bool:
    """Whether ``text`` can be written: a lone surrogate, half of a character, has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def in_order(conditions: Any) -> list[str]:
    """Conditions in the order of ``schema.CONDITIONS``, then the derived ones; others behind, by name."""
    found, known = set(conditions), (*CONDITIONS, *DERIVED_CONDITIONS)
    return [name for name in known if name in found] + sorted(found - set(known))
