"""DualGRPO in verl's asynchronous trainer, for real: rollouts of the next batch run while this one is learnt.

A third of the rollouts is free, so that groups of forced and free ones are trained on as well. Only ``colocate_async``:
verl's ``separate_async`` moves weights through NCCL, NIXL or Mooncake, which need a GPU. The contract tests hold what
the mixin relies on there.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from harness import read_jsonl, rl_command, running
from test_pipeline import rl_row
from tiny_model import build_tiny_model

from personadual import schema
from personadual.modes import INVALID_MODE, parse_mode

PROMPTS, ROLLOUTS, STEPS = 4, 6, 2
FREE_SESSIONS = (2, 5)


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
        f"algorithm.dual_grpo.free_share={1 / 3}",
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


def test_steps_are_learnt_from_forced_and_free_rollouts(work: Path) -> None:
    entries = read_jsonl(work / "metrics.jsonl")
    assert [entry["step"] for entry in entries] == list(range(1, STEPS + 1))
    for entry in entries:
        data = entry["data"]
        # A random model writes no tag: what is free is in no mode, and counted as that.
        shares = [data[f"dual_grpo/share_{name}/mean"] for name in ("general", "personalized", "invalid")]
        assert shares == pytest.approx([1 / 3] * 3)
        # Only forced rollouts say how probable a mode is.
        assert 0 < data["dual_grpo/prob_general/mean"] < 1
        assert data["training/rollout_probs_diff_mean"] < 1e-3


def test_every_forced_rollout_starts_with_its_own_sessions_prefix_and_no_free_one_does(work: Path) -> None:
    for step in range(1, STEPS + 1):
        rows = read_jsonl(work / "rollouts" / f"{step}.jsonl")
        assert len(rows) == PROMPTS * ROLLOUTS
        for row in rows:
            session = int(row["uid"].rsplit("_", 2)[1])
            expected = INVALID_MODE if session in FREE_SESSIONS else session % 3
            assert parse_mode(row["output"]).index == expected, row
