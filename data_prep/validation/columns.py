"""The columns that verl and the graders read, and their types: RLHFDataset, MultiTurnSFTDataset, ``compute_score``.

A field that is missing though needed, or has the wrong type, is one finding for the file; the rows are then checked
without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import types

from personadual import schema
from personadual.data_prep.columns import MODE
from personadual.data_prep.validation.findings import Problem

RL, SFT = "rl", "sft"

TypeTest = Callable[[pa.DataType], bool]


def is_text(data_type: pa.DataType) -> bool:
    if types.is_dictionary(data_type):
        data_type = data_type.value_type
    return types.is_string(data_type) or types.is_large_string(data_type) or types.is_string_view(data_type)


def is_list(data_type: pa.DataType) -> bool:
    return types.is_list(data_type) or types.is_large_list(data_type) or types.is_fixed_size_list(data_type)


def is_chat(data_type: pa.DataType) -> bool:
    """A list of structs with a role and a content, both texts; content in parts (images) is not gradable here."""
    if not is_list(data_type) or not types.is_struct(data_type.value_type):
        return False
    found = {part.name: part.type for part in data_type.value_type}
    return all(name in found and is_text(found[name]) for name in ("role", "content"))


def is_texts(data_type: pa.DataType) -> bool:
    # An empty list has no type of its own when pandas writes it.
    return is_list(data_type) and (is_text(data_type.value_type) or types.is_null(data_type.value_type))


def is_truth(data_type: pa.DataType) -> bool:
    return is_text(data_type) or types.is_integer(data_type) or types.is_floating(data_type)


@dataclass(frozen=True)
class Column:
    """A column or a field of one: its type as a test and in words; ``fields`` of a struct."""

    name: str
    fits: TypeTest
    words: str
    needed: bool = False
    fields: tuple[Column, ...] = field(default=())


def _text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, is_text, "text") for name in names)


_EXTRA_INFO = (
    Column(schema.INDEX, types.is_integer, "whole number", needed=True),
    Column(schema.ITEM, types.is_integer, "whole number"),
    Column(schema.OPTIONS, is_texts, "list of texts"),
    Column(schema.ACCEPT, is_texts, "list of texts"),
    *_text(schema.SPLIT, schema.QUESTION_ID, schema.CONDITION, schema.RIGHT_MODE, schema.ASKED_MODE, schema.PERSONA),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    RL: (
        Column(schema.PROMPT, is_chat, "list of {role: text, content: text}", needed=True),
        Column(schema.DATA_SOURCE, is_text, "text", needed=True),
        Column(
            schema.REWARD_MODEL,
            types.is_struct,
            "struct",
            needed=True,
            fields=(Column(schema.GROUND_TRUTH, is_truth, "text or number", needed=True),),
        ),
        Column(schema.EXTRA_INFO, types.is_struct, "struct", needed=True, fields=_EXTRA_INFO),
    ),
    SFT: (
        Column(schema.MESSAGES, is_chat, "list of {role: text, content: text}", needed=True),
        *_text(MODE, schema.CONDITION, schema.QUESTION_ID, schema.SPLIT),
    ),
}


def kind_of(file_schema: pa.Schema) -> str | None:
    """RL or SFT, by the columns that only one of them has."""
    names = set(file_schema.names)
    if schema.MESSAGES in names and schema.PROMPT not in names:
        return SFT
    if names & {schema.PROMPT, schema.REWARD_MODEL, schema.DATA_SOURCE}:
        return RL
    return None


@dataclass
class Usable:
    """Which columns and fields (None where the column is no struct) can be read, and what is wrong with the others."""

    columns: dict[str, set[str] | None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def usable_columns(file_schema: pa.Schema, kind: str) -> Usable:
    usable = Usable()
    for column in COLUMNS[kind]:
        place = file_schema.get_field_index(column.name)
        data_type = file_schema.field(place).type if place >= 0 else None
        if not _check(column, column.name, data_type, usable.problems):
            continue
        usable.columns[column.name] = None
        if data_type is not None and column.fields:
            inner = {part.name: part.type for part in data_type}
            usable.columns[column.name] = {
                part.name
                for part in column.fields
                if _check(part, f"{column.name}.{part.name}", inner.get(part.name), usable.problems)
            }
    return usable


def _check(column: Column, name: str, data_type: pa.DataType | None, problems: list[Problem]) -> bool:
    """Whether the column is there and fits. One of nulls only is as good as missing where it is not needed."""
    if data_type is None or (types.is_null(data_type) and not column.needed):
        if column.needed:
            problems.append(Problem("missing-column", "none of this name", name))
        return False
    if not column.fits(data_type):
        problems.append(Problem("wrong-type", f"{data_type}, not {column.words}", name))
        return False
    return True


def schema_differences(one: pa.Schema, other: pa.Schema) -> Iterator[str]:
    """Columns in which two files differ, in words."""
    for name in sorted(set(one.names) | set(other.names)):
        found = [str(each.field(name).type) if name in each.names else "missing" for each in (one, other)]
        if found[0] != found[1]:
            yield name
