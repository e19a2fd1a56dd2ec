"""``personadual check``: compose a training configuration as verl's trainer would, and check it, without Ray or a GPU.

Its arguments are those of ``verl.trainer.main_ppo``: ``personadual check --config-name dual_grpo_trainer a.b=c ...``.
The checks are the trainer's own (``personadual.checks``), run here before a machine is rented.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from personadual import checks
from personadual.modes import encode_prefixes
from personadual.settings import DualGRPOSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config-name", default="dual_grpo_trainer", help="primary config (default: %(default)s)")
    parser.add_argument("--config-module", default="personadual.config", help="package of it (default: %(default)s)")
    parser.add_argument("--print", action="store_true", help="print the resolved configuration")
    parser.add_argument(
        "--config-only", action="store_true", help="check the configuration alone, not the model's tokenizer or files"
    )
    parser.add_argument("overrides", nargs="*", help="hydra overrides, as for verl.trainer.main_ppo")


def compose(config_module: str, config_name: str, overrides: list[str]) -> Any:
    """The resolved configuration (DictConfig) that ``verl.trainer.main_ppo`` would get."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module

    with initialize_config_module(config_module=config_module, version_base=None):
        return hydra_compose(config_name=config_name, overrides=overrides)


def check(config: Any, config_only: bool = False) -> None:
    """Run the trainer's checks on a composed configuration.

    Raises:
        ValueError: with what was required, what was found and what to set.
    """
    settings = DualGRPOSettings.from_config(config.algorithm.get("dual_grpo"))
    checks.check_trainer_config(config, settings)
    if config_only:
        return
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(os.path.expanduser(config.actor_rollout_ref.model.path))
    checks.check_response_length(config, settings, encode_prefixes(tokenizer, settings.modes))
    checks.check_data_files(config, settings)


def run(args: argparse.Namespace) -> int:
    from omegaconf import OmegaConf

    config = compose(args.config_module, args.config_name, args.overrides)
    if args.print:
        print(OmegaConf.to_yaml(config, resolve=True))
    try:
        check(config, args.config_only)
    except (ValueError, OSError) as error:
        print(f"personadual check: {error}", file=sys.stderr)
        return 1
    print("personadual check: the configuration is sound", file=sys.stderr)
    return 0
