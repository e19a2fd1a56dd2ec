"""What the checks look at: the composed configuration, and the model's config and tokenizer, loaded once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from personadual.preflight.findings import Finding, judged, not_looked_at, ok, refused
from personadual.settings import DualGRPOSettings

if TYPE_CHECKING:
    from personadual.preflight.memory import ModelSize

RL, SFT = "rl", "sft"
RL_MODEL = "actor_rollout_ref.model"


@dataclass
class Setup:
    """A configuration and how it is looked at.

    Args:
        config: DictConfig of verl's PPO or SFT trainer.
        dry_run: what is not on this machine is a warning, and nothing is downloaded.
        gpu_memory_gib: memory of a GPU where none is at hand.
        probe: number of prompts for the probe; 0 for none.
        ray_address: of the cluster to look at; None for none.
    """

    config: Any
    dry_run: bool = False
    gpu_memory_gib: float = 80.0
    probe: int = 0
    ray_address: str | None = None

    @cached_property
    def kind(self) -> str:
        """RL or SFT, by the block that only RL's configuration has."""
        return RL if "actor_rollout_ref" in self.config else SFT

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a dotted key; ``default`` where it is missing or null."""
        from omegaconf import OmegaConf

        value = OmegaConf.select(self.config, key)
        return default if value is None else value

    def plain(self, key: str) -> Any:
        """The value of a dotted key as plain dicts and lists, resolved; None where it is missing."""
        from omegaconf import OmegaConf

        value = self.get(key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    def number(self, key: str, default: int = 0) -> int:
        return int(self.get(key, default))

    @property
    def model_key(self) -> str:
        return RL_MODEL if self.kind == RL else "model"

    @property
    def engine_key(self) -> str:
        """Block of the trained model's FSDP engine."""
        return "actor_rollout_ref.actor.fsdp_config" if self.kind == RL else "engine"

    @cached_property
    def settings(self) -> DualGRPOSettings:
        """DualGRPO's; the defaults where the configuration's can't be read, which is another check's finding."""
        block = dict(self.get("algorithm.dual_grpo") or {}) if self.kind == RL else {"modes": self.plain("data.modes")}
        try:
            return DualGRPOSettings.from_config(block)
        except (ValueError, TypeError):
            return DualGRPOSettings()

    @property
    def sharded(self) -> bool:
        """Whether the trained model is held by FSDP, whose arithmetic is known here."""
        key = "actor_rollout_ref.actor.strategy" if self.kind == RL else "engine.strategy"
        return str(self.get(key, "fsdp")) in ("fsdp", "fsdp2")

    @property
    def world_size(self) -> int:
        """Processes of the trained model, one per GPU."""
        return self.number("trainer.nnodes", 1) * self.number("trainer.n_gpus_per_node", 1)

    @property
    def sequence_parallel(self) -> int:
        """Ulysses size of the trained model; verl lets the actor's own key overrule its engine's."""
        actor = self.number("actor_rollout_ref.actor.ulysses_sequence_parallel_size", 1)
        return actor if actor > 1 else self.number(f"{self.engine_key}.ulysses_sequence_parallel_size", 1)

    def paths(self, key: str) -> list[str]:
        """``data.train_files`` or ``data.val_files`` as a list, "~" expanded."""
        names = self.plain(key)
        return [os.path.expanduser(name) for name in ([names] if isinstance(names, str) else names or [])]

    @cached_property
    def template_kwargs(self) -> dict[str, Any]:
        """Keywords of the chat template, as rollouts and SFT get them; {} where they can't be read."""
        if self.kind == RL:
            return dict(self.plain("data.apply_chat_template_kwargs") or {})
        from personadual.sft import template_kwargs

        try:
            return template_kwargs(self.plain("data"))
        except ValueError:
            return dict(self.plain("data.apply_chat_template_kwargs") or {})

    @cached_property
    def model(self) -> ModelFiles:
        """The model's config and tokenizer, loaded on first use."""
        block = self.plain(self.model_key) or {}
        return load_model_files(self.model_key, block, self.dry_run)

    @cached_property
    def model_size(self) -> ModelSize | None:
        """Sizes of the model, LoRA's adapters by the configuration's target modules; None without its config."""
        from personadual.preflight.memory import measure

        if self.model.config is None:
            return None
        return measure(self.model.config, self.plain(f"{self.model_key}.target_modules"))


