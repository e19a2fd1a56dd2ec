"""Hurt a training run at random moments, start it again, and say what was lost.

    python tests/faults/run.py --out outputs/faults               30 faults, about 3 minutes each on 2 cores
    python tests/faults/run.py --out outputs/faults --only engine --points 3 --seed 9

The run is DualGRPO by verl's trainer with real vLLM on the tiny model (``scene.py``). A fault kills one of its
processes with SIGKILL or interrupts the run as a user does, while it generates, updates or writes a checkpoint (by the
times that an undisturbed run takes), or lets the disk of its checkpoints run full (a tmpfs of that size, which takes
root on Linux). A run that does not end by itself within a minute has its driver killed. The same command is given again
at once, with room on the disk. Whatever of a run is left two minutes after its end was left behind, which counts as a
loss, and is killed (Ray's agents alone take a minute, for which they wait for its GCS). Nothing is lost (``judge.py``)
if the second run ends with exit code 0 and leaves no process, has continued from the newest whole checkpoint with its
weights and its optimizer, has written a model that holds the checkpoint's weights, and if every step of the two
together has the prompts and the mode balance of an undisturbed run. The record of a step's rollouts is written after
its checkpoint; where only that is missing, the table says so in a column of its own. A run that goes on to its end
without the process is not restarted: nothing is lost if it is as an undisturbed one itself. A fault that comes too
late, when the run has ended or the checkpoint is whole, is tried again at another moment. Full disks under data files
and reports are tried too (``disk.py``). The table goes to ``--out``/faults.md as it grows; finished faults are not
repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e.harness import TrainingRun, running
from faults.disk import WRITERS, enlarge, full_while, small_disk
from faults.judge import DISTANCE, Done, lost, unrecorded
from faults.scene import STEPS, Scene, exported, metrics_in, order_of, saved_step, updates_in

from personadual.files import write_json

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


def hurt_in(run: TrainingRun, victim: str, out: Path, log: Path, step: int, wait: float, at_checkpoint: bool) -> None:
    """Hurt ``run`` ``wait`` seconds into ``step``, or into its checkpoint."""
    run.wait_until(lambda: len(metrics_in(log)) >= step - 2, TIMEOUT)
    # Looked up a step before, which takes longer than the checkpoint of a tiny model.
    process = find(run, VICTIMS[victim]) if victim in VICTIMS else None
    run.wait_until(lambda: len(metrics_in(log)) >= step - 1, TIMEOUT, every=0.01)
    if at_checkpoint:
        run.wait_until((out / "checkpoints" / f"global_step_{step}").exists, TIMEOUT, every=0.001)
    time.sleep(wait)
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


def left_behind(run: TrainingRun, seconds: float) -> tuple[list[str], int]:
    """What of ``run`` is still there after ``seconds`` and is killed, ports with it; seconds until nothing was."""
    begun = time.monotonic()
    while True:
        names = []
        for process in run.processes():
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE:
                    names.append(process.name())
        passed = time.monotonic() - begun
        if not names or passed > seconds:
            run.kill_all()
            return sorted(names), round(passed)
        time.sleep(1)


Watch = Callable[[TrainingRun], "Future[tuple[list[str], int]]"]
"""``left_behind`` of a run that has ended, looked for beside what is done next."""
Result = Callable[[], dict[str, Any]]
"""Waits for what was looked for beside, and tells a fault's row of the table."""


def one_fault(scene: Scene, folder: Path, name: str, undisturbed: Done, rng: random.Random, watch: Watch) -> Result:
    """Hurt a run, restart it, compare."""
    victim, _, place = name.partition(", ")
    at_checkpoint = place == CHECKPOINT
    # The first step includes the start, and the victim is looked up in the second. What is gone after the last
    # generation is not missed.
    step = rng.randint(3, STEPS if place == GENERATION or victim == NO_SPACE else STEPS - 1)
    wait = rng.uniform(*window(undisturbed.metrics[step], place or GENERATION))
    memory = set(os.listdir(SHARED_MEMORY))
    out, first, second = folder / "run", folder / "first.jsonl", folder / "second.jsonl"
    command = scene.command(out, *TRAINING)
    told: dict[str, Any] = {"fault": name, "step": step, "seconds into it": round(wait, 2)}
    problems = []

    with ExitStack() as disks:
        if victim == NO_SPACE:
            # Room for the checkpoints before this step's, and for a part of it.
            room = int(checkpoint_bytes(folder.parent / UNDISTURBED) * (step - 1 + rng.uniform(0.1, 0.9)))
            disks.enter_context(small_disk(out / "checkpoints", room))
            told["seconds into it"] = None
        run = TrainingRun(command, folder / "first.log", _log_to(first))
        try:
            if victim != NO_SPACE:
                hurt_in(run, victim, out, first, step, wait, at_checkpoint)
            ended = run.exit_code(TIMEOUT if victim == NO_SPACE else NOTICED)
            if ended is None:
                run.process.kill()
                run.process.wait()
        except BaseException:
            run.kill_all()
            raise
        shared = set(os.listdir(SHARED_MEMORY)) - memory
        of_first = watch(run)
        saved = saved_step(out)
        told |= {"ended by itself": ended, "saved": saved}
        if victim == NO_SPACE:
            if ended == 0:
                problems.append("the disk did not run full")
            enlarge(out / "checkpoints", 2**30)
        elif ended == 0 and saved == STEPS:
            if victim in INTERRUPTS or step == STEPS:  # nothing may have needed it after that
                of_first.result()
                raise TooLate
            return partial(went_on, told, lost(0, ended, done_in(out, first), undisturbed), of_first)
        with ExitStack() as unless_ended:
            run = TrainingRun(command, folder / "second.log", _log_to(second))
            unless_ended.callback(run.kill_all)
            restart = run.exit_code(TIMEOUT)
            if restart is not None:
                unless_ended.pop_all()
        after = done_in(out, second)
    of_second = watch(run)

    def result() -> dict[str, Any]:
        orphans, told["seconds to be gone"] = of_first.result()
        if orphans:
            problems.append(f"left behind: {', '.join(orphans)}")
        told["left behind"] = len(orphans)
        told["files in shared memory"] = len(shared.intersection(os.listdir(SHARED_MEMORY)))
        if restart is not None and (orphans := of_second.result()[0]):
            problems.append(f"left behind by the restart: {', '.join(orphans)}")
        told["lost"] = "; ".join(problems + lost(saved, restart, after, undisturbed)) or "nothing"
        return told

    told |= {"restart": restart, "continued at": min(after.metrics, default=None)}
    told["repeated steps"] = len(metrics_in(first).keys() & after.metrics.keys())
    told["unrecorded"] = saved if restart == 0 and unrecorded(saved, after) else None
    return result


