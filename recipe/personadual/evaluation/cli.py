"""Arguments of ``personadual eval`` (answers of models) and ``personadual report`` (tables of several)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from personadual.evaluation.evaluate import evaluate, say
from personadual.files import NO_SPACE


def add_eval_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="model folder (Hugging Face format), or LABEL=FOLDER; see --endpoint"
    )
    parser.add_argument("--data", type=Path, required=True, help="test parquet in verl's RL format")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for LABEL.jsonl of each model, or FILE.jsonl of a single one"
    )
    parser.add_argument(
        "--seed",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="training seed, one for all models or one each (0)",
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N items of each condition")
    parser.add_argument(
        "--derive", nargs="+", default=[], metavar="NAME", help="further items made of the file's: shuffled, orders"
    )
    parser.add_argument(
        "--max-tokens", type=_positive, default=1024, help="response length, forced prefix included (1024, the paper's)"
    )
    parser.add_argument("--samples", type=_count, default=0, metavar="N", help="sampled answers beside the greedy one")
    parser.add_argument("--temperature", type=_above_zero, default=1.0, help="of the sampled answers (1)")
    parser.add_argument("--top-p", type=_above_zero, default=1.0, help="of the sampled answers (1)")
    parser.add_argument("--free-only", action="store_true", help="force no mode; for servers that can't")
    parser.add_argument(
        "--modes", type=Path, help="YAML or JSON list of {name, tag}; default: the models' own, else the paper's two"
    )
    parser.add_argument(
        "--reward-kwargs", type=_json_object, default={}, metavar="JSON", help="training's, such as graders or profile"
    )
    parser.add_argument("--chat-template-kwargs", type=_json_object, default={}, metavar="JSON")
    engine = parser.add_argument_group("vLLM's offline engine")
    engine.add_argument(
        "--dtype", default="float32", help="float32 (default: exact mode probabilities), bfloat16, auto"
    )
    engine.add_argument("--tensor-parallel-size", type=_positive, default=1, help="GPUs that share one engine (1)")
    engine.add_argument("--data-parallel-size", type=_positive, default=1, help="engines that share the items (1)")
    engine.add_argument("--gpu-memory-utilization", type=float, help="share of GPU memory (default: vLLM's)")
    engine.add_argument("--enforce-eager", action="store_true", help="no CUDA graphs (always so on a CPU)")
    engine.add_argument(
        "--chunk-size", type=_positive, default=1024, help="answers an engine is given at a time (1024)"
    )
    server = parser.add_argument_group("a server instead: each MODEL is the name that it serves the model by")
    server.add_argument("--endpoint", metavar="URL", help="any server of OpenAI's API: http://localhost:8000/v1")
    server.add_argument("--tokenizer", help="the model's (folder or hub name): asks by token ids, exactly as training")
    server.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key")
    server.add_argument("--concurrency", type=_positive, default=16, help="requests at the same time (16)")
    server.add_argument("--timeout", type=_above_zero, default=600.0, help="seconds for one attempt of a request (600)")


def run_eval(args: argparse.Namespace) -> int:
    """``personadual eval``."""
    if not args.models:
        say("error: name a model to ask: MODEL or LABEL=MODEL")
        return 2
    return evaluate(args)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("generations", type=Path, nargs="+", help="JSONL files of eval; models are shown in this order")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.html, .md, .json and figures/")
    parser.add_argument("--title", default="PersonaDual evaluation")
    parser.add_argument("--training-log", type=Path, nargs="+", default=[], help="files of verl's file logger")
    parser.add_argument("--manifest", type=Path, help="manifest of the data, shown under settings")
    parser.add_argument("--run", dest="run_settings", type=Path, help="JSON object of timings and settings to show")
    parser.add_argument(
        "--curve", type=_panel, action="append", default=[], metavar="TITLE=PATTERN", help="curves instead of the usual"
    )
    from personadual.evaluation.options import add_statistics_arguments

    add_statistics_arguments(parser)


def run_report(args: argparse.Namespace) -> int:
    """``personadual report``: write the report and print its main tables.

    Returns 0, 2 for arguments and files that won't do, 1 for a report that could not be written.
    """
    from personadual.evaluation.options import statistics_from
    from personadual.evaluation.report import read_report, terminal_text, write_report

    extras = {"run": args.run_settings, "manifest": args.manifest}
    try:
        _check_out(args.out)
        report = read_report(
            args.generations,
            args.title,
            args.training_log,
            extras,
            args.curve,
            statistics=statistics_from(args),
        )
    except (ValueError, OSError, ModuleNotFoundError, RecursionError) as error:
        say(f"error: {error}")
        return 2
    try:
        path = write_report(report, args.out)
    except (ValueError, OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise  # the command line tells it, with what to do
        say(f"error: the report was not written: {error}")
        return 1
    print(terminal_text(report))
    say(f"report: {path}")
    return 0


def _check_out(out: Path) -> None:
    """Refuse what can't become a folder, before minutes are spent on the numbers. Makes nothing."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"--out {out}: a folder is needed, but {there} is a file; name another --out")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed, found {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"0 or more is needed, found {text}")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, found {text}")
    return value


def _json_object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"a JSON object is needed, found {text}")
    return found


def _panel(text: str) -> Any:
    from personadual.evaluation.curves import Panel

    title, separator, pattern = text.partition("=")
    if not separator or not title or not pattern:
        raise argparse.ArgumentTypeError(f"TITLE=PATTERN is needed, found {text!r}")
    return Panel(title, (pattern,))
