"""``personadual data build``: from a yaml file, a preset, or one source on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from personadual.data_prep import readers, sources
from personadual.data_prep.baseline import file_lacks_baseline
from personadual.data_prep.build import build, file_names
from personadual.data_prep.build_config import ALL, PRESETS, SFT_MODES, BuildConfig, preset
from personadual.data_prep.columns import SPLITS, TEST, TRAIN, VAL
from personadual.data_prep.config_reading import read, read_yaml
from personadual.data_prep.engine import ENGINES, LOCAL, default_workers
from personadual.data_prep.file_formats import format_of
from personadual.data_prep.pipeline.finishing import RL_FILES
from personadual.data_prep.pipeline.summary import table
from personadual.data_prep.validation.catalogue import CHECKS

SFT, RL, BOTH, EVAL = "sft", "rl", "both", "eval"
HALF = 0.5
"""Share of the training questions that SFT and RL get each under ``--task both``: no question is in both."""
_SPLIT_NAMES = ("train", "validation", "val", "dev", "test")

_EPILOG = """\
one source without a yaml file, half of its training questions for SFT and half for RL:
  personadual data build --source alignx --input alignx.jsonl --task both --out DIR
a set to evaluate on, every question of it:
  personadual data build --source medqa --input medqa.jsonl --task eval --personas persona.jsonl --out DIR
several, or anything beyond the defaults:
  personadual data build --preset paper --dry-run > build.yaml    (then edit)
  personadual data build --config build.yaml --out DIR
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE.yaml", help="what to build")
    what.add_argument("--preset", choices=PRESETS, help="what to build, as shipped")
    what.add_argument("--source", metavar="NAME", help="build one source, with defaults")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="file, folder or hub id of --source; with --config or --preset NAME=FILE takes the place of a source's",
    )
    parser.add_argument(
        "--local",
        type=Path,
        metavar="DIR",
        help="of --config or --preset only the sources with a file or folder of their name in DIR, read from there",
    )
    parser.add_argument("--mapping", type=Path, metavar="FILE.yaml", help="columns of --source generic")
    parser.add_argument("--task", choices=(SFT, RL, BOTH, EVAL), help="what --source is built for")
    parser.add_argument(
        "--sft-modes",
        choices=SFT_MODES,
        help=f"modes in which SFT shows an item: all, or the one known to be better ({ALL})",
    )
    parser.add_argument(
        "--personas",
        metavar="FILE",
        help="PersonaHub file: half of --source's questions get one; --task eval asks each with one and without",
    )
    parser.add_argument("--seed", type=int, help="seed of everything that is drawn (1)")
    parser.add_argument("--out", type=Path, help="folder for the parquet files, manifest.json and rejects.jsonl")
    parser.add_argument("--answers", type=Path, help="cache of the served model's answers (OUT-answers.jsonl)")
    parser.add_argument("--strict", action="store_true", help="stop at the first malformed row and write nothing")
    parser.add_argument("--engine", choices=ENGINES, default=LOCAL, help="where chunks run (%(default)s)")
    parser.add_argument("--workers", type=int, help="processes (all cores)")
    parser.add_argument("--dry-run", action="store_true", help="print the configuration and the plan, read nothing")


def run(args: argparse.Namespace) -> int:
    """Build and print a table. A refusal is one line on stderr and exit status 2; Ctrl-C is 130."""
    try:
        config = config_of(args)
        if args.dry_run:
            print(plan_text(config))
            return 0
        if args.out is None:
            raise ValueError("--out: a folder is needed (or --dry-run)")
        manifest = build(
            config,
            args.out,
            engine=args.engine,
            workers=default_workers() if args.workers is None else args.workers,
            strict=args.strict,
            answers=args.answers,
            progress=sys.stderr.isatty(),
        )
    except (ValueError, OSError) as error:
        print(f"personadual data build: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("personadual data build: interrupted, nothing written", file=sys.stderr)
        return 130
    print(table(manifest))
    if empty := [name for name in file_names(config) if name not in manifest["files"]]:
        print(f"not written, as no row fell to it: {', '.join(empty)}")
    test = args.out / RL_FILES[TEST]
    if test.name in manifest["files"] and file_lacks_baseline(test):
        check = CHECKS["no-baseline"]
        print(f"{test.name}: no {check.required}; {check.mend}")
    held = [
        f"{name} ({about['licence']})" for name, about in manifest["sources"].items() if not about["redistributable"]
    ]
    print(f"written to {args.out} (seed {config.seed}; see manifest.json)")
    if secret := [name for name, about in manifest["sources"].items() if about["private"]]:
        print(f"show no row of these in plain text, as their authors ask: {', '.join(secret)}")
    if held:
        print(f"look at the licence before handing these files on: {', '.join(held)}")
    return 0


def config_of(args: argparse.Namespace) -> BuildConfig:
    """The ``BuildConfig`` that the arguments ask for.

    Raises:
        ValueError: arguments that do not go together, or as ``config_reading``.
    """
    if args.source is None:
        for name in ("mapping", "task", "sft_modes", "personas"):
            if getattr(args, name) is not None:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} goes with --source; in a yaml file it has a key of its own")
        content = dict(read_yaml(args.config) if args.config else preset(args.preset))
        content = _with_inputs(content, [*_inputs_in(args.local, content), *args.input])
    else:
        if args.local is not None:
            raise ValueError("--local goes with --config or --preset; --source has --input")
        content = _of_one_source(args)
    if args.seed is not None:
        content["seed"] = args.seed
    return read(BuildConfig, content)