def went_on(told: dict[str, Any], problems: list[str], left: Future[tuple[list[str], int]]) -> dict[str, Any]:
    """The row of a run that ended by itself without the process that was killed."""
    names, seconds = left.result()
    problems = problems + ([f"left behind: {', '.join(names)}"] if names else [])
    return told | {
        "seconds to be gone": seconds, "left behind": len(names), "lost": "; ".join(problems) or "nothing"
    }  # fmt: skip


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


def fault(scene: Scene, folder: Path, name: str, undisturbed: Done, rng: random.Random, watch: Watch) -> Result:
    """Of a training run, or of a command that writes files."""
    for kind in WRITERS:
        if name.endswith(f"while a {kind} is written"):
            shutil.rmtree(folder, ignore_errors=True)
            try:
                told = {"fault": name} | full_while(kind, folder / "disk", rng)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                told = not_tried(name, str(error).partition("\n")[0])
            return told.copy
    return tried(scene, folder, name, undisturbed, rng, watch)


def table(results: list[dict[str, Any]]) -> str:
    names = ["fault", "step", "seconds into it", "ended by itself", "seconds to be gone", "left behind",
             "files in shared memory", "saved", "continued at", "repeated steps", "unrecorded", "lost"]  # fmt: skip
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    rows = [" | ".join("-" if (value := told.get(name)) is None else str(value) for name in names) for told in results]
    return "\n".join(lines + [f"| {row} |" for row in rows]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--points", type=int, default=1, help="moments for each fault (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="faults whose name holds this")
    args = parser.parse_args()
    names = [f"{name}, {place}" for place in (GENERATION, UPDATE, CHECKPOINT) for name in (*VICTIMS, *INTERRUPTS)]
    names += [f"{NO_SPACE}, {CHECKPOINT}", *(f"{NO_SPACE}, while a {kind} is written" for kind in WRITERS)]
    names = [name for name in names if args.only is None or args.only in name]
    if os.geteuid() != 0 and any(name.startswith(NO_SPACE) for name in names):
        parser.error("a disk that runs full is a tmpfs here, which root mounts; run as root, or name faults by --only")
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    scene = Scene(out)
    if not (out / "model").exists():
        scene.build()
    undisturbed = reference(scene, out)
    results: list[dict[str, Any]] = []

    def keep(result: Result, kept: Path) -> None:
        told = result()
        if not told["lost"].startswith(NOT_TRIED):
            write_json(kept, told)
        results.append(told)
        print(f"{told['fault']}: lost {told['lost']}", flush=True)
        (out / "faults.md").write_text(table(results))

    with ThreadPoolExecutor() as beside:
        # A fault's row waits for what is left of its restart, beside the next fault.
        waits: Callable[[], None] | None = None
        for name, point in product(names, range(args.points)):
            folder = out / f"{name}, {args.seed}.{point}".replace(" ", "_").replace(",", "")
            kept = folder / "result.json"
            if kept.exists():
                result: Result = json.loads(kept.read_text()).copy
            else:
                rng = random.Random(f"{args.seed}/{point}/{name}")
                watch = partial(beside.submit, left_behind, seconds=SETTLED)
                result = fault(scene, folder, name, undisturbed, rng, watch)
            if waits is not None:
                waits()
            waits = partial(keep, result, kept)
        if waits is not None:
            waits()
    sys.exit(any(told["lost"] != "nothing" for told in results))


if __name__ == "__main__":
    main()
