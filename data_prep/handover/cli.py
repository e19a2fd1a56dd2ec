"""``personadual data handover FILE... --to lm-eval --out DIR``: RL files as tasks of another harness."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from personadual.data_prep.handover.lm_eval import MAX_TOKENS, NAME, write_tasks
from personadual.evaluation.data import read_items
from personadual.evaluation.text import visible
from personadual.modes import Modes
from personadual.reward_fns.graders import PRIVATE_SOURCES

LM_EVAL = "lm-eval"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="RL parquet: test.parquet, rl_val.parquet")
    parser.add_argument("--to", choices=(LM_EVAL,), required=True, help="the harness")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tasks")
    parser.add_argument(
        "--max-tokens", type=int, default=MAX_TOKENS, help="length of an answer behind a forced prefix (%(default)s)"
    )
    parser.add_argument("--modes", type=Path, help="YAML or JSON list of {name, tag}; default: the paper's two modes")
    parser.add_argument(
        "--graders",
        action="append",
        default=[],
        metavar="SOURCE=GRADER",
        help="objective or personalized, for a data source of your own; may be given several times",
    )


def run(args: argparse.Namespace) -> int:
    """Write the folder and say how to run it. A refusal is one line on stderr and exit status 2."""
    try:
        if args.max_tokens < 1:
            raise ValueError(f"--max-tokens: at least 1 is needed, found {args.max_tokens}")
        items = [item for path in args.files for item in read_items(path)]
        counts = write_tasks(
            args.out, items, Modes.from_config(args.modes), read_graders(args.graders), args.max_tokens
        )
    except (ValueError, OSError) as error:
        print(f"personadual data handover: {visible(str(error))}", file=sys.stderr)
        return 2
    for task, number in counts.items():
        print(f"{number:>8}  {task}")
    model = "--model hf --model_args pretrained=MODEL --apply_chat_template"
    print(f"lm_eval {model} --include_path {args.out} --tasks {NAME}")
    if secret := sorted({item.data_source for item in items} & PRIVATE_SOURCES):
        print(f"keep this folder to yourself and run without --log_samples: {', '.join(secret)} must not be shown")
    return 0


def read_graders(settings: list[str]) -> dict[str, str]:
    """SOURCE=GRADER settings. Raises ValueError for another form; the names are looked at where they are used."""
    graders = {}
    for setting in settings:
        source, separator, grader = setting.partition("=")
        if not source or not separator or not grader:
            raise ValueError(f"--graders {setting!r}: SOURCE=GRADER is needed")
        graders[source] = grader
    return graders