@dataclass
class ModelFiles:
    """``folder`` is None for a hub id; ``config`` and ``tokenizer`` are None where they could not be had."""

    path: str
    folder: str | None = None
    config: Any = None
    tokenizer: Any = None
    findings: list[Finding] = field(default_factory=list)


def path_findings(key: str, path: str) -> Iterator[Finding]:
    """What verl can't take in a path, whatever lies there."""
    if path.startswith("~"):
        required = "a path without ~, which verl hands to transformers as it is"
        yield judged(f"{key}.path", False, required, path, f"{key}.path={os.path.expanduser(path)}")
    if path.endswith("/"):
        required = "no slash at the end (verl/utils/fs.py, copy_to_local)"
        yield judged(f"{key}.path", False, required, path, f"{key}.path={path.rstrip('/')}")


def is_hub_id(path: str) -> bool:
    """Whether a path that is no folder can be meant as a model of the hub: NAME or OWNER/NAME."""
    return not path.startswith(("/", ".", "~", "hdfs:")) and path.count("/") <= 1


def code_findings(key: str, block: dict[str, Any], config: Any, tokenizer: Any) -> Iterator[Finding]:
    """Code of the model's folder that verl's reward workers run with its tokenizer, whatever is set.

    They load it with ``trust_remote_code=True`` (verl/experimental/reward_loop/reward_loop.py:125, 0.9.1).
    """
    maps = (tokenizer.init_kwargs.get("auto_map"), getattr(config, "auto_map", None))
    named = [found for found in maps if found and (not isinstance(found, dict) or "AutoTokenizer" in found)]
    if named and not block.get("trust_remote_code"):
        required = "a tokenizer without code of its own, which verl's reward workers would run in any case"
        mend = f"take auto_map out of tokenizer_config.json, or set {key}.trust_remote_code=True if you trust that code"
        yield judged(f"{key}.trust_remote_code", False, required, f"auto_map names {named[0]}", mend)


def load_model_files(key: str, block: dict[str, Any], dry_run: bool) -> ModelFiles:
    """Config and tokenizer of verl's model block; weights are never read, and in a dry run nothing is downloaded."""
    path = str(block.get("path") or "")
    files = ModelFiles(path, findings=list(path_findings(key, path)))
    place = os.path.expanduser(path).rstrip("/") or path
    mend = f"set {key}.path to the model's folder, or to a hub id that is in the local cache"
    if os.path.isdir(place):
        files.folder = place
    elif not is_hub_id(path):
        files.findings.append(not_looked_at("model", f"{path!r} is no folder here", mend, dry_run))
        return files
    from huggingface_hub import constants
    from transformers import AutoConfig, AutoTokenizer

    local = dry_run or bool(constants.HF_HUB_OFFLINE) or files.folder is not None
    options = {"local_files_only": local, "trust_remote_code": bool(block.get("trust_remote_code"))}
    try:
        files.config = AutoConfig.from_pretrained(block.get("hf_config_path") or place, **options)
        files.tokenizer = AutoTokenizer.from_pretrained(block.get("tokenizer_path") or place, **options)
    except Exception as error:  # transformers raises many kinds
        if files.folder is not None:
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            refusal = refused("model", ValueError(f"{path}: its config or tokenizer can't be loaded ({text})"), mend)
            files.findings.append(refusal)
        else:
            places = "in the hub's local cache" if local else "that the hub gives out"
            found = f"{path!r} is no folder here, and no model {places}"
            files.findings.append(not_looked_at("model", found, mend, dry_run))
        return files
    if block.get("custom_chat_template"):
        files.tokenizer.chat_template = block["custom_chat_template"]
    if key == RL_MODEL:
        files.findings += code_findings(key, block, files.config, files.tokenizer)
    files.findings.append(ok("model", f"{path}: {files.config.model_type}"))
    return files
