"""The configuration: our settings, which trainer runs them, what the asynchronous ones ask for, and verl's part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from personadual import checks
from personadual.preflight.findings import ERROR, WARNING, Finding, judged, ok, refused
from personadual.preflight.setup import RL, Setup
from personadual.preflight.verl_checks import quiet, sft_findings, verdict, verl_findings
from personadual.preflight.workers import block_findings, platform_findings, rollout_worker_findings
from personadual.settings import BLOCK, DualGRPOSettings

OUR_TRAINERS = "dual_grpo_"
SEPARATE = "separate_async"
CUT_OFF, CUT_OFF_AT = ("low_var_kl", "k3"), 13.6
"""Kinds of verl's KL loss without a gradient where the reference is this many times as probable as the policy."""


def configuration_findings(setup: Setup) -> Iterator[Finding]:
    if setup.kind == RL:
        yield from _settings_findings(setup)
        yield from _trainer_findings(setup)
        yield from kl_findings(setup)
        yield from verl_findings(setup)
        if str(setup.get("trainer.v1.trainer_mode", "")).endswith(SEPARATE):
            yield from separate_async_findings(_separate_async(setup), registered_engines(), setup.dry_run)
        yield from rollout_worker_findings(setup)
    else:
        yield from sft_findings(setup)
    yield from block_findings(setup)
    yield from platform_findings(setup)


def _settings_findings(setup: Setup) -> Iterator[Finding]:
    try:
        settings = DualGRPOSettings.from_config(setup.get(BLOCK))
    except (ValueError, TypeError) as error:
        yield refused(BLOCK, error)
        return
    yield ok(BLOCK, ", ".join(f"{mode.name} {mode.tag}" for mode in settings.modes))
    for name, check in checks.TRAINER_CHECKS.items():
        yield verdict(name, lambda check=check: check(setup.config, settings))  # type: ignore[misc]


def _trainer_findings(setup: Setup) -> Iterator[Finding]:
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    yield from trainer_findings(
        bool(setup.get("trainer.use_v1", True)),
        str(setup.get("trainer.v1.trainer_mode", "sync")),
        sorted(TRAINER_REGISTRY),
        str(setup.get("algorithm.adv_estimator", "")),
        setup.settings.baseline,
    )


def trainer_findings(
    use_v1: bool, mode: str, registered: list[str], estimator: str, baseline: bool = False
) -> Iterator[Finding]:
    """Trainer and advantage estimator belong together; verl names neither when it fails inside Ray.

    ``baseline``: the configuration says that its estimator is meant to be another than ours.
    """
    ours = sorted(name for name in registered if name.startswith(OUR_TRAINERS))
    required = f"one of {', '.join(registered)}"
    yield judged(
        "trainer.v1.trainer_mode", mode in registered, required, mode, f"trainer.v1.trainer_mode={OUR_TRAINERS}sync"
    )
    is_ours, needed = mode.startswith(OUR_TRAINERS), estimator == "dual_grpo"
    if needed or is_ours:
        yield judged(
            "trainer.use_v1", use_v1, "true: the modes of rollouts come with verl's V1 trainers", use_v1, "use_v1=true"
        )
    if needed:
        yield judged(
            "trainer and estimator",
            is_ours,
            f"with algorithm.adv_estimator=dual_grpo one of {', '.join(ours)}",
            f"trainer.v1.trainer_mode={mode}",
            f"trainer.v1.trainer_mode={OUR_TRAINERS}{mode if OUR_TRAINERS + mode in ours else 'sync'}",
        )
        yield judged(
            f"{BLOCK}.baseline",
            not baseline,
            "false with algorithm.adv_estimator=dual_grpo: the arms for comparison bring an estimator of their own",
            baseline,
            "leave algorithm.adv_estimator to the arm, or take +arm=dual_grpo",
            WARNING,
        )
    elif is_ours:
        yield judged(
            "trainer and estimator",
            baseline,
            f"algorithm.adv_estimator=dual_grpo, or {BLOCK}.baseline=true where another is meant",
            f"{estimator}: modes are rolled out, their choice is not learnt by DualGRPO",
            f"algorithm.adv_estimator=dual_grpo; or, for a baseline, its arm (such as +arm=grpo_free), or "
            f"{BLOCK}.baseline=true",
            WARNING,
        )


