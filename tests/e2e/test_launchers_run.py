"""The launchers for real, on a tiny model: each is run as it stands, with a CPU's settings behind it, and once more.

The second run of the same command, with more to do, must take up the first one's checkpoint.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from harness import running
from test_pipeline import rl_row, sft_rows
from tiny_model import build_tiny_model

from personadual import schema

EXAMPLES = Path(__file__).parents[2] / "examples"
PROMPTS = 4
SFT_ON_CPU = ("+platform=cpu_sft", "data.train_batch_size=16", "data.max_length=256", "optim.lr=1e-2")
RL_ON_CPU = (
    *("+platform=cpu", f"data.train_batch_size={PROMPTS}", f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}"),
    *("actor_rollout_ref.rollout.n=4", "data.max_prompt_length=64", "data.max_response_length=40"),
    *("trainer.save_freq=1", "trainer.test_freq=-1", "trainer.val_before_train=False", "data.dataloader_num_workers=0"),
)


def launch(work: Path, log: str, script: str, *overrides: str, **environment: str) -> str:
    """The output of a launcher that is run in ``work`` and must end well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with running(["bash", str(EXAMPLES / script), *overrides], work / log, environment | {"PATH": path}) as run:
        assert run.wait(600) == 0, run.tail()
        return (work / log).read_text(errors="replace")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launchers")
    build_tiny_model(folder / "model")
    (folder / "data").mkdir()
    pd.DataFrame(sft_rows()).to_parquet(folder / "data/sft_train.parquet")
    pd.DataFrame([rl_row(index, schema.FREE) for index in range(16)]).to_parquet(folder / "data/rl_train.parquet")
    pd.DataFrame([rl_row(99, schema.FREE)]).to_parquet(folder / "data/rl_val.parquet")
    return folder


@pytest.fixture(scope="module")
def sft(work: Path) -> list[str]:
    """Two runs of the SFT launcher, to step 5 and to the end of its epoch; data and names are the launcher's own."""
    runs = []
    for steps in (5, 8):
        overrides = (*SFT_ON_CPU, f"trainer.total_training_steps={steps}")
        runs.append(
            launch(work, f"sft{steps}.log", "run_sft_qwen7b.sh", *overrides, MODEL=str(work / "model"), GPUS="1")
        )
    return runs


@pytest.fixture(scope="module")
def rl(work: Path, sft: list[str]) -> list[str]:
    """Two runs of the DualGRPO launcher, of one step and of two, from what the SFT launcher exported."""
    runs = []
    for steps, preflight in ((1, "1"), (2, "0")):
        overrides = (*RL_ON_CPU, f"trainer.total_training_steps={steps}")
        environment = {"GPUS": "1", "TP": "1", "PROBE": "2", "PREFLIGHT": preflight}
        runs.append(launch(work, f"rl{steps}.log", "run_dualgrpo_qwen7b.sh", *overrides, **environment))
    return runs


def steps_in(log: str, unit: str) -> list[int]:
    return sorted({int(step) for step in re.findall(rf"\b{unit}:(\d+) - ", log)})


def test_sft_is_taken_up_where_it_stopped(work: Path, sft: list[str]) -> None:
    steps = [steps_in(log, "step") for log in sft]
    assert steps == [[1, 2, 3, 4, 5], [6, 7, 8]]
    run = work / "checkpoints/personadual/sft_qwen7b"
    assert {folder.name for folder in run.glob("global_step_*")} == {"global_step_5", "global_step_8"}
    assert (run / "global_step_8/huggingface/model.safetensors").exists()


def test_dualgrpo_starts_from_sft_and_is_taken_up_where_it_stopped(work: Path, rl: list[str]) -> None:
    assert [steps_in(log, "step") for log in rl] == [[1], [2]]
    model = work / "checkpoints/personadual/sft_qwen7b/global_step_8/huggingface"
    assert str(model) in rl[0] and "global_step_1" in rl[1]
    run = work / "checkpoints/personadual/dualgrpo_qwen7b"
    assert (run / "latest_checkpointed_iteration.txt").read_text() == "2"
    assert (run / "global_step_2/actor/huggingface/model.safetensors").exists()
