"""Batch sizes and the modes' shares: what verl divides by, and the nearest numbers that it can.

All against verl 0.9.1. In the V1 trainer a batch holds ``train_batch_size × n`` rollouts, padded with synthetic rows to
a multiple of the data-parallel size and of ``ppo_mini_batch_size × n`` (trainer_base.py:1589); a worker then cuts its
part into mini and micro batches (engine_workers.py:249, engine/utils.py, ``prepare_micro_batches``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from personadual.preflight.arithmetic import either, nearest_divisors, nearest_multiples, whole_shares_multiple
from personadual.preflight.findings import WARNING, Finding, judged
from personadual.preflight.parallel import Parallel, parallel_findings, parallel_of
from personadual.preflight.setup import RL, Setup
from personadual.settings import DualGRPOSettings

_ACTOR, _ROLLOUT, _REF = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.ref"


@dataclass(frozen=True)
class RLBatch:
    """Numbers of rollouts. ``micro`` and the log-prob sizes are per GPU, and read without dynamic batches only."""

    train: int
    n: int
    mini: int
    sync_steps: int = 1
    dynamic: bool = True
    micro: int | None = None
    rollout_log_prob: int | None = None
    ref_log_prob: int | None = None


def batch_findings(setup: Setup) -> Iterator[Finding]:
    if not setup.sharded:
        yield Finding("batches", WARNING, "not looked at: only FSDP's arithmetic is known here")
        return
    parallel = parallel_of(setup)
    yield from parallel_findings(parallel, setup.engine_key, setup.model.config)
    if setup.kind == RL:
        if setup.get("algorithm.adv_estimator") == "dual_grpo":
            yield from share_findings(setup.number(f"{_ROLLOUT}.n", 1), setup.settings)
        yield from rl_batch_findings(_rl_batch(setup), parallel)
    else:
        micro = setup.get("data.micro_batch_size_per_gpu")
        dynamic = bool(setup.get("data.use_dynamic_bsz", True))
        yield from sft_batch_findings(setup.number("data.train_batch_size"), None if dynamic else micro, parallel)


def share_findings(n: int, settings: DualGRPOSettings) -> Iterator[Finding]:
    """Whole numbers of rollouts per mode; else some prompts' groups lean to a mode."""
    shares = settings.rollout_shares()
    multiple = whole_shares_multiple(shares)
    parts = {name: n * share for name, share in zip((*settings.modes.names, "free"), shares, strict=True) if share}
    yield judged(
        f"{_ROLLOUT}.n",
        n % multiple == 0,
        f"a multiple of {multiple}: whole numbers of rollouts per mode and prompt",
        f"{n} (" + ", ".join(f"{part:.3g} {name}" for name, part in parts.items()) + ")",
        f"{_ROLLOUT}.n={either(nearest_multiples(n, multiple, least=2))}",
        WARNING,
    )
    fewest = min((int(part + 1e-9) for name, part in parts.items() if name != "free"), default=2)
    yield judged(
        "rollouts per mode",
        fewest >= 2,
        "two or more of each forced mode, to be compared with one another",
        fewest,
        f"{_ROLLOUT}.n={math.ceil(2 / min(share for share in shares[:-1] if share)) if any(shares[:-1]) else n}",
        WARNING,
    )


def rl_batch_findings(batch: RLBatch, parallel: Parallel) -> Iterator[Finding]:
    data, n, mini = parallel.data, batch.n, batch.mini
    mini_key = f"{_ACTOR}.ppo_mini_batch_size"
    sampled = batch.train // max(batch.sync_steps, 1)
    if n < 1 or mini < 1:
        required = "whole numbers above 0 for rollout.n and ppo_mini_batch_size"
        yield judged("rollouts", False, required, f"{n}, {mini}", f"{_ROLLOUT}.n=8 {mini_key}={max(sampled, 1)}")
        return
    yield judged(
        "parameter_sync_step",
        batch.train % max(batch.sync_steps, 1) == 0,
        f"a divisor of data.train_batch_size={batch.train}",
        batch.sync_steps,
        f"data.train_batch_size={either(nearest_multiples(batch.train, max(batch.sync_steps, 1)))}",
    )
    step = data // math.gcd(n, data)
    yield judged(
        mini_key,
        mini * n % data == 0,
        f"times rollout.n={n} a multiple of the {data} data-parallel processes",
        f"{mini} × {n} = {mini * n}",
        f"{mini_key}={either(nearest_multiples(mini, step))}",
    )
    fits = mini <= sampled
    yield judged(
        "mini batch",
        fits,
        f"{mini_key} of at most the {sampled} prompts of an update",
        mini,
        f"{mini_key}={either(nearest_multiples(sampled, step, most=sampled) or [sampled])}, or a larger "
        "data.train_batch_size",
    )
    if fits:
        whole = math.lcm(data, mini * n)
        padding = -(sampled * n) % whole
        prompts = whole // math.gcd(whole, n) * max(batch.sync_steps, 1)
        yield judged(
            "data.train_batch_size",
            padding == 0,
            f"times rollout.n={n} a multiple of {whole}; verl fills the rest with synthetic rows",
            f"{batch.train} × {n}" + (f", filled with {padding}" if padding else ""),
            f"data.train_batch_size={either(nearest_multiples(batch.train, prompts))}",
            WARNING,
        )
    if not batch.dynamic:
        yield from _static_findings(batch, parallel)


