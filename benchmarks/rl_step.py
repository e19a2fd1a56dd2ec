"""Whole RL steps on the real CPU stack: DualGRPO against verl's own trainer with GRPO, and what each step consists of.

Same model, prompts, number of rollouts, grader and lengths: every response has LENGTH tokens, because no end token ends
it. The two train in turn, several times, each in fresh processes; the steps of a turn are compared one by one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.harness import Row, Seconds, ratios
from benchmarks.place import ROOT, make_data, make_model
from personadual.monitor.logs import read_training_log

PROMPTS, ROLLOUTS, LENGTH = 8, 4, 32
WARM_UP = 2
"""First steps of a run, which load and compile."""
GOAL = 1.03
OURS, STOCK = "dual_grpo", "verl grpo"
ARMS = {
    OURS: ["+arm=dual_grpo"],
    # verl's trainer and agent loop manager by their own names; only the reward function is ours.
    STOCK: [
        "algorithm.adv_estimator=grpo",
        "trainer.v1.trainer_mode=sync",
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
    ],
}
PARTS = ("step", "gen", "old_log_prob", "ref", "adv", "update_actor", "update_weights")

TRAIN = (
    'set -euo pipefail; source examples/common.sh; OUT="$1" SEED=1; source examples/cpu_stages.sh; train_rl "${@:2}"'
)


def train(arm: str, steps: int, model: Path, data: Path, folder: Path) -> pd.DataFrame:
    """Metrics by step of one run."""
    arguments = [
        *map(str, (folder, model, data / "rl_train.parquet", data / "rl_val.parquet", folder, PROMPTS, ROLLOUTS)),
        *ARMS[arm],
        f"data.max_response_length={LENGTH}",
        "actor_rollout_ref.rollout.ignore_eos=True",
        f"trainer.total_training_steps={steps}",
        "trainer.save_freq=-1",
        "trainer.rollout_data_dir=null",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-c", TRAIN, "train", *arguments]
    with (folder.parent / f"{folder.name}.log").open("w") as log:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=log, stderr=log)
    if done.returncode:
        raise RuntimeError(f"{arm}: the run ended with {done.returncode}:\n{Path(log.name).read_text()[-3000:]}")
    return read_training_log(sorted(folder.glob("metrics/*.jsonl"))).iloc[WARM_UP:]


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    steps, turns = (5, 1) if quick else (WARM_UP + repeats, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, model = make_data(folder / "data"), make_model(folder / "model")
        logs: dict[str, list[pd.DataFrame]] = {arm: [] for arm in ARMS}
        for turn in range(turns):
            for arm in ARMS if turn % 2 == 0 else reversed(ARMS):
                logs[arm].append(train(arm, steps, model, data, folder / f"{turn}_{arm.replace(' ', '_')}"))
    ours, stock = (pd.concat(logs[arm]) for arm in (OURS, STOCK))
    work = f"{PROMPTS} prompts × {ROLLOUTS}, {LENGTH} tokens"
    for part in PARTS:
        took = {OURS: [*ours[f"timing_s/{part}"]], STOCK: [*stock[f"timing_s/{part}"]]}
        ratio = ratios(took, OURS, STOCK)
        yield Row(part, work, Seconds.of(took[OURS]), STOCK, ratio, GOAL if part == "step" else None)