def kl_findings(setup: Setup) -> Iterator[Finding]:
    """How far the KL term holds a forced mode. verl cuts low_var_kl off at 10 (core_algos.py, ``kl_penalty_forward``,
    0.9.1), which a sampled token hardly ever reaches and a forced tag does.
    """
    actor = "actor_rollout_ref.actor"
    kind = setup.get(f"{actor}.kl_loss_type")
    if setup.get(f"{actor}.use_kl_loss", False) and kind in CUT_OFF and setup.settings.free_share < 1:
        yield ok(
            f"{actor}.kl_loss_type",
            f"{kind}: holds a forced tag while it is more than 1/{CUT_OFF_AT:.1f} as probable as in the model that "
            f"training starts from, and not below that; {kind}+ holds it at any",
        )


def separate_async_findings(values: Mapping[str, Any], backends: list[str], dry_run: bool = False) -> Iterator[Finding]:
    """What verl asserts in a Ray actor (trainer_separate_async.py:54, 0.9.1), and an engine that can be imported.

    ``values``: train_batch, mini_batch, sync_step, rollout_nodes, rollout_gpus, backend. ``backends``: those whose
    module could be imported here; in a dry run the training may have others.
    """
    train, mini, step = values["train_batch"], values["mini_batch"], values["sync_step"]
    yield judged(
        "data.train_batch_size",
        train == mini * step,
        "trainer.v1.separate_async.parameter_sync_step × actor.ppo_mini_batch_size",
        f"{train}, not {step} × {mini}",
        f"data.train_batch_size={mini * step}, or actor_rollout_ref.actor.ppo_mini_batch_size={max(train // step, 1)}",
    )
    for name in ("nnodes", "n_gpus_per_node"):
        found = values["rollout_nodes" if name == "nnodes" else "rollout_gpus"]
        yield judged(
            f"actor_rollout_ref.rollout.{name}",
            found > 0,
            "above 0: GPUs for rollouts beside those for training",
            found,
            f"actor_rollout_ref.rollout.{name}=1 or more",
        )
    others = [name for name in backends if name != "naive"]
    key = "actor_rollout_ref.rollout.checkpoint_engine.backend"
    yield judged(
        key,
        values["backend"] != "naive",
        "an engine that carries weights between processes: nccl, nixl, mooncake, kimi_ckpt_engine or delta_sharded",
        values["backend"],
        f"{key}=nccl",
    )
    if values["backend"] != "naive":
        yield judged(
            "checkpoint engine",
            values["backend"] in others,
            f"one that can be imported here ({', '.join(others) or 'none can'})",
            values["backend"],
            "install what it needs (nccl and nixl: cupy), or take another",
            WARNING if dry_run else ERROR,
        )


def _separate_async(setup: Setup) -> dict[str, Any]:
    rollout = "actor_rollout_ref.rollout"
    return {
        "train_batch": setup.number("data.train_batch_size"),
        "mini_batch": setup.number("actor_rollout_ref.actor.ppo_mini_batch_size"),
        "sync_step": setup.number("trainer.v1.separate_async.parameter_sync_step", 1),
        "rollout_nodes": setup.number(f"{rollout}.nnodes"),
        "rollout_gpus": setup.number(f"{rollout}.n_gpus_per_node"),
        "backend": setup.get(f"{rollout}.checkpoint_engine.backend", "naive"),
    }


def registered_engines() -> list[str]:
    """Names of verl's checkpoint engines whose module could be imported."""
    with quiet():
        import verl.checkpoint_engine  # noqa: F401
        from verl.checkpoint_engine.base import CheckpointEngineRegistry

    return sorted(CheckpointEngineRegistry._registry)