def _static_findings(batch: RLBatch, parallel: Parallel) -> Iterator[Finding]:
    """Sizes that only count where use_dynamic_bsz is off."""
    total = batch.train * batch.n
    yield judged(
        "data.train_batch_size",
        total % parallel.world == 0,
        f"times rollout.n={batch.n} a multiple of all {parallel.world} GPUs (validate_config)",
        f"{batch.train} × {batch.n} = {total}",
        "data.train_batch_size="
        + either(nearest_multiples(batch.train, parallel.world // math.gcd(batch.n, parallel.world))),
    )
    own = batch.mini * batch.n // parallel.data
    padded = -(-total // max(math.lcm(parallel.data, batch.mini * batch.n), 1))
    padded = padded * math.lcm(parallel.data, batch.mini * batch.n) // parallel.data
    for key, micro, rows in (
        (f"{_ACTOR}.ppo_micro_batch_size_per_gpu", batch.micro, own),
        (f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu", batch.rollout_log_prob, padded),
        (f"{_REF}.log_prob_micro_batch_size_per_gpu", batch.ref_log_prob, padded),
    ):
        if micro is None or rows < 1:
            continue  # verl's own validation asks for those that are missing
        yield judged(
            key,
            micro > 0 and rows % micro == 0,
            f"a divisor of the {rows} rows of a GPU",
            micro,
            f"{key}={either(nearest_divisors(micro, rows))}, or use_dynamic_bsz=True",
        )


def sft_batch_findings(train: int, micro: int | None, parallel: Parallel) -> Iterator[Finding]:
    """``micro`` is None with dynamic batches. verl floors ``train // data`` (sft_trainer.py:247), silently."""
    data = parallel.data
    yield judged(
        "data.train_batch_size",
        train >= data and train % data == 0,
        f"a multiple of the {data} data-parallel processes",
        train,
        f"data.train_batch_size={either(nearest_multiples(train, data, least=data))}",
    )
    own = train // data
    if micro is not None and own:
        yield judged(
            "data.micro_batch_size_per_gpu",
            micro > 0 and own % micro == 0,
            f"a divisor of the {own} rows of a GPU",
            micro,
            f"data.micro_batch_size_per_gpu={either(nearest_divisors(micro, own))}, or data.use_dynamic_bsz=True",
        )


def _rl_batch(setup: Setup) -> RLBatch:
    mode = str(setup.get("trainer.v1.trainer_mode", "sync")).removeprefix("dual_grpo_")
    dynamic = bool(setup.get(f"{_ACTOR}.use_dynamic_bsz", False))
    reference = setup.get(f"{_ACTOR}.use_kl_loss", False) or setup.get("algorithm.use_kl_in_reward", False)
    ref_micro = setup.get(f"{_REF}.log_prob_micro_batch_size_per_gpu")
    return RLBatch(
        train=setup.number("data.train_batch_size"),
        n=setup.number(f"{_ROLLOUT}.n", 1),
        mini=setup.number(f"{_ACTOR}.ppo_mini_batch_size"),
        sync_steps=setup.number(f"trainer.v1.{mode}.parameter_sync_step", 1),
        dynamic=dynamic,
        micro=setup.get(f"{_ACTOR}.ppo_micro_batch_size_per_gpu"),
        rollout_log_prob=setup.get(f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu"),
        ref_log_prob=ref_micro if reference else None,
    )
