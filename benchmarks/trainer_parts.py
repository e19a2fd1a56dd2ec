"""The advantage stage of a step with everything around it: verl's reads from TransferQueue, ours, metrics, the write.

One trainer of each kind without its workers, on the same rows in a real TransferQueue. DualGRPO's includes what it does
after the old log-probs, where it reads its rows and gives forced prefixes the actor's log-probs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import ray
import torch
import transfer_queue as tq
from tensordict import NonTensorStack, TensorDict
from verl.trainer.ppo.v1 import PPOTrainerSync

from benchmarks.harness import Row, Seconds, in_turn, ratios
from benchmarks.scale import OWN, STAGE
from personadual import schema
from personadual.preflight.compose import compose
from personadual.settings import DualGRPOSettings
from personadual.trainer import DualGRPOTrainerSync

GROUP, PREFIX = 8, 6
ROWS, TOKENS = (512, 2048, 8192), (256, 1024, 8192)
OURS, STOCK = "dual_grpo", "verl grpo"
INTEGERS = ("response_mask", "responses")
LOG_PROBS = ("old_log_probs", "rollout_log_probs", "ref_log_prob")
PARTITION, CONFIG = "train", "personadual.config"


def fill(rows: int, tokens: int) -> Any:
    """``rows`` rollouts of a quarter to all of ``tokens`` in TransferQueue; their handle."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(tokens // 4, tokens + 1, (rows,), generator=generator).tolist()

    def nested(make: Any) -> torch.Tensor:
        return torch.nested.as_nested_tensor([make(length) for length in lengths], layout=torch.jagged)

    def last(length: int) -> torch.Tensor:
        values = torch.zeros(length)
        values[-1] = float(torch.rand((), generator=generator) < 0.5)
        return values

    modes = [row % 2 for row in range(rows)]
    told = {"prefix_len": PREFIX, "usual_tokens": True, "forced": True}
    fields = {
        "uid": [f"uid-{row // GROUP}" for row in range(rows)],
        "data_source": ["a" if row % 3 else "b" for row in range(rows)],
        "extra_fields": [{schema.ROLLOUT_FIELD: {"mode": m, **told}} for m in modes],
    }
    data = TensorDict(
        {
            **{name: nested(lambda length: torch.ones(length, dtype=torch.int64)) for name in INTEGERS},
            "rm_scores": nested(last),
            **{name: nested(lambda length: -torch.rand(length)) for name in LOG_PROBS},
            **{name: NonTensorStack(*values) for name, values in fields.items()},
        },
        batch_size=rows,
    )
    keys = [f"uid-{row // GROUP}_{row % GROUP}_0" for row in range(rows)]
    tags = [{"prompt_len": 100, "response_len": length} for length in lengths]
    return tq.kv_batch_put(keys=keys, partition_id=PARTITION, fields=data, tags=tags)


def trainer(kind: type, config: Any) -> Any:
    """A trainer that can compute advantages and nothing else."""
    made = object.__new__(kind)
    made.config, made.global_steps, made.parameter_sync_step = config, 1, 1
    made.dual_grpo = DualGRPOSettings.from_config(config.algorithm.dual_grpo)
    made.deciding_position = 1
    return made


def our_stage(made: DualGRPOTrainerSync, batch: Any) -> None:
    made._adopt_prefix_log_probs(batch, {})
    made._compute_advantage(batch, {})


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    ours = compose(CONFIG, "dual_grpo_trainer", ["+arm=dual_grpo"])
    stock = compose(CONFIG, "dual_grpo_trainer", ["algorithm.adv_estimator=grpo"])
    for config in (ours, stock):
        config.actor_rollout_ref.rollout.n = GROUP
    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=16, include_dashboard=False, _temp_dir=folder, log_to_driver=False)
        tq.init(ours.transfer_queue)
        try:
            for tokens in TOKENS[:1] if quick else TOKENS:
                for rows in ROWS[:1] if quick else ROWS:
                    batch = fill(rows, tokens)
                    calls = {
                        OURS: partial(our_stage, trainer(DualGRPOTrainerSync, ours), batch),
                        STOCK: partial(trainer(PPOTrainerSync, stock)._compute_advantage, batch, {}),
                    }
                    took = in_turn(calls, repeats)
                    work = f"{rows:,} rows of {tokens:,} tokens"
                    yield Row(STAGE, work, Seconds.of(took[OURS]), STOCK, ratios(took, OURS, STOCK))
                    took["more"] = [a - b for a, b in zip(took[OURS], took[STOCK], strict=True)]
                    yield Row(OWN, work, Seconds.of(took["more"]))
                    tq.kv_clear(keys=batch.keys, partition_id=PARTITION)
        finally:
            tq.close()
            ray.shutdown()
