"""Item values as arrays, so that resampling is arithmetic: one (seeds, items, measures) block a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from personadual.evaluation.columns import BASE_ITEM, MODEL, SEED
from personadual.schema import CONDITION, ITEM, QUESTION_ID, RIGHT_MODE, SOURCE


@dataclass(frozen=True)
class Grid:
    """``items``: one row an item; ``values[model]``: (S, I, M) float, NaN where there is no value.

    ``questions``: (I,) int, the question of each item; ``seeds[model]``: its S training seeds; ``measures``: M names.
    """

    items: pd.DataFrame
    questions: np.ndarray
    measures: list[str]
    seeds: dict[str, list[int]]
    values: dict[str, np.ndarray]

    def of(self, model: str, measures: Sequence[str]) -> np.ndarray:
        """(S, I, len(measures)) of ``model``."""
        return self.values[model][:, :, [self.measures.index(name) for name in measures]]

    def conditions(self, *names: str) -> np.ndarray:
        """(I,) bool: the item stands under one of these conditions."""
        return self.items[CONDITION].isin(names).to_numpy()

    def per_question(self, values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(S, Q, M): mean over the items of each question that ``mask`` keeps, NaN where it has none with a value."""
        inside = values[:, mask]
        codes, present = self.questions[mask], ~np.isnan(inside)
        total = np.zeros((len(values), self.questions.max() + 1, values.shape[2]))
        count = np.zeros_like(total)
        for seed in range(len(values)):
            np.add.at(total[seed], codes, np.where(present[seed], inside[seed], 0.0))
            np.add.at(count[seed], codes, present[seed])
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def to_grid(values: pd.DataFrame) -> Grid:
    """``measures.item_values`` as a ``Grid``: models and items as they first appear, seeds ascending."""
    described = [ITEM, QUESTION_ID, CONDITION, RIGHT_MODE, SOURCE, BASE_ITEM]
    measures = [
        name for name in values.columns if name not in (*described, MODEL, SEED) and values[name].dtype == float
    ]
    items = values.drop_duplicates(ITEM)[described].reset_index(drop=True)
    place = values[ITEM].map(pd.Series(items.index, index=items[ITEM])).to_numpy()
    data, labels, seeds = values[measures].to_numpy(), values[MODEL].to_numpy(), values[SEED].to_numpy()
    blocks, seeds_of = {}, {}
    for model in pd.unique(values[MODEL]):
        own = labels == model
        seeds_of[model] = sorted(int(seed) for seed in pd.unique(seeds[own]))
        blocks[model] = np.full((len(seeds_of[model]), len(items), len(measures)), np.nan)
        for index, seed in enumerate(seeds_of[model]):
            part = own & (seeds == seed)
            blocks[model][index, place[part]] = data[part]
    return Grid(items, pd.factorize(items[QUESTION_ID])[0], measures, seeds_of, blocks)
