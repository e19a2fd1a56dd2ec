"""What verl only finds out inside its workers: rewards, loggers, attention, the device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from personadual import checks
from personadual.preflight.findings import ERROR, WARNING, Finding, judged
from personadual.preflight.setup import RL, Setup
from personadual.preflight.verl_checks import verdict


def rollout_worker_findings(setup: Setup) -> Iterator[Finding]:
    """What verl asserts when a worker builds its model (engine_workers.py, init_model, 0.9.1), and what it imports."""
    from verl.utils.import_utils import load_class_from_fqn

    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    dynamic = setup.get(f"{actor}.use_dynamic_bsz"), setup.get(f"{rollout}.log_prob_use_dynamic_bsz")
    yield judged(
        f"{rollout}.log_prob_use_dynamic_bsz",
        dynamic[0] == dynamic[1],
        f"as {actor}.use_dynamic_bsz ({dynamic[0]})",
        dynamic[1],
        f"{rollout}.log_prob_use_dynamic_bsz={dynamic[0]}",
    )
    separate = str(setup.get("trainer.v1.trainer_mode", "")).endswith("separate_async")
    hybrid = setup.get("actor_rollout_ref.hybrid_engine", True)
    yield judged(
        "actor_rollout_ref.hybrid_engine",
        bool(hybrid) or separate,
        "true, but for separate_async: rollouts run on the training GPUs",
        hybrid,
        "actor_rollout_ref.hybrid_engine=True",
    )
    if any((setup.plain("custom_reward_function") or {}).get(name) for name in ("path", "name")):
        yield judged(
            "custom_reward_function",
            False,
            "reward.custom_reward_function; verl 0.9 no longer reads it at the top level",
            setup.get("custom_reward_function.path"),
            "put reward. before the key",
        )
    if setup.number(f"{setup.model_key}.lora_rank") and setup.get(f"{rollout}.layered_summon"):
        strategy = setup.get(f"{actor}.strategy")
        yield judged(
            f"{rollout}.layered_summon",
            strategy != "fsdp" or setup.world_size > 1,
            "FSDP2 on one GPU: of FSDP1, which does not shard there, verl can't collect the adapter "
            "(fsdp_utils.py, collect_lora_params)",
            f"{actor}.strategy={strategy}",
            f"{actor}.strategy=fsdp2 {actor}.fsdp_config.strategy=fsdp2, or {rollout}.layered_summon=False",
        )
    yield verdict("reward", lambda: _load_reward(setup))
    manager = setup.get(f"{rollout}.agent.agent_loop_manager_class")
    if manager:
        yield verdict(f"{rollout}.agent.agent_loop_manager_class", lambda: load_class_from_fqn(manager))


def _load_reward(setup: Setup) -> None:
    """The reward function or manager as verl's reward worker finds it, and our keywords as it reads them."""
    from verl.trainer.ppo.reward import get_custom_reward_fn, resolve_reward_manager_cls

    from personadual.reward_fns import read_settings

    resolve_reward_manager_cls(setup.config)
    get_custom_reward_fn(setup.config)
    if checks.uses_our_reward(setup.config):
        read_settings(**reward_kwargs(setup))


def reward_kwargs(setup: Setup) -> dict[str, Any]:
    """``reward.custom_reward_function.reward_kwargs`` as plain values."""
    return dict(setup.plain("reward.custom_reward_function.reward_kwargs") or {})


def block_findings(setup: Setup) -> Iterator[Finding]:
    """What both trainers read late: loggers after everything is loaded, attention when the model is."""
    from importlib.util import find_spec

    from verl.utils.import_utils import load_extern_object
    from verl.utils.tracking import Tracking

    custom = setup.plain("data.custom_cls") or {}
    if custom.get("path"):
        yield verdict("data.custom_cls", lambda: load_extern_object(custom["path"], custom["name"]))
    loggers = setup.plain("trainer.logger") or []
    for name in [loggers] if isinstance(loggers, str) else loggers:
        known = name in Tracking.supported_backend
        module = {"console": None, "file": None, "vemlp_wandb": "volcengine_ml_platform"}.get(name, name)
        installed = module is None or find_spec(module) is not None
        yield judged(
            "trainer.logger",
            known and installed,
            "an installed one of " + ", ".join(Tracking.supported_backend),
            f"{name!r}, which verl does not know" if not known else name if installed else f"{name}, not installed",
            f"pip install {module}, or trainer.logger=[console]" if known else "trainer.logger=[console]",
            WARNING if known and setup.dry_run else ERROR,
        )
    attention = setup.get(f"{setup.model_key}.override_config.attn_implementation", "flash_attention_2")
    if attention == "flash_attention_2":
        found = [name for name in ("flash_attn", "kernels") if find_spec(name)]
        yield judged(
            "attention",
            bool(found),
            "flash-attn installed: verl asks for flash_attention_2 unless told otherwise",
            ", ".join(found) or "neither flash_attn nor kernels can be imported",
            f"pip install flash-attn, or +{setup.model_key}.override_config.attn_implementation=sdpa "
            f"{setup.model_key}.use_remove_padding=False",
            WARNING if setup.dry_run else ERROR,
        )


def platform_findings(setup: Setup) -> Iterator[Finding]:
    """``trainer.device`` against the platform that verl will choose, and what a CPU needs (docs/cpu.md)."""
    from personadual import cpu

    device, asked = setup.get("trainer.device", "cuda"), cpu.asked_for()
    overlay = "+platform=cpu" if setup.kind == RL else "+platform=cpu_sft"
    yield judged(
        "trainer.device",
        (device == "cpu") == asked,
        "cpu with VERL_PLATFORM=cpu, and only with it",
        f"{device}, VERL_PLATFORM={os.environ.get('VERL_PLATFORM', 'unset')}",
        f"{overlay} in place of the single settings" if asked else "VERL_PLATFORM=cpu, or trainer.device=cuda",
    )
    strategy = setup.get("actor_rollout_ref.actor.strategy" if setup.kind == RL else "engine.strategy")
    if asked:
        yield judged("strategy", strategy == "fsdp2", "fsdp2: FSDP1 does not run on a CPU", strategy, overlay)