def _of_one_source(args: argparse.Namespace) -> dict[str, Any]:
    if args.task is None:
        raise ValueError(f"--task: {SFT}, {RL}, {BOTH} or {EVAL} is needed with --source")
    if len(args.input) > 1:
        raise ValueError("--input: one file, folder or hub id goes with --source; name several in a yaml file")
    source: dict[str, Any] = {"name": args.source, "input": args.input[0] if args.input else None}
    if args.mapping is not None:
        source["mapping"] = read_yaml(args.mapping)
    if args.sft_modes is not None and args.task not in (SFT, BOTH):
        raise ValueError(f"--sft-modes goes with --task {SFT} or {BOTH}, found --task {args.task}")
    content: dict[str, Any] = {"sources": [source]}
    share = {"share": HALF} if args.task == BOTH else {}
    if args.task in (SFT, BOTH):
        content[SFT] = {**share, **({"modes": args.sft_modes} if args.sft_modes else {})}
    if args.task != SFT:
        content[RL] = share
    if args.personas is not None:
        content["personas"] = {"input": args.personas}
    return to_evaluate(content) if args.task == EVAL else content


def to_evaluate(content: dict[str, Any]) -> dict[str, Any]:
    """``content`` with every question in the test split and under every condition that has a share.

    A source is read from its test split, on the hub or in a folder that has files of it.

    Raises:
        ValueError: a folder has files of other splits alone.
    """
    for entry in content["sources"]:
        if entry["name"] != sources.GENERIC:
            about = sources.question_source(entry["name"]).about
            place = entry.get("input")
            local = bool(place) and Path(place).expanduser().exists()
            if local or place == about.hub_id:
                entry |= {"split": about.test_split, "config": about.hub_config}
            if local:
                _read_from(entry, entry["name"], place)
    if content.get("personas"):
        content["personas"]["every_condition_in"] = [TEST]
    return {**content, "splits": {TRAIN: 0.0, VAL: 0.0, TEST: 1.0}}


def _inputs_in(folder: Path | None, content: dict[str, Any]) -> list[str]:
    """NAME=PATH for each source that ``folder`` has, and ``content`` without the others; nothing where it is None.

    A file or folder is a source's if its name up to the first dot is the source's.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise ValueError(f"--local {folder}: a folder is needed")
    names = [entry["name"] for entry in content["sources"]]
    personas = content.get("personas") or {}
    found = {path.name.split(".")[0]: path for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
    content["sources"] = [entry for entry in content["sources"] if entry["name"] in found]
    if not content["sources"]:
        raise ValueError(f"--local {folder}: there is none of {', '.join(names)} (a file NAME.jsonl, ... or a folder)")
    if personas and personas.get("source") not in found:
        content["personas"] = None
    kept = [name for name in (*names, personas.get("source")) if name in found]
    return [f"{name}={found[name]}" for name in kept]


def _with_inputs(content: dict[str, Any], inputs: list[str]) -> dict[str, Any]:
    entries = [*(content.get("sources") or []), *([content["personas"]] if content.get("personas") else [])]
    for setting in inputs:
        name, _, value = setting.partition("=")
        found = [entry for entry in entries if name and name in (entry.get("name"), entry.get("source"))]
        if not value or not found:
            known = ", ".join(str(entry.get("name") or entry.get("source")) for entry in entries)
            raise ValueError(f"--input {setting!r}: NAME=FILE with one of {known} is needed")
        for entry in found:
            _read_from(entry, name, value)
    return content


def _read_from(entry: dict[str, Any], name: str, value: str) -> None:
    """Set the input of ``entry``. Its split and configuration are the hub's; a folder may have them as well.

    Raises:
        ValueError: a folder has files of other splits alone.
    """
    path = Path(value).expanduser()
    config, split = entry.pop("config", None), entry.get("split")
    if config and path.is_dir():
        path = _part_called(config, path)
        value = str(path)
    entry["input"] = value
    if path.is_dir() and split:
        there = readers.splits_in(path, dict.fromkeys((*_SPLIT_NAMES, split)))
        if there and split not in there:
            raise ValueError(
                f"--input {name}={value}: {split!r} is the split to be read, but there are only files of "
                f"{', '.join(there)}; name a file, or give the source's split in a yaml file"
            )
        if not there:
            del entry["split"]
    elif path.exists() or any(sign in value for sign in "*?["):
        entry.pop("split", None)


def _part_called(config: str, folder: Path) -> Path:
    """The folder or file in ``folder`` with the name of a configuration, as the hub's sets have them; else itself."""
    called = [path for path in sorted(folder.iterdir()) if path.name.split(".")[0] == config]
    found = [path for path in called if path.is_dir() or format_of(path)]
    return found[0] if len(found) == 1 else folder


def plan_text(config: BuildConfig) -> str:
    """The whole configuration as yaml, which can be saved and edited, with the plan as its comments."""
    lines = []
    for entry in config.sources:
        about = sources.question_source(entry.name, entry.mapping, settings=entry.settings).about
        lines.append(f"{about.name}: {entry.input or 'no input'} ({about.licence})")
    if config.personas:
        shares = ", ".join(f"{share:g} {condition}" for condition, share in config.personas.shares.items())
        lines.append(f"personas: {shares}; from {config.personas.input or 'no input'}")
    shares = ", ".join(f"{share:g} {name}" for share, name in zip(config.splits.shares, SPLITS, strict=True))
    lines.append(f"splits: {shares}, by near-duplicate group")
    lines.append(f"files: {', '.join(file_names(config))}")
    lines.append(f"served model: {config.served['model'] if config.served else 'none is asked'}")
    plain = yaml.safe_dump(config.written_in_full(), sort_keys=False, allow_unicode=True)
    return "".join(f"# {line}\n" for line in lines) + plain.rstrip()
