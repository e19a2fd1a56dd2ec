"""A training run that is hurt and started again: what is done to it, when, and what its row of the table says."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from e2e.harness import TrainingRun, running
from faults.disk import enlarge, small_disk
from faults.judge import DISTANCE, Done, lost, unrecorded
from faults.scene import STEPS, Scene, exported, metrics_in, order_of, saved_step, updates_in

# What is killed: how the process calls itself.
VICTIMS = {
    "driver": "verl.trainer.main_ppo",
    "trainer": "ray::TaskRunner",
    "training worker": "ray::WorkerDict",
    "engine": "VLLM::EngineCore",
    "engine worker": "VLLM::Worker",
    "rollout worker": "ray::AgentLoopWorker",
    "reward worker": "ray::RewardLoopWorker",
}
INTERRUPTS = {"SIGINT once": 1, "SIGINT twice": 2}
GENERATION, UPDATE, CHECKPOINT = "while it generates", "while it updates", "while a checkpoint is written"
NO_SPACE = "disk full"
TRIES = 5
# Seconds for a run to end; for one to notice that a part of it is gone; for what it started to end with it.
TIMEOUT, NOTICED, SETTLED = 600, 60, 120
SHARED_MEMORY = "/dev/shm"
NOT_TRIED = "not tried: "
UNDISTURBED = "undisturbed"
TRAINING = (
    # Steps differ by more than rounding does, and the pull back to the start model stays small beside entropy's push:
    # every step begins farther from it (rewards of a random model push nowhere).
    "actor_rollout_ref.actor.optim.lr=2e-6",
    "actor_rollout_ref.actor.entropy_coeff=0.01",
    # Generation and update take long enough to be hit. The first stays below the two seconds after which verl looks.
    "data.max_response_length=160",
    "actor_rollout_ref.actor.ppo_epochs=5",
    # As the launchers save. It also takes longer, for a fault to fall into it.
    "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
)


def find(run: TrainingRun, name: str) -> psutil.Process | None:
    """The run's newest process that is called ``name``, and not a fork that has its name from it."""
    found: dict[int, tuple[psutil.Process, int]] = {}
    for process in run.processes():
        with suppress(psutil.Error):  # ended meanwhile
            if name in " ".join(process.cmdline())[:400]:
                found[process.pid] = process, process.ppid()
    first = [process for process, parent in found.values() if parent not in found]
    return max(first, key=psutil.Process.create_time, default=None)


def checkpoint_bytes(out: Path) -> int:
    """Size of a run's first checkpoint."""
    return sum(path.stat().st_size for path in (out / "checkpoints" / "global_step_1").rglob("*") if path.is_file())


def done_in(out: Path, log: Path) -> Done:
    saved = saved_step(out)
    return Done(metrics_in(log), saved, updates_in(out, saved), order_of(out), exported(out, saved))


def reference(scene: Scene, folder: Path) -> Done:
    """An undisturbed run, once."""
    out, log, steps = folder / UNDISTURBED, folder / f"{UNDISTURBED}.jsonl", list(range(1, STEPS + 1))
    if list(metrics_in(log)) != steps or sorted(order_of(out)) != steps:
        shutil.rmtree(out, ignore_errors=True)  # of a call that was stopped
        with running(scene.command(out, *TRAINING), folder / f"{UNDISTURBED}.log", _log_to(log)) as run:
            assert run.wait(TIMEOUT) == 0, run.tail()
    found = done_in(out, log)
    distances = [found.metrics[step][DISTANCE] for step in steps]
    assert distances == sorted(set(distances)), f"{DISTANCE} does not tell steps apart: {distances}"
    assert found.saved == STEPS and len(found.updates) == 1, f"checkpoint {found.saved}, updates {found.updates}"
    assert found.exported, "the undisturbed run's model does not hold its checkpoint's weights"
    return found


def _log_to(path: Path) -> dict[str, str]:
    return {"VERL_FILE_LOGGER_PATH": str(path)}


