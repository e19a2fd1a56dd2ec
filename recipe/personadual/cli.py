"""Console script ``personadual``. Each subcommand's module loads only when it is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from personadual.files import NO_SPACE


class Command(NamedTuple):
    """Where a subcommand lives: a module and its two functions."""

    module: str
    text: str
    add_arguments: str = "add_arguments"
    run: str = "run"


COMMANDS: dict[str, Command] = {
    "doctor": Command("personadual.doctor", "what is installed; with --config all that can go wrong before training"),
    "data": Command("personadual.data_prep.cli", "build SFT, RL and test data"),
    "eval": Command(
        "personadual.evaluation.cli", "answers of a model, free and in every mode", "add_eval_arguments", "run_eval"
    ),
    "report": Command(
        "personadual.evaluation.cli", "tables and figures from graded answers", "add_report_arguments", "run_report"
    ),
    "export": Command("personadual.export.cli", "a checkpoint as a checked Hugging Face folder with a model card"),
    "plot": Command("personadual.monitor.cli", "curves of training runs, and which failure signs they show"),
}


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Parser of all subcommands; only the asked one's own arguments are loaded."""
    parser = argparse.ArgumentParser(prog="personadual", description="PersonaDual for verl")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.text, description=command.text)
        if list(argv[:1]) == [name]:
            module = import_module(command.module)
            getattr(module, command.add_arguments)(subparser)
            subparser.set_defaults(run=getattr(module, command.run))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(argv).parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        print(f"error: {error.strerror}: make room and give the same command again", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
