"""``personadual doctor``: what is installed and registered; with ``--config NAME`` everything else that can go wrong.

    personadual doctor
    personadual doctor --config dual_grpo_trainer -- data.train_files=... actor_rollout_ref.model.path=...

The overrides are those of ``verl.trainer.main_ppo`` or ``verl.trainer.sft_trainer``. No Ray is started and no GPU is
needed. Exit status 0 where there is no error (warnings do not count), 1 where there is one, 2 where the arguments are
wrong or hydra can't compose the configuration. The checks: ``personadual.preflight``.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="NAME", help="primary config, such as dual_grpo_trainer or personadual_sft")
    parser.add_argument(
        "--config-module",
        metavar="PACKAGE",
        help="package of it (default: personadual.config; verl's: verl.trainer.config)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="GPUs, model or data that are not here are warnings; nothing is downloaded",
    )
    parser.add_argument("--print", action="store_true", help="print the resolved configuration; findings go to stderr")
    parser.add_argument("--json", action="store_true", help="machine-readable findings")
    parser.add_argument("--probe", type=_count, default=0, metavar="K", help="load the model, P(mode) over K prompts")
    parser.add_argument(
        "--gpu-memory-gib", type=float, default=80.0, metavar="GIB", help="of a GPU, where none is here (default: 80)"
    )
    parser.add_argument("--ray-address", metavar="ADDR", help="look at every node of this Ray cluster")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="hydra overrides, behind --")


def run(args: argparse.Namespace) -> int:
    """Run the checks and print what they found."""
    from personadual.preflight.compose import UsageError, compose
    from personadual.preflight.install import package_versions
    from personadual.preflight.runner import run_checks
    from personadual.preflight.setup import Setup
    from personadual.preflight.show import as_json, as_text, has_errors

    setup = None
    try:
        _check_usage(args)
        if args.config is not None:
            config = compose(args.config_module or "personadual.config", args.config, args.overrides)
            setup = Setup(config, args.dry_run, args.gpu_memory_gib, args.probe, args.ray_address)
    except UsageError as error:
        print(f"personadual doctor: {error}", file=sys.stderr)
        return 2
    if args.print and setup is not None:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(setup.config, resolve=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # verl warns of each engine that is not installed
        findings = list(run_checks(setup))
    packages = package_versions()
    text = json.dumps(as_json(findings, packages), indent=2) if args.json else as_text(findings, packages)
    print(text, file=sys.stderr if args.print else sys.stdout)
    return int(has_errors(findings))


def _check_usage(args: argparse.Namespace) -> None:
    """Everything but ``--json`` speaks of a configuration."""
    from personadual.preflight.compose import UsageError

    given = {
        "hydra overrides": args.overrides,
        "--config-module": args.config_module,
        "--dry-run": args.dry_run,
        "--print": args.print,
        "--probe": args.probe,
        "--ray-address": args.ray_address,
    }
    for name, value in given.items():
        if args.config is None and value:
            raise UsageError(f"{name}: only with --config NAME")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number is needed, found {text!r}")
    return int(text)
