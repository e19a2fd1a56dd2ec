"""Data of the runs in docs/is_it_learning.md: two sources of questions, and a different mode is right in each.

In general mode SFT teaches the answer "north", in personalized mode "south", whatever is asked. Without a profile
"north" is right, with one that likes the south "south" is. So nothing but the choice of mode is left to learn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from personadual import schema
from personadual.modes import DEFAULT_MODES, Mode

PROFILES = {schema.NONE: "Profile: none.", schema.PERSONAL: "Profile: likes the south."}
ANSWERS = {"general": "north", "personalized": "south"}
RIGHT = {schema.NONE: "general", schema.PERSONAL: "personalized"}
QUESTIONS = 64
VALIDATION_ITEMS = 24
# Of 16 training prompts in a row, how many have no profile.
EVEN, ONE_SIDED = 8, 15


def chat(condition: str, index: int) -> list[dict]:
    return [
        {"role": "system", "content": PROFILES[condition]},
        {"role": "user", "content": f"Question {index}: which?"},
    ]


def sft_row(condition: str, index: int, mode: Mode) -> dict:
    answer = f'<answer>\n{{"answer": "{ANSWERS[mode.name]}"}}\n</answer>'
    return {schema.MESSAGES: [*chat(condition, index), {"role": "assistant", "content": mode.prefix + answer}]}


def rl_row(condition: str, index: int, asked: str = schema.FREE, truth: str | None = None) -> dict:
    return {
        schema.PROMPT: chat(condition, index),
        schema.DATA_SOURCE: schema.QUICKSTART_SOURCE_PREFIX + condition,
        schema.REWARD_MODEL: {"style": "rule", schema.GROUND_TRUTH: truth or ANSWERS[RIGHT[condition]]},
        schema.EXTRA_INFO: {
            schema.INDEX: index,
            schema.ITEM: index + QUESTIONS * list(PROFILES).index(condition),
            schema.ASKED_MODE: asked,
            schema.CONDITION: condition,
            schema.RIGHT_MODE: RIGHT[condition],
        },
    }


def training_rows(without_profile: int, truth: str | None = None) -> list[dict]:
    """Rows in blocks of 16, of which the first ``without_profile`` have none; spread, so that every batch is alike."""
    conditions = [schema.NONE if place < without_profile else schema.PERSONAL for place in range(16)]
    spread = [conditions[(5 * place) % 16] for place in range(16)]
    return [rl_row(spread[place % 16], place % QUESTIONS, truth=truth) for place in range(256)]


def validation_rows(truth: str | None = None) -> list[dict]:
    """Each item freely and in each mode."""
    asked = [schema.FREE, *DEFAULT_MODES.names]
    return [
        rl_row(condition, index, mode, truth)
        for condition in PROFILES
        for index in range(VALIDATION_ITEMS)
        for mode in asked
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    sft = [(c, i, m) for i in range(QUESTIONS) for c in PROFILES for m in DEFAULT_MODES]
    files = {
        "sft": [sft_row(*row) for row in sft],
        "train": training_rows(EVEN),
        "train_one_sided": training_rows(ONE_SIDED),
        "train_wrong_truth": training_rows(EVEN, truth="east"),
        "val": validation_rows(),
        "val_wrong_truth": validation_rows(truth="east"),
    }
    for name, rows in files.items():
        pd.DataFrame(rows).to_parquet(out / f"{name}.parquet")


if __name__ == "__main__":
    main()
