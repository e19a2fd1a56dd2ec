"""Whole RL steps on the real CPU stack: DualGRPO against verl's own trainer with GRPO, and what each step consists of.

Same model, prompts, number of rollouts and grader, and as many decoded tokens: with plain GRPO LENGTH of every
response, which no end token ends. A forced prefix counts in a response's length but is not decoded, so DualGRPO's
responses are longer by the longest prefix; in a mode with a shorter one a token or two more than LENGTH are decoded.
Its other passes (log-probs, update) go over the prefixes as well, which is a cost of the method. Generation and step
also stand per decoded token. Both trainers live at once and take a step in turn (``turns.py``), compared pair by pair;
twice, the other one first. In both, verl's replay buffer looks for finished rollouts often (``short_poll.py``). A step
is what lies between two reads of the training set: verl's own ``timing_s/step``, metrics and logging. A run's start is
timed while the other one is not there yet or stands still.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

import pandas as pd

from benchmarks.harness import Row, Seconds, ratios
from benchmarks.place import ROOT, SHORT_POLL, make_data, make_small_model
from benchmarks.turns import FREE_STEPS, asked_for, leave
from personadual.modes import encode_prefixes
from personadual.monitor.logs import read_training_log

PROMPTS, ROLLOUTS, LENGTH = 4, 4, 128
LAYERS = 10
"""Of the model's 30: two whole trainers don't fit into 24 GiB."""
WARM_UP = FREE_STEPS
"""First steps of a run, which load and compile."""
GOAL = 1.03
OURS, STOCK = "dual_grpo", "verl_grpo"
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
START = "start and first step of a run"
PARTS = (STEP, GENERATION, "old_log_prob", "ref", "adv", "update_actor", "update_weights")

TRAIN = (
    'set -euo pipefail; source examples/common.sh; OUT="$1" SEED=1; source examples/cpu_stages.sh; train_rl "${@:2}"'
)


def response_lengths(prefixes: Sequence[Sequence[int]]) -> dict[str, int]:
    """``max_response_length`` of each arm, forced ``prefixes`` included: with room for LENGTH decoded tokens."""
    return {OURS: LENGTH + max(map(len, prefixes)), STOCK: LENGTH}


def launch(arm: str, first: bool, length: int, steps: int, model: Path, data: Path, folder: Path) -> subprocess.Popen:
    """Train in processes of its own, with ``folder``/``arm`` for its files and a step in turn with the other arm."""
    other = next(name for name in ARMS if name != arm)
    place = folder / arm
    arguments = [
        *map(str, (place, model, data / "rl_train.parquet", data / "rl_val.parquet", place, PROMPTS, ROLLOUTS)),
        *ARMS[arm],
        f"data.max_response_length={length}",
        "actor_rollout_ref.rollout.ignore_eos=True",
        "actor_rollout_ref.rollout.max_model_len=256",
        # Two trainers share the memory: small batches of tokens.
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
        f"data.custom_cls.path={ROOT / 'benchmarks' / 'turns.py'}",
        "data.custom_cls.name=TakesTurns",
        f"+data.turns={{folder: '{folder}', me: {arm}, other: {other}, first: {first}}}",
        "data.dataloader_num_workers=0",
        f"trainer.total_training_steps={steps}",
        "trainer.save_freq=-1",
        "trainer.rollout_data_dir=null",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-c", TRAIN, "train", *arguments]
    with (folder / f"{arm}.log").open("w") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True
        )


def pair(
    order: Sequence[str], lengths: Mapping[str, int], steps: int, model: Path, data: Path, folder: Path
) -> dict[str, tuple[pd.DataFrame, float]]:
    """Of each arm the metrics of the steps that both took in turn, and its seconds up to the second step.

    Raises:
        RuntimeError: a run failed; the other one is ended.
    """
    folder.mkdir()
    running: dict[str, subprocess.Popen] = {}
    begun: dict[str, float] = {}
    waiting = list(order)
    try:
        while waiting or running:
            if waiting and all(asked_for(folder, arm) > WARM_UP for arm in running):
                arm = waiting.pop(0)
                begun[arm] = time.time()
                running[arm] = launch(arm, arm == order[0], lengths[arm], steps, model, data, folder)
            for arm in [arm for arm, run in running.items() if run.poll() is not None]:
                if running.pop(arm).returncode:
                    raise RuntimeError(f"{arm}: the run failed:\n{(folder / f'{arm}.log').read_text()[-3000:]}")
                leave(folder, arm)
            time.sleep(0.05)
    finally:
        for run in running.values():
            os.killpg(run.pid, signal.SIGTERM)
    return {arm: in_turn_steps(folder, arm, begun[arm]) for arm in order}


def in_turn_steps(folder: Path, arm: str, begun: float) -> tuple[pd.DataFrame, float]:
    """Metrics of the steps between warm-up and the last, at which the other arm may be gone; seconds of the start."""
    log = read_training_log(sorted((folder / arm).glob("metrics/*.jsonl")))
    asked = pd.read_json(folder / f"{arm}.jsonl", lines=True, convert_dates=False).set_index("step")
    log[f"timing_s/{STEP}"] = asked["asked"].shift(-1) - asked["asked"] - asked["waited"]
    return log.iloc[WARM_UP:-1], float(asked.loc[2, "asked"]) - begun


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    from transformers import AutoTokenizer

    rounds, turns = (2, 1) if quick else (2 * repeats, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder / "data")
        model = make_small_model(folder / "model", data, LAYERS)
        prefixes = encode_prefixes(AutoTokenizer.from_pretrained(model))
        lengths = response_lengths(prefixes)
        logs: dict[str, list[pd.DataFrame]] = {arm: [] for arm in ARMS}
        starts: dict[str, list[float]] = {arm: [] for arm in ARMS}
        for turn in range(turns):
            order = list(ARMS) if turn % 2 == 0 else [*reversed(ARMS)]
            # One step more than is counted: at its last one a trainer may be alone.
            found = pair(order, lengths, WARM_UP + rounds + 1, model, data, folder / str(turn))
            for arm, (log, start) in found.items():
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
