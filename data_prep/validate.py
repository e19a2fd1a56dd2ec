"""``personadual data validate FILE...``: verl parquet from anybody, every row of it, before a training is paid for.

Exit status 0 where there is no error (warnings do not count), 1 where there is one, 2 where the arguments are wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from personadual.data_prep.validation.files import Options, Report, Validator
from personadual.data_prep.validation.show import as_json, as_text, has_errors
from personadual.modes import Modes
from personadual.reward_fns.graders import check_data_sources

HELP = "check verl parquet: columns, types, every row's grading, leaks, balance, token lengths"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="RL or SFT parquet, told by its columns")
    add_model_arguments(parser)
    parser.add_argument("--max-prompt-length", type=_positive, metavar="N", help="data.max_prompt_length, in tokens")
    parser.add_argument("--max-response-length", type=_positive, metavar="N", help="data.max_response_length")
    parser.add_argument(
        "--graders",
        action="append",
        default=[],
        metavar="SOURCE=GRADER",
        help="grader (objective or personalized) of a data source of your own; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that ``validate`` and ``inspect`` share."""
    parser.add_argument(
        "--tokenizer", type=Path, metavar="DIR", help="folder of the model, for its template and tokens"
    )
    parser.add_argument(
        "--chat-template-kwargs",
        type=json_object,
        default={},
        metavar="JSON",
        help="as data.apply_chat_template_kwargs in training, such as '{\"enable_thinking\": false}'",
    )
    parser.add_argument("--modes", type=Path, help="yaml file with a list of {name, tag}; default: the paper's two")


def run(args: argparse.Namespace) -> int:
    """Check the files, print what was found."""
    try:
        limits = args.max_prompt_length, args.max_response_length
        if any(limits) and args.tokenizer is None:
            raise ValueError("--max-prompt-length and --max-response-length count tokens; give --tokenizer DIR too")
        options = Options(
            Modes.from_config(args.modes),
            read_graders(args.graders),
            None if args.tokenizer is None else load_tokenizer(args.tokenizer),
            *limits,
            args.chat_template_kwargs,
        )
        validator = Validator(options)
    except ValueError as error:
        print(f"personadual data validate: {error}", file=sys.stderr)
        return 2
    report = validate(args.files, validator)
    print(json.dumps(as_json(report), indent=2, ensure_ascii=True) if args.json else as_text(report))
    return int(has_errors(report))


def validate(files: Iterable[Path], validator: Validator) -> Report:
    """What is in the files and what is wrong with them."""
    for path in files:
        validator.check(path)
    return validator.report()


def load_tokenizer(folder: Path) -> Any:
    """Tokenizer of a local folder; nothing is downloaded.

    Raises:
        ValueError: there is no such folder, or no tokenizer in it.
    """
    if not folder.is_dir():
        raise ValueError(f"--tokenizer {folder}: a local folder with a tokenizer is needed, found none")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers raises many kinds
        raise ValueError(f"--tokenizer {folder}: no tokenizer can be loaded from it ({error})") from error


def read_graders(settings: Iterable[str]) -> dict[str, str]:
    """SOURCE=GRADER arguments as ``compute_score`` takes them. A source's name may hold "="."""
    graders = {}
    for setting in settings:
        source, equals, grader = setting.rpartition("=")
        if not equals or not source:
            raise ValueError(f"--graders {setting!r}: SOURCE=GRADER is needed, such as my_set=objective")
        graders[source] = grader
    check_data_sources([], graders)
    return graders


def json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"a JSON object is needed, found {text!r}")
    return value


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, found {text!r}")
    return int(text)
