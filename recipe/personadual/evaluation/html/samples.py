"""Answers side by side: a few items of each condition, some on which the models differ and some on which they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from personadual.evaluation.columns import MODE, MODEL, RESPONSE, SAMPLE, SEED, TAG_LOGPROB, TRUNCATED, in_order
from personadual.evaluation.html.dots import mode_kind
from personadual.evaluation.html.words import Cut, cut
from personadual.evaluation.text import number
from personadual.schema import (
    ACC,
    ASKED_MODE,
    CONDITION,
    DATA_SOURCE,
    FREE,
    GROUND_TRUTH,
    ITEM,
    PERSONA,
    QUESTION,
    RIGHT_MODE,
)

PER_CONDITION, MOST_ANSWERS = 4, 1500  # items of a condition, answers on the page
FREE_CHARACTERS, FORCED_CHARACTERS, END_CHARACTERS = 700, 300, 200
PERSONA_CHARACTERS, QUESTION_CHARACTERS, TRUTH_CHARACTERS = 900, 1200, 400
RIGHT, WRONG, PARTLY = "right", "wrong", "partly right"


@dataclass(frozen=True)
class Answer:
    """One answer: how it was asked for, which mode it is in, and whether it is right."""

    asked: str
    mode: str
    kind: str  # look of the mode
    text: Cut
    verdict: str
    acc: str
    at_limit: bool


@dataclass(frozen=True)
class ModelAnswers:
    """What one model said to an item; None where it has not answered."""

    model: str
    free: Answer | None
    forced: Sequence[Answer]
    chances: str  # probability of each mode's tag, as text


@dataclass(frozen=True)
class Card:
    """An item with every model's answers. ``wrong``: numbers of the models whose free answer is not right."""

    item: int
    condition: str
    source: str
    right_mode: str
    persona: Cut
    question: Cut
    truth: Cut
    answers: Sequence[ModelAnswers]
    differ: bool
    wrong: Sequence[int]


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` of ``items``, evenly spaced, the first one among them."""
    if count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def sample_cards(rows: pd.DataFrame, modes: Sequence[str], per_condition: int = PER_CONDITION) -> list[Card]:
    """At most ``per_condition`` items of each condition, the same ones whenever the rows are the same.

    Half of them are items whose free answers differ between the models in mode or accuracy (with one model: that are
    not right), as far as there are any. Of a model with several seeds the first is shown, of several samples of an
    answer the greedy one, or the first.
    """
    models, conditions = list(pd.unique(rows[MODEL])), in_order(rows[CONDITION])
    first_seed = rows[SEED] == rows.groupby(MODEL, sort=False)[SEED].transform("first")
    rows = rows[first_seed].sort_values(SAMPLE, kind="stable").drop_duplicates([MODEL, ITEM, ASKED_MODE])
    per_item = len(models) * (1 + len(modes)) * len(conditions)
    chosen = _chosen(rows, max(1, min(per_condition, MOST_ANSWERS // per_item)))
    of_items = {item: part.to_dict("records") for item, part in rows[rows[ITEM].isin(chosen)].groupby(ITEM)}
    return [_card(of_items[item], models, modes) for item in chosen]


def _chosen(rows: pd.DataFrame, per_condition: int) -> list[int]:
    """The items to show, condition by condition."""
    single = rows[MODEL].nunique() == 1
    free = rows[rows[ASKED_MODE] == FREE]
    outcomes: dict[int, list[tuple[str, float]]] = {}
    for item, mode, right in zip(free[ITEM], free[MODE], free[ACC], strict=True):
        outcomes.setdefault(item, []).append((mode, right))
    items = rows.drop_duplicates(ITEM).sort_values(ITEM)
    chosen: list[int] = []
    for condition in in_order(rows[CONDITION]):
        apart: list[int] = []
        alike: list[int] = []
        for item in items[items[CONDITION] == condition][ITEM]:
            found = outcomes.get(item, [])
            differ = any(right < 1 for _, right in found) if single else len(set(found)) > 1
            (apart if differ else alike).append(item)
        some = spread(apart, max(per_condition - len(alike), (per_condition + 1) // 2))
        chosen += sorted(some + spread(alike, per_condition - len(some)))
    return chosen


def _card(rows: Sequence[Mapping[Any, Any]], models: Sequence[str], modes: Sequence[str]) -> Card:
    item, answers = rows[0], {(row[MODEL], row[ASKED_MODE]): row for row in rows}
    free = [answers.get((model, FREE)) for model in models]
    said = []
    for model, row in zip(models, free, strict=True):
        forced = [one for mode in modes if (one := answers.get((model, mode)))]
        said.append(
            ModelAnswers(
                model,
                _answer(row, modes, FREE_CHARACTERS) if row else None,
                [_answer(one, modes, FORCED_CHARACTERS) for one in forced],
                ", ".join(f"P({one[ASKED_MODE]}) {_chance(one)}" for one in forced),
            )
        )
    return Card(
        item[ITEM],
        item[CONDITION],
        item[DATA_SOURCE],
        item[RIGHT_MODE] if isinstance(item[RIGHT_MODE], str) else "",
        cut(item[PERSONA], PERSONA_CHARACTERS),
        cut(item[QUESTION], QUESTION_CHARACTERS),
        cut(item[GROUND_TRUTH], TRUTH_CHARACTERS),
        said,
        len({(row[MODE], row[ACC]) if row else None for row in free}) > 1,
        [index for index, row in enumerate(free) if row and row[ACC] < 1],
    )


def _chance(row: Mapping[Any, Any]) -> str:
    logprob = row[TAG_LOGPROB]
    return "–" if logprob is None or logprob != logprob else number(math.exp(logprob))


def _answer(row: Mapping[Any, Any], modes: Sequence[str], characters: int) -> Answer:
    verdict = RIGHT if row[ACC] >= 1 else WRONG if row[ACC] <= 0 else PARTLY
    text, kind = cut(row[RESPONSE], characters, END_CHARACTERS), mode_kind(row[MODE], modes)
    return Answer(row[ASKED_MODE], row[MODE], kind, text, verdict, number(row[ACC]), bool(row[TRUNCATED]))
