"""Whole RL steps on the real CPU stack: DualGRPO against verl's own trainer with GRPO, and what each step consists of.

Same model, prompts, number of rollouts and grader, and as many decoded tokens: with plain GRPO LENGTH of every
response, which no end token ends. A forced prefix counts in a response's length but is not decoded, so DualGRPO's
responses are longer by the longest prefix; in a mode with a shorter one a token or two more than LENGTH are decoded.
Its other passes (log-probs, update) go over the prefixes as well, which is a cost of the method. Generation and step
also stand per decoded token. The two train in turn, several times, each in fresh processes; the steps of a turn are
compared one by one. In both, verl's replay buffer looks for finished rollouts often (``short_poll.py``). What a run
takes beside the steps after its first, its start above all, is compared run by run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

import pandas as pd

from benchmarks.harness import Row, Seconds, ratios
from benchmarks.place import ROOT, SHORT_POLL, make_data, make_model
from personadual.modes import encode_prefixes
from personadual.monitor.logs import read_training_log

PROMPTS, ROLLOUTS, LENGTH = 8, 4, 32
WARM_UP = 2
"""First steps of a run, which load and compile."""
GOAL = 1.03
OURS, STOCK = "dual_grpo", "verl grpo"
ARMS = {
    OURS: ["+arm=dual_grpo", *SHORT_POLL],
    # verl's trainer and agent loop manager by their own names; only the reward function is ours.
    STOCK: [
        "algorithm.adv_estimator=grpo",
        "trainer.v1.trainer_mode=sync",
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
        *SHORT_POLL,
    ],
}
GENERATION, STEP = "gen", "step"
START = "start, first step and end of a run"
PARTS = (STEP, GENERATION, "old_log_prob", "ref", "adv", "update_actor", "update_weights")

TRAIN = (
    'set -euo pipefail; source examples/common.sh; OUT="$1" SEED=1; source examples/cpu_stages.sh; train_rl "${@:2}"'
)


def response_lengths(prefixes: Sequence[Sequence[int]]) -> dict[str, int]:
    """``max_response_length`` of each arm, forced ``prefixes`` included: with room for LENGTH decoded tokens."""
    return {OURS: LENGTH + max(map(len, prefixes)), STOCK: LENGTH}


def train(arm: str, length: int, steps: int, model: Path, data: Path, folder: Path) -> tuple[pd.DataFrame, float]:
    """Metrics by step of one run, and its seconds beside the steps after the first."""
    arguments = [
        *map(str, (folder, model, data / "rl_train.parquet", data / "rl_val.parquet", folder, PROMPTS, ROLLOUTS)),
        *ARMS[arm],
        f"data.max_response_length={length}",
        "actor_rollout_ref.rollout.ignore_eos=True",
        f"trainer.total_training_steps={steps}",
        "trainer.save_freq=-1",
        "trainer.rollout_data_dir=null",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-c", TRAIN, "train", *arguments]
    begun = time.perf_counter()
    with (folder.parent / f"{folder.name}.log").open("w") as log:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=log, stderr=log)
    if done.returncode:
        raise RuntimeError(f"{arm}: the run ended with {done.returncode}:\n{Path(log.name).read_text()[-3000:]}")
    took = time.perf_counter() - begun
    log_of_steps = read_training_log(sorted(folder.glob("metrics/*.jsonl")))
    return log_of_steps.iloc[WARM_UP:], took - log_of_steps[f"timing_s/{STEP}"].iloc[1:].sum()


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    from transformers import AutoTokenizer

    steps, turns = (5, 1) if quick else (WARM_UP + repeats, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, model = make_data(folder / "data"), make_model(folder / "model")
        prefixes = encode_prefixes(AutoTokenizer.from_pretrained(model))
        lengths = response_lengths(prefixes)
        logs: dict[str, list[pd.DataFrame]] = {arm: [] for arm in ARMS}
        starts: dict[str, list[float]] = {arm: [] for arm in ARMS}
        for turn in range(turns):
            for arm in ARMS if turn % 2 == 0 else reversed(ARMS):
                place = folder / f"{turn}_{arm.replace(' ', '_')}"
                log, start = train(arm, lengths[arm], steps, model, data, place)
                logs[arm].append(log)
                starts[arm].append(start)
    yield from compared({arm: pd.concat(found) for arm, found in logs.items()}, prefixes)
    yield Row(START, "fresh processes", Seconds.of(starts[OURS]), STOCK, ratios(starts, OURS, STOCK))


def compared(logs: Mapping[str, pd.DataFrame], prefixes: Sequence[Sequence[int]]) -> Iterator[Row]:
    """Rows out of each arm's metrics by step, equally many: seconds of each part, then per decoded token."""
    # Forced into each mode equally often: of the mean length the mean prefix was not decoded.
    given = {OURS: mean(map(len, prefixes)), STOCK: 0}
    decoded = {arm: logs[arm]["response_length/mean"] - given[arm] for arm in ARMS}
    each = " against ".join(f"{decoded[arm].mean():g}" for arm in (OURS, STOCK))
    work = f"{PROMPTS} prompts × {ROLLOUTS}, {each} decoded tokens"
    for part in PARTS:
        yield _row(part, work, {arm: logs[arm][f"timing_s/{part}"] for arm in ARMS}, GOAL if part == STEP else None)
    for part in (GENERATION, STEP):
        tokens = {arm: PROMPTS * ROLLOUTS * decoded[arm] for arm in ARMS}
        yield _row(f"{part} per decoded token", work, {a: logs[a][f"timing_s/{part}"] / tokens[a] for a in ARMS})


def _row(what: str, work: str, seconds: Mapping[str, pd.Series], goal: float | None = None) -> Row:
    took = {arm: [*found] for arm, found in seconds.items()}
    return Row(what, work, Seconds.of(took[OURS]), STOCK, ratios(took, OURS, STOCK), goal)
