"""Columns of a generation row: one answer of one model to one test item under one asked mode, one JSON line each."""

from __future__ import annotations

from typing import Any, NamedTuple

from personadual.schema import (
    ACC,
    ASKED_MODE,
    CONDITION,
    CONDITIONS,
    DATA_SOURCE,
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
RESPONSE = "response"  # decoded answer, a forced prefix in front, special tokens dropped
MODE = "mode"  # name of the mode the response starts with, "invalid" for none
TAG_LOGPROB = "tag_logprob"  # forced rows: sum over the prefix tokens of log p(token | prompt, prefix so far)
DECIDING_LOGPROB = "deciding_logprob"  # forced rows: log p of the token at which the modes' prefixes part
N_TOKENS = "n_tokens"  # length of the response in tokens, forced prefix and end token included
TRUNCATED = "truncated"  # whether the length limit ended the response

ALL = "all"  # pseudo-condition: every item


class Field(NamedTuple):
    """A column: its name, the JSON types it may have, and whether it may be null."""

    name: str
    types: tuple[type, ...]
    nullable: bool = False


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
)


def check_row(row: Any, where: str) -> dict[str, Any]:
    """``row`` if it has exactly ``FIELDS`` with their types; ValueError naming ``where`` and the field otherwise."""
    if not isinstance(row, dict):
        raise ValueError(f"{where}: a JSON object is needed, found {type(row).__name__}")
    known = {field.name for field in FIELDS}
    missing, unknown = [name for name in known if name not in row], [name for name in row if name not in known]
    if missing or unknown:
        parts = [f"missing field(s) {', '.join(sorted(missing))}"] if missing else []
        parts += [f"unknown field(s) {', '.join(sorted(unknown))}"] if unknown else []
        raise ValueError(f"{where}: {'; '.join(parts)}")
    for field in FIELDS:
        value = row[field.name]
        if value is None and field.nullable:
            continue
        wrong_bool = isinstance(value, bool) and bool not in field.types
        if wrong_bool or not isinstance(value, field.types) or value != value:
            wanted = " or ".join(kind.__name__ for kind in field.types) + (" or null" if field.nullable else "")
            raise ValueError(f"{where}: field {field.name!r} must be {wanted}, found {value!r}")
    return row


def in_order(conditions: Any) -> list[str]:
    """Conditions in the order of ``schema.CONDITIONS``; unknown ones behind, by name."""
    found = set(conditions)
    return [name for name in CONDITIONS if name in found] + sorted(found - set(CONDITIONS))
