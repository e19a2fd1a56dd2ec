"""Console script ``personadual``. Each subcommand's module loads only when it is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple


class Command(NamedTuple):
    """Where a subcommand lives: a module and its two functions."""

    module: str
    text: str
    add_arguments: str = "add_arguments"
    run: str = "run"


COMMANDS: dict[tuple[str, ...], Command] = {
    ("doctor",): Command("personadual.doctor", "versions, what is registered with verl, tracebacks"),
    ("check",): Command("personadual.dry_run", "compose and check a training configuration without Ray or a GPU"),
    ("data", "quickstart"): Command("personadual.data_prep.cli", "build the quickstart's SFT, RL and test data"),
    ("eval",): Command(
        "personadual.evaluation.cli", "answers of a model, free and in every mode", "add_eval_arguments", "run_eval"
    ),
    ("report",): Command(
        "personadual.evaluation.cli", "tables and figures from graded answers", "add_report_arguments", "run_report"
    ),
}


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Parser of all subcommands; only the asked one's own arguments are loaded."""
    parser = argparse.ArgumentParser(prog="personadual", description="PersonaDual for verl")
    groups: dict[tuple[str, ...], Any] = {(): parser.add_subparsers(required=True, metavar="COMMAND")}
    for path, command in COMMANDS.items():
        for depth in range(1, len(path)):
            if path[:depth] not in groups:
                group = groups[path[: depth - 1]].add_parser(path[depth - 1], help=f"{path[depth - 1]} commands")
                groups[path[:depth]] = group.add_subparsers(required=True, metavar="COMMAND")
        subparser = groups[path[:-1]].add_parser(path[-1], help=command.text, description=command.text)
        if tuple(argv[: len(path)]) == path:
            module = import_module(command.module)
            getattr(module, command.add_arguments)(subparser)
            subparser.set_defaults(run=getattr(module, command.run))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(argv).parse_args(argv)
    return int(args.run(args) or 0)


if __name__ == "__main__":
    sys.exit(main())
