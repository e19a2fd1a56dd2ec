"""Arguments of ``personadual eval`` (answers of one model) and ``personadual report`` (tables of several)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from personadual.evaluation.evaluate import evaluate, say


def add_eval_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="model folder (Hugging Face format)")
    parser.add_argument("--label", required=True, help="name of the model in tables and figures")
    parser.add_argument("--data", type=Path, required=True, help="test parquet")
    parser.add_argument("--out", type=Path, required=True, help="JSONL to write; an unfinished one is continued")
    parser.add_argument("--max-tokens", type=_positive, default=48, help="response length, forced prefix included (48)")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N items of each condition")
    parser.add_argument(
        "--dtype", default="float32", help="float32 (default: exact mode probabilities), bfloat16, auto"
    )
    parser.add_argument("--modes", type=Path, help="YAML or JSON list of {name, tag}; default: the paper's two modes")
    parser.add_argument("--seed", type=int, default=0, help="training seed of the model, recorded in each row (0)")
    parser.add_argument("--chat-template-kwargs", type=_json_object, default={}, metavar="JSON")
    parser.add_argument("--enforce-eager", action="store_true", help="no CUDA graphs (always so on a CPU)")
    parser.add_argument("--tensor-parallel-size", type=_positive, default=1)
    parser.add_argument("--gpu-memory-utilization", type=float, help="share of GPU memory (default: vLLM's)")
    parser.add_argument("--chunk-size", type=_positive, default=128, help="answers between two writes to --out (128)")


def run_eval(args: argparse.Namespace) -> int:
    """``personadual eval``."""
    return evaluate(args)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("generations", type=Path, nargs="+", help="JSONL files of eval; models are shown in this order")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.md, report.json and figures/")
    parser.add_argument("--title", default="PersonaDual evaluation")
    parser.add_argument("--training-log", type=Path, nargs="+", default=[], help="files of verl's file logger")
    parser.add_argument("--manifest", type=Path, help="manifest of the data, shown under settings")
    parser.add_argument("--run", dest="run_settings", type=Path, help="JSON object of timings and settings to show")
    parser.add_argument(
        "--curve", type=_panel, action="append", default=[], metavar="TITLE=PATTERN", help="curves instead of the usual"
    )


def run_report(args: argparse.Namespace) -> int:
    """``personadual report``: write the report and print its main tables."""
    from personadual.evaluation.report import read_report, terminal_text, write_report

    extras = {"run": args.run_settings, "manifest": args.manifest}
    try:
        report = read_report(args.generations, args.title, args.training_log, extras, args.curve)
    except (ValueError, OSError) as error:
        say(f"error: {error}")
        return 2
    path = write_report(report, args.out)
    print(terminal_text(report))
    say(f"report: {path}")
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed, found {text}")
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
