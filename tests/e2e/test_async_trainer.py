"""DualGRPO in verl's asynchronous trainer, for real: rollouts of the next batch run while this one is learnt.

Only ``colocate_async``: verl's ``separate_async`` moves weights through NCCL, NIXL or Mooncake, which need a GPU. The
contract tests hold what the mixin relies on there.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from harness import read_jsonl, rl_command, running
from test_pipeline import rl_row
from tiny_model import build_tiny_model

from personadual import schema
from personadual.modes import parse_mode

PROMPTS, ROLLOUTS, STEPS = 4, 4, 2


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("async")
    build_tiny_model(folder / "model")
    pd.DataFrame([rl_row(index, schema.FREE) for index in range(32)]).to_parquet(folder / "train.parquet")
    pd.DataFrame([rl_row(0, schema.FREE)]).to_parquet(folder / "val.parquet")
    command = rl_command(
        folder / "model",
        folder / "train.parquet",
        folder / "val.parquet",
        folder,
        "trainer.v1.trainer_mode=dual_grpo_colocate_async",
        f"data.train_batch_size={PROMPTS}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        "data.max_prompt_length=64",
        "data.max_response_length=24",
        "trainer.save_freq=-1",
        "trainer.test_freq=-1",
        "trainer.val_before_train=False",
        f"trainer.total_training_steps={STEPS}",
    )
    with running(command, folder / "rl.log", {"VERL_FILE_LOGGER_PATH": str(folder / "metrics.jsonl")}) as run:
        assert run.wait(400) == 0, run.tail()
    return folder


def test_steps_are_learnt_with_balanced_modes(work: Path) -> None:
    entries = read_jsonl(work / "metrics.jsonl")
    assert [entry["step"] for entry in entries] == list(range(1, STEPS + 1))
    for entry in entries:
        data = entry["data"]
        assert data["dual_grpo/share_general/mean"] == data["dual_grpo/share_personalized/mean"] == 0.5
        assert data["dual_grpo/share_invalid/mean"] == 0


def test_every_rollout_starts_with_its_own_sessions_prefix(work: Path) -> None:
    for step in range(1, STEPS + 1):
        rows = read_jsonl(work / "rollouts" / f"{step}.jsonl")
        found = Counter((row["uid"].rsplit("_", 2)[0], parse_mode(row["output"]).index) for row in rows)
        assert len(found) == 2 * PROMPTS and set(found.values()) == {ROLLOUTS // 2}, found
        assert all(parse_mode(row["output"]).index == int(row["uid"].rsplit("_", 2)[1]) % 2 for row in rows)