class TooLate(Exception):
    """What was to be hurt was over, or went on to its end."""


@dataclass(frozen=True)
class Moment:
    """When ``victim`` is hurt: ``wait`` seconds into ``step``, or into its checkpoint."""

    victim: str
    place: str
    step: int
    wait: float

    @classmethod
    def drawn(cls, name: str, undisturbed: Done, rng: random.Random) -> Moment:
        """Of the fault called ``name``, by the times of an undisturbed run."""
        victim, _, place = name.partition(", ")
        # The first step includes the start, and the victim is looked up in the second. What is gone after the last
        # generation is not missed.
        step = rng.randint(3, STEPS if place == GENERATION or victim == NO_SPACE else STEPS - 1)
        return cls(victim, place, step, rng.uniform(*window(undisturbed.metrics[step], place or GENERATION)))


def window(took: dict[str, float], place: str) -> tuple[float, float]:
    """Seconds of ``place`` within a step, from its beginning, or that of the checkpoint's folder for CHECKPOINT."""
    after = sum(took.get(f"timing_s/{part}", 0.0) for part in ("save_checkpoint", "update_weights"))
    update = took["timing_s/update_actor"]
    begun = took["timing_s/step"] - after - update
    return {
        GENERATION: (0.0, took["timing_s/gen"]),
        UPDATE: (begun, begun + update),
        CHECKPOINT: (0.0, took["timing_s/save_checkpoint"]),
    }[place]


def hurt_in(run: TrainingRun, moment: Moment, out: Path, log: Path) -> None:
    """Hurt ``run`` at ``moment``. Raises TooLate."""
    victim, step, at_checkpoint = moment.victim, moment.step, moment.place == CHECKPOINT
    run.wait_until(lambda: len(metrics_in(log)) >= step - 2, TIMEOUT)
    # Looked up a step before, which takes longer than the checkpoint of a tiny model.
    process = find(run, VICTIMS[victim]) if victim in VICTIMS else None
    run.wait_until(lambda: len(metrics_in(log)) >= step - 1, TIMEOUT, every=0.01)
    if at_checkpoint:
        run.wait_until((out / "checkpoints" / f"global_step_{step}").exists, TIMEOUT, every=0.001)
    time.sleep(moment.wait)
    if run.process.poll() is not None or (at_checkpoint and (saved_step(out) or 0) >= step):
        raise TooLate
    for _ in range(INTERRUPTS.get(victim, 0)):
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    if victim in VICTIMS:
        assert process is not None, f"no process of the run is called {VICTIMS[victim]}"
        try:
            process.kill()
        except psutil.NoSuchProcess:
            raise TooLate from None


def hurt(command: list[str], moment: Moment, out: Path, log: Path) -> tuple[TrainingRun, int | None]:
    """A run that was hurt and is over; its exit code, None where its driver had to be killed."""
    run = TrainingRun(command, log.with_suffix(".log"), _log_to(log))
    try:
        if moment.victim != NO_SPACE:
            hurt_in(run, moment, out, log)
        ended = run.exit_code(TIMEOUT if moment.victim == NO_SPACE else NOTICED)
        if ended is None:
            run.process.kill()
            run.process.wait()
    except BaseException:
        run.kill_all()
        raise
    return run, ended


def restarted(command: list[str], log: Path) -> tuple[TrainingRun, int | None]:
    """The same command, given again; its exit code, None where it had to be killed."""
    run = TrainingRun(command, log.with_suffix(".log"), _log_to(log))
    with ExitStack() as unless_ended:
        unless_ended.callback(run.kill_all)
        code = run.exit_code(TIMEOUT)
        if code is not None:
            unless_ended.pop_all()
    return run, code


Left = tuple[list[str], int]
"""Names of the processes that a run left behind, and seconds."""


def left_behind(run: TrainingRun, seconds: float) -> Left:
    """What of ``run`` is still there after ``seconds`` and is killed, ports with it; seconds until nothing was."""
    begun = time.monotonic()
    while True:
        names = []
        for process in run.processes():
            with suppress(psutil.Error):
                names.append(process.name())
        passed = time.monotonic() - begun
        if not names or passed > seconds:
            run.kill_all()
            return sorted(names), round(passed)
        time.sleep(1)


