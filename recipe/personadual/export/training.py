"""What is known of the training: the run's resolved hydra configuration, of which chosen keys reach the card.

Interpolations are followed by hand: OmegaConf's resolvers can read the environment, and a configuration is text that
others wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personadual.export import ExportError
from personadual.export.checkpoint import Checkpoint
from personadual.export.paths import last_part
from personadual.modes import DEFAULT_MODES, Modes

LARGEST_FILE = 5_000_000
LONGEST_VALUE = 2000
MOST_KEYS = 40
RL, SFT = "rl", "sft"
UNRESOLVED = object()
"""Value of a key that is absent, or whose interpolation cannot be followed."""

_REFERENCE = re.compile(r"\$\{(?:oc\.select:)?([A-Za-z0-9_.]{1,200})(?:,([^${}]{0,200}))?\}")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_KEYWORD = re.compile(r"[a-z_][a-z0-9_]{0,60}")
BLOCK = "algorithm.dual_grpo"
KEYS = {
    RL: (
        "algorithm.adv_estimator",
        "algorithm.norm_adv_by_std_in_grpo",
        "trainer.v1.trainer_mode",
        "trainer.total_training_steps",
        "trainer.total_epochs",
        "data.seed",
        "data.train_files",
        "data.train_batch_size",
        "data.max_prompt_length",
        "data.max_response_length",
        "actor_rollout_ref.actor.optim.lr",
        "actor_rollout_ref.actor.ppo_mini_batch_size",
        "actor_rollout_ref.actor.use_kl_loss",
        "actor_rollout_ref.actor.kl_loss_coef",
        "actor_rollout_ref.actor.kl_loss_type",
        "actor_rollout_ref.actor.entropy_coeff",
        "actor_rollout_ref.actor.fsdp_config.model_dtype",
        "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype",
        "actor_rollout_ref.rollout.name",
        "actor_rollout_ref.rollout.n",
        "actor_rollout_ref.rollout.temperature",
        "actor_rollout_ref.rollout.dtype",
        "reward.custom_reward_function.path",
        "reward.custom_reward_function.name",
        "reward.custom_reward_function.reward_kwargs.accuracy_weight",
        "reward.custom_reward_function.reward_kwargs.format_weight",
        "reward.custom_reward_function.reward_kwargs.profile",
    ),
    SFT: (
        "trainer.total_epochs",
        "trainer.total_training_steps",
        "trainer.seed",
        "data.train_files",
        "data.train_batch_size",
        "data.max_length",
        "optim.lr",
        "optim.lr_scheduler_type",
        "optim.lr_warmup_steps_ratio",
        "engine.model_dtype",
        "engine.mixed_precision.param_dtype",
    ),
}


@dataclass(frozen=True)
class Training:
    """What the card says of the training. ``kind`` is ``rl``, ``sft`` or None; ``values`` are scalars or lists."""

    kind: str | None
    values: dict[str, Any]
    base: str | None
    """The model that the run started from: a Hub id, or the last part of a path."""
    base_is_hub_id: bool
    modes: Modes
    modes_from: str
    template_kwargs: dict[str, Any]


def read_training(checkpoint: Checkpoint, config: Path | None, modes: Path | None, base: str | None) -> Training:
    """Training settings of ``checkpoint``'s run.

    Args:
        config: the resolved configuration; None looks beside the run.
        modes: file of modes; None takes the configuration's.
        base: Hub id of the base model; None takes the configuration's model path.

    Raises:
        ExportError: a file that was named is no such file, or the configured modes cannot be read.
    """
    path = config or find_config(checkpoint)
    found = read_yaml(path) if path else {}
    kind = (RL if "actor_rollout_ref" in found else SFT if "optim" in found else None) if path else None
    if path and kind is None:
        raise ExportError(f"{path}: neither verl's RL nor its SFT configuration (no actor_rollout_ref, no optim)")
    values = {key: lookup(found, key) for key in KEYS.get(kind or "", ())}
    block = lookup(found, BLOCK)
    if isinstance(block, dict):
        names = [key for key in block if key != "modes"][:MOST_KEYS]
        values |= {f"{BLOCK}.{name}": resolve(found, block[name]) for name in names}
    values = {key: value for key, value in values.items() if _showable(value)}
    where = "actor_rollout_ref.model.path" if kind == RL else "model.path"
    model, is_hub_id = _base_model(base, lookup(found, where), path)
    read_modes, modes_from = _modes(found, modes)
    return Training(kind, values, model, is_hub_id, read_modes, modes_from, template_kwargs(found))


def find_config(checkpoint: Checkpoint) -> Path | None:
    """``.hydra/config.yaml`` in the run's folder or the one above it, or in a ``hydra`` there (``hydra.run.dir``).

    One that writes its checkpoints elsewhere belongs to another run and is passed over.
    """
    for parent in (checkpoint.run, checkpoint.run.parent):
        for folder in (parent / "hydra", parent):
            path = folder / ".hydra" / "config.yaml"
            if path.is_file():
                target = lookup(read_yaml(path), "trainer.default_local_dir")
                if isinstance(target, str) and Path(target).name == checkpoint.run.name:
                    return path
    return None


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping that others wrote, read without tags.

    Raises:
        ExportError: unreadable, too large, or no mapping.
    """
    import yaml

    try:
        size = path.stat().st_size
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if size <= LARGEST_FILE else None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ExportError(f"{path}: cannot be read as YAML ({error})") from None
    if size > LARGEST_FILE:
        raise ExportError(f"{path}: {size} bytes; no configuration is larger than {LARGEST_FILE}")
    if not isinstance(found, dict):
        raise ExportError(f"{path}: a mapping is needed, found {type(found).__name__}")
    return found


