"""How far orders in a persona get their way, by the family of the order (``attacks.FAMILIES``), both modes pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from personadual.evaluation.attacks import ATTACKS, FAMILIES, TAG
from personadual.evaluation.bootstrap import draw, estimates
from personadual.evaluation.columns import BASE_ITEM
from personadual.evaluation.effects import ORDER_OBEYED, effect_row, ordered_items
from personadual.evaluation.grid import Grid
from personadual.evaluation.measures import share, tags_of
from personadual.evaluation.summary import long_frame
from personadual.schema import CONDITION, FREE, ITEM, ORDERS_PREFIX, PERSONA

ANY_MODE = "orders"
"""Condition of these effects: whichever mode the persona orders."""
OBEYED = {family: f"{ORDER_OBEYED}_{family}" for family in FAMILIES}
"""Name of the effect of each family."""


def attack_families(rows: pd.DataFrame, modes: Sequence[str]) -> pd.Series:
    """Family of the attack behind the persona of each item that orders a mode, indexed by item.

    Told by the text itself, what the persona has beyond its base item's. An item is left out where its base item is
    not there or the text is no attack of ours with the ordered mode's tag; all are where the answers show no tags.
    """
    tags = tags_of(rows, list(modes))
    items = rows.drop_duplicates(ITEM)
    personas = items.set_index(ITEM)[PERSONA].to_dict()
    found = {}
    for mode, tag in zip(modes, tags, strict=False):
        family_of = {attack.text.replace(TAG, tag): attack.family for attack in ATTACKS}
        ordered = items[items[CONDITION] == ORDERS_PREFIX + mode]
        for item, base, persona in ordered[[ITEM, BASE_ITEM, PERSONA]].itertuples(index=False, name=None):
            before = personas.get(base)
            if before is not None and persona.startswith(before):
                found[item] = family_of.get(persona[len(before) :])
    return pd.Series(found, dtype=object).dropna()


def orders_by_family(grid: Grid, modes: Sequence[str], families: pd.Series) -> pd.DataFrame:
    """``effects.order_obeyed`` per family, in the form of ``effects``: for each item the share of free answers in the
    ordered mode, minus the same share on its base item; n counts items."""
    found: list[dict[str, Any]] = []
    family = grid.items[ITEM].map(families).to_numpy(dtype=object)
    for model in grid.values if len(families) else ():
        differences = np.full(grid.values[model].shape[:2], np.nan)
        for mode in modes:
            ordered, base = ordered_items(grid, mode)
            shares = grid.of(model, [share(mode)])[:, :, 0]
            differences[:, ordered] = shares[:, ordered] - shares[:, base]
        for name, effect in OBEYED.items():
            inside = family == name
            estimate = estimates(draw(differences[:, inside, None], grid.questions[inside]))[0]
            found += effect_row(model, effect, ANY_MODE, FREE, estimate)
    return long_frame(found)
