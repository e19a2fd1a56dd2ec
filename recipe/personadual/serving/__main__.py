"""``python -m personadual.serving MODEL``: its modes, and whether a chat request forces each of them exactly."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from personadual.serving.configured import MODES_VARIABLE, RECORD, served_modes
from personadual.serving.prompts import chat_forcing


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m personadual.serving", description=__doc__)
    parser.add_argument("model", help="folder or hub name of a model with its tokenizer")
    parser.add_argument("--template", type=json.loads, default={}, help='as in {"enable_thinking": false}')
    args = parser.parse_args(argv)

    from transformers import AutoTokenizer

    modes = served_modes(args.model)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    gaps = chat_forcing(tokenizer, modes, **args.template)
    for mode in modes:
        print(f"{mode.name}  {mode.tag}  forced by a chat request: {gaps[mode.name] or 'exact'}")
    print(f"(modes: {MODES_VARIABLE}, else the model's {RECORD}, else the default)")
    if any(gaps.values()):
        print("Force these modes by token ids: ask(..., tokenizer=...), or forced_prompt_ids (docs/serving.md).")
    return int(any(gaps.values()))


if __name__ == "__main__":
    raise SystemExit(main())