def lookup(config: Mapping[str, Any], key: str, depth: int = 5) -> Any:
    """Value at the dotted ``key``, resolved (``resolve``); UNRESOLVED where there is none."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return UNRESOLVED
        value = value[part]
    return resolve(config, value, depth)


def resolve(config: Mapping[str, Any], value: Any, depth: int = 5) -> Any:
    """``value`` with interpolations of other keys followed at most ``depth`` deep, UNRESOLVED if any is left."""
    if not isinstance(value, str) or "${" not in value:
        return value
    if depth == 0 or len(value) > LONGEST_VALUE:
        return UNRESOLVED
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return _referred(config, whole, depth)
    parts = [_referred(config, found, depth) for found in _REFERENCE.finditer(value)]
    if not all(isinstance(part, bool | int | float | str) for part in parts):
        return UNRESOLVED
    replacements = iter(parts)
    resolved = _REFERENCE.sub(lambda _: str(next(replacements)), value)
    return resolved if len(resolved) <= LONGEST_VALUE and "${" not in resolved else UNRESOLVED


def _referred(config: Mapping[str, Any], found: re.Match[str], depth: int) -> Any:
    value = lookup(config, found[1], depth - 1)
    return found[2] if value is UNRESOLVED and found[2] is not None else value


def template_kwargs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of the chat template in training (``personadual.sft`` has the rules): switches, numbers and texts."""
    given = lookup(config, "data.apply_chat_template_kwargs")
    given = given if isinstance(given, dict) else {}
    kwargs = {
        key: value
        for key, value in given.items()
        if isinstance(key, str) and _KEYWORD.fullmatch(key) and isinstance(value, bool | int | float | str)
    }
    thinking = lookup(config, "data.enable_thinking_default")
    return {"enable_thinking": thinking, **kwargs} if isinstance(thinking, bool) else kwargs


def _base_model(given: str | None, configured: Any, config: Path | None) -> tuple[str | None, bool]:
    if given is not None:
        if not _HUB_ID.fullmatch(given):
            raise ExportError(f"--base-model {given!r}: a Hub id OWNER/NAME is needed")
        return given, True
    if not isinstance(configured, str) or not configured.strip("/"):
        return None, False
    # A relative path of two parts looks like a Hub id; one that is there, seen from here or from the run, is a path.
    roots = [Path.cwd(), *(config.resolve().parents if config else ())]
    if _HUB_ID.fullmatch(configured) and not any((root / configured).exists() for root in roots):
        return configured, True
    return last_part(configured), False


def _modes(config: Mapping[str, Any], given: Path | None) -> tuple[Modes, str]:
    """The modes, and where they come from: ``file``, ``config`` or ``default``."""
    try:
        if given is not None:
            return Modes.from_file(given), "file"
        for key in (f"{BLOCK}.modes", "data.modes"):
            value = lookup(config, key)
            if value is not UNRESOLVED:
                return Modes.from_config(value), "config"
    except (ValueError, TypeError, RecursionError) as error:
        raise ExportError(f"{error}. Give the modes of the training with --modes FILE") from None
    return DEFAULT_MODES, "default"


def _showable(value: Any) -> bool:
    scalar = bool | int | float | str
    if isinstance(value, list):
        return len(value) <= MOST_KEYS and all(isinstance(entry, scalar) for entry in value)
    return isinstance(value, scalar)
