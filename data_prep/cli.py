"""The ``data`` command: ``personadual data build``, ``validate``, ``inspect``, ``leaks``, ``handover`` and
``quickstart``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from personadual import schema
from personadual.data_prep.quickstart.build import build
from personadual.data_prep.quickstart.config import DEFAULT_RL_WEIGHTS, QuickstartConfig
from personadual.data_prep.quickstart.fact_templates import RELATIONS
from personadual.modes import Modes

QUICKSTART_HELP = "write the quickstart's data: real facts, generated profiles, no download"

_SIZES = {
    "seed": "seed of the splits, the profiles and the order",
    "sft_items": "SFT items (question and profile); each becomes one row per mode",
    "sft_val_items": "the same from the validation split",
    "sft_conflicting": "times SFT shows a fact under a conflicting profile, for once under each other condition",
    "rl_rounds": "rounds of the RL training mix; a round has as many prompts as the weights sum to",
    "val_items_per_condition": "RL validation items per condition; each becomes one free row and one per mode",
    "test_items_per_condition": "test items per condition",
    "min_population": "countries with fewer people are not asked about",
}


class Command(NamedTuple):
    """A subcommand: a module with ``add_arguments(parser)`` and ``run(args)``, loaded when it is asked for."""

    module: str
    text: str


COMMANDS = {
    "build": Command("personadual.data_prep.build_cli", "build verl's parquet files from question sources"),
    "validate": Command("personadual.data_prep.validate", "check a parquet file, from anybody, before training on it"),
    "inspect": Command(
        "personadual.data_prep.inspect_file", "counts, lengths and sample rows as the model will see them"
    ),
    "leaks": Command("personadual.data_prep.leaks", "questions that stand in benchmark files too"),
    "handover": Command("personadual.data_prep.handover.cli", "evaluation files as tasks of another harness (lm-eval)"),
}


class CommandParser(argparse.ArgumentParser):
    """The parser of a subcommand, which gets its arguments from the command's module once it has to parse some."""

    module = ""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        if self.module:
            module, self.module = import_module(self.module), ""
            module.add_arguments(self)
            self.set_defaults(run_data=module.run)
        return super().parse_known_args(args, namespace)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to the parser of ``personadual data``."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.text, description=command.text).module = command.module
    add_quickstart_arguments(commands.add_parser("quickstart", help=QUICKSTART_HELP, description=QUICKSTART_HELP))


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; its exit status."""
    return int(args.run_data(args) or 0)


def add_quickstart_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run_data=run_quickstart)
    parser.add_argument("--out", type=Path, required=True, help="folder for the parquet files and manifest.json")
    defaults = QuickstartConfig()
    for name, text in _SIZES.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, default=getattr(defaults, name), help=f"{text} (%(default)s)")
    parser.add_argument(
        "--rl-weight",
        metavar="CONDITION=N",
        action="append",
        default=[],
        help="prompts of a condition in a round of the training mix; may be given several times (default: "
        + " ".join(f"{condition}={weight}" for condition, weight in DEFAULT_RL_WEIGHTS.items())
        + ")",
    )
    parser.add_argument(
        "--sft-known-share",
        type=float,
        default=defaults.sft_known_share,
        metavar="SHARE",
        help="share of the facts of RL, validation and test that SFT shows as well (%(default)s)",
    )
    parser.add_argument(
        "--claims-by-knowledge",
        action="store_true",
        help="profiles claim what is false of facts that SFT shows and what is true of the others; needs that share",
    )
    parser.add_argument(
        "--doubtful-false-claims",
        action="store_true",
        help="profiles word false claims as a guess, hearsay or a joke, except in SFT; otherwise both are worded alike",
    )
    parser.add_argument(
        "--relations",
        nargs="+",
        default=defaults.relations,
        metavar="RELATION",
        help=f"what is asked about a country, of {', '.join(RELATIONS)} (default: {' '.join(defaults.relations)})",
    )
    parser.add_argument(
        "--reassign-modes",
        action="store_true",
        help="memorisation control: the right mode of a training prompt is drawn once for its question's wording",
    )
    parser.add_argument(
        "--modes", type=Path, help="yaml file with a list of {name, tag}; default: the paper's two modes"
    )


def run_quickstart(args: argparse.Namespace) -> int:
    """Build what the arguments say and print a table of it. A refusal is one line on stderr and exit status 2."""
    try:
        names = {field.name for field in fields(QuickstartConfig)}
        sizes = {name: value for name, value in vars(args).items() if name in names}
        sizes["relations"] = tuple(args.relations)
        config = QuickstartConfig(**sizes, rl_weights=read_weights(args.rl_weight))
        manifest = build(args.out, config, Modes.from_config(args.modes))
    except ValueError as error:
        print(f"personadual data quickstart: {error}", file=sys.stderr)
        return 2
    print(table(manifest))
    print(f"written to {args.out} (seed {config.seed}; see manifest.json)")
    return 0


def read_weights(settings: list[str]) -> dict[str, int]:
    weights = dict(DEFAULT_RL_WEIGHTS)
    for setting in settings:
        condition, _, number = setting.partition("=")
        if condition not in weights or not number.isdecimal():
            raise ValueError(f"--rl-weight {setting!r}: CONDITION=N with one of {', '.join(weights)} is needed")
        weights[condition] = int(number)
    return weights


def table(manifest: Mapping[str, Any]) -> str:
    """Rows per file and condition, as text."""
    lines = [f"{'file':<20}{'rows':>6}" + "".join(f"{condition:>13}" for condition in schema.CONDITIONS)]
    for name, entry in manifest["files"].items():
        cells = (sum(entry["counts"].get(condition, {}).values()) for condition in schema.CONDITIONS)
        lines.append(f"{name:<20}{entry['rows']:>6}" + "".join(f"{cell or '-':>13}" for cell in cells))
    return "\n".join(lines)