Watch = Callable[[TrainingRun], "Future[Left]"]
"""``left_behind`` of a run that has ended, looked for beside what is done next."""
Result = Callable[[], dict[str, Any]]
"""Waits for what was looked for beside, and tells a fault's row of the table."""


def one_fault(scene: Scene, folder: Path, name: str, undisturbed: Done, rng: random.Random, watch: Watch) -> Result:
    """Hurt a run, restart it, compare."""
    moment = Moment.drawn(name, undisturbed, rng)
    memory = set(os.listdir(SHARED_MEMORY))
    out, first, second = folder / "run", folder / "first.jsonl", folder / "second.jsonl"
    command = scene.command(out, *TRAINING)
    full = moment.victim == NO_SPACE
    told: dict[str, Any] = {
        "fault": name, "step": moment.step, "seconds into it": None if full else round(moment.wait, 2)
    }  # fmt: skip
    problems = []
    with ExitStack() as disks:
        if full:
            # Room for the checkpoints before this step's, and for a part of it.
            room = checkpoint_bytes(folder.parent / UNDISTURBED) * (moment.step - 1 + rng.uniform(0.1, 0.9))
            disks.enter_context(small_disk(out / "checkpoints", int(room)))
        run, ended = hurt(command, moment, out, first)
        shared = set(os.listdir(SHARED_MEMORY)) - memory
        of_first = watch(run)
        saved = saved_step(out)
        told |= {"ended by itself": ended, "saved": saved}
        if full:
            if ended == 0:
                problems.append("the disk did not run full")
            enlarge(out / "checkpoints", 2**30)
        elif ended == 0 and saved == STEPS:
            if moment.victim in INTERRUPTS or moment.step == STEPS:  # nothing may have needed it after that
                of_first.result()
                raise TooLate
            return partial(row, told, lost(0, ended, done_in(out, first), undisturbed), shared, of_first)
        run, restart = restarted(command, second)
        after = done_in(out, second)
    of_second = watch(run) if restart is not None else None
    told |= {"restart": restart, "continued at": min(after.metrics, default=None)}
    told["repeated steps"] = len(metrics_in(first).keys() & after.metrics.keys())
    told["unrecorded"] = saved if restart == 0 and unrecorded(saved, after) else None
    problems += lost(saved, restart, after, undisturbed)
    return partial(row, told, problems, shared, of_first, of_second)


def row(
    told: dict[str, Any],
    problems: list[str],
    shared: set[str],
    of_first: Future[Left],
    of_second: Future[Left] | None = None,
) -> dict[str, Any]:
    """``told`` with what the runs left behind, in processes and of ``shared`` memory, and all that was lost."""
    names, seconds = of_first.result()
    remains = {"left behind": names, "left behind by the restart": of_second.result()[0] if of_second else []}
    losses = [f"{what}: {', '.join(found)}" for what, found in remains.items() if found] + problems
    return told | {
        "seconds to be gone": seconds,
        "left behind": len(names),
        "files in shared memory": len(shared.intersection(os.listdir(SHARED_MEMORY))),
        "lost": "; ".join(losses) or "nothing",
    }


def tried(scene: Scene, folder: Path, name: str, undisturbed: Done, rng: random.Random, watch: Watch) -> Result:
    """``one_fault``, again at other moments while it comes too late; why not, where it can't be tried."""
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        try:
            return one_fault(scene, folder, name, undisturbed, rng, watch)
        except TooLate:
            print(f"{name}: too late, tried again", flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            print(f"{name}: {error}", flush=True)
            return partial(not_tried, name, str(error).partition("\n")[0])
    return partial(not_tried, name, f"{TRIES} times too late or without effect")


def not_tried(name: str, why: str) -> dict[str, Any]:
    return {"fault": name, "lost": NOT_TRIED + why}
