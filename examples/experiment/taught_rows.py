"""SFT rows of RL prompts: the tag of the right mode and nothing behind it, each prompt once.

What supervision can teach about the choice with the very prompts that RL sees, and so how much is there to be learnt.
With the answers behind the tags nothing came of it: the choice is one token of twenty, and the others' gradients are
what such a short run then follows.

    python examples/experiment/taught_rows.py --rl data/rl_train.parquet --out taught.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from personadual import schema
from personadual.data_prep.columns import MODE, SFT_SCHEMA, to_table, write_parquet
from personadual.modes import DEFAULT_MODES


def taught_row(row: dict[str, Any]) -> dict[str, Any] | None:
    """The SFT row of one RL row; None where neither mode is right."""
    extra = row[schema.EXTRA_INFO]
    if extra[schema.RIGHT_MODE] is None:
        return None
    mode = DEFAULT_MODES[DEFAULT_MODES.index_of(extra[schema.RIGHT_MODE])]
    return {
        schema.MESSAGES: [*row[schema.PROMPT], {"role": "assistant", "content": mode.tag}],
        schema.CONDITION: extra[schema.CONDITION],
        MODE: mode.name,
        schema.ITEM: extra[schema.ITEM],
        schema.QUESTION_ID: extra[schema.QUESTION_ID],
        schema.SPLIT: extra[schema.SPLIT],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rl", type=Path, required=True, help="the RL training file")
    parser.add_argument("--out", type=Path, required=True, help="the SFT file to write")
    args = parser.parse_args()
    rows = [row for row in map(taught_row, pq.read_table(args.rl).to_pylist()) if row is not None]
    if not rows:
        raise SystemExit(f"{args.rl}: no prompt has a right mode in {schema.EXTRA_INFO}.{schema.RIGHT_MODE}")
    write_parquet(args.out, to_table(rows, SFT_SCHEMA))
    print(f"{len(rows)} rows in {args.out}")


if __name__ == "__main__":
    main()
