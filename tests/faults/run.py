"""Hurt a training run at random moments, start it again, and say what was lost.

    python tests/faults/run.py --out outputs/faults               28 faults, about 3 minutes each on 2 cores
    python tests/faults/run.py --out outputs/faults --only engine --points 3 --seed 9

The run is DualGRPO by verl's trainer with real vLLM on the tiny model (``scene.py``). A fault kills one of its
processes with SIGKILL, interrupts it as a user does, or lets the disk of its checkpoints run full (a tmpfs of that
size, which takes root on Linux); what is left is then killed as a machine's end would, and the same command is given
again, with room on the disk. Nothing is lost (``judge.py``) if the second run ends with exit code 0, has continued from
the newest whole checkpoint with its weights and its optimizer, and every step of the two together has the prompts and
the mode balance of an undisturbed run. The record of a step's rollouts is written after its checkpoint; where only that
is missing, the table says so in a column of its own. A fault that comes too late, when the run has ended or the
checkpoint is whole, or that the run goes on under to its end, is tried again at another moment. The table goes to
``--out``/faults.md as it grows; finished faults are not repeated.
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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e.harness import TrainingRun, running
from faults.judge import DISTANCE, Done, lost, unrecorded
from faults.scene import STEPS, Scene, metrics_in, order_of, saved_step, updates_in

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
CHECKPOINT = "while a checkpoint is written"
NO_SPACE = "disk full"
TRIES = 5
# Seconds for a run to end; for one to notice that a part of it is gone; for what it started to end with it.
TIMEOUT, NOTICED, SETTLED = 600, 60, 3
NOT_TRIED = "not tried: "
UNDISTURBED = "undisturbed"
TRAINING = (
    # Steps differ by more than rounding does, and the pull back to the start model stays small beside entropy's push:
    # every step begins farther from it (rewards of a random model push nowhere).
    "actor_rollout_ref.actor.optim.lr=1e-5",
    "actor_rollout_ref.actor.entropy_coeff=0.01",
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


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of ``size`` bytes at ``folder``."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        # Lazy: what was killed may still be ending.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def checkpoint_bytes(out: Path) -> int:
    """Size of a run's first checkpoint."""
    return sum(path.stat().st_size for path in (out / "checkpoints" / "global_step_1").rglob("*") if path.is_file())


def done_in(out: Path, log: Path) -> Done:
    saved = saved_step(out)
    return Done(metrics_in(log), saved, updates_in(out, saved), order_of(out))


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
    return found


def _log_to(path: Path) -> dict[str, str]:
    return {"VERL_FILE_LOGGER_PATH": str(path)}


class TooLate(Exception):
    """What was to be hurt was over, or went on to its end."""


def hurt_in(run: TrainingRun, victim: str, out: Path, log: Path, step: int, wait: float, at_checkpoint: bool) -> None:
    """Hurt ``run`` ``wait`` seconds into ``step``, or into its checkpoint."""
    run.wait_until(lambda: len(metrics_in(log)) >= step - 1, TIMEOUT)
    # Looked up before, which takes longer than the checkpoint of a tiny model.
    process = find(run, VICTIMS[victim]) if victim in VICTIMS else None
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


def one_fault(scene: Scene, folder: Path, name: str, undisturbed: Done, rng: random.Random) -> dict[str, Any]:
    """Hurt a run, restart it, compare."""
    victim, _, place = name.partition(", ")
    at_checkpoint = place == CHECKPOINT
    step = rng.randint(2, STEPS)  # the first step includes the start
    took = undisturbed.metrics[step]
    wait = rng.uniform(0, took["timing_s/save_checkpoint" if at_checkpoint else "timing_s/step"])
    out, first, second = folder / "run", folder / "first.jsonl", folder / "second.jsonl"
    command = scene.command(out, *TRAINING)
    told: dict[str, Any] = {"fault": name, "step": step, "seconds into it": round(wait, 2)}
    problems = []

    with ExitStack() as disks:
        if victim == NO_SPACE:
            # Room for the checkpoints before this step's, and for a part of it.
            room = int(checkpoint_bytes(folder.parent / UNDISTURBED) * (step - 1 + rng.uniform(0.1, 0.9)))
            disks.enter_context(small_disk(out / "checkpoints", room))
            told["seconds into it"] = "-"
        with running(command, folder / "first.log", _log_to(first)) as run:
            if victim != NO_SPACE:
                hurt_in(run, victim, out, first, step, wait, at_checkpoint)
            ended = run.exit_code(TIMEOUT if victim == NO_SPACE else NOTICED)
            time.sleep(SETTLED)
            told |= {"ended by itself": ended, "left behind": run.kill_all()}
        saved = saved_step(out)
        if victim == NO_SPACE:
            if ended == 0:
                problems.append("the disk did not run full")
            _mount("-o", f"remount,size={2**30}", str(out / "checkpoints"))
        elif ended == 0 and saved == STEPS:
            raise TooLate
        with running(command, folder / "second.log", _log_to(second)) as run:
            restart = run.exit_code(TIMEOUT)
        after = done_in(out, second)
    told |= {"saved": saved, "restart": restart, "continued at": min(after.metrics, default=None)}
    told["repeated steps"] = len(metrics_in(first).keys() & after.metrics.keys())
    told["unrecorded"] = saved if restart == 0 and unrecorded(saved, after) else None
    told["lost"] = "; ".join(problems + lost(saved, restart, after, undisturbed)) or "nothing"
    return told


def tried(scene: Scene, folder: Path, name: str, undisturbed: Done, rng: random.Random) -> dict[str, Any]:
    """``one_fault``, again at other moments while it comes too late; why not, where it can't be tried."""
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        try:
            return one_fault(scene, folder, name, undisturbed, rng)
        except TooLate:
            print(f"{name}: too late, tried again", flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            print(f"{name}: {error}", flush=True)
            return {"fault": name, "lost": NOT_TRIED + str(error).partition("\n")[0]}
    return {"fault": name, "lost": f"{NOT_TRIED}{TRIES} times too late or without effect"}


def table(results: list[dict[str, Any]]) -> str:
    names = ["fault", "step", "seconds into it", "ended by itself", "left behind", "saved", "continued at",
             "repeated steps", "unrecorded", "lost"]  # fmt: skip
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    rows = [" | ".join("-" if (value := told.get(name)) is None else str(value) for name in names) for told in results]
    return "\n".join(lines + [f"| {row} |" for row in rows]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--points", type=int, default=2, help="moments for each fault (2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="faults whose name holds this")
    args = parser.parse_args()
    if args.only is None or args.only in NO_SPACE:
        if os.geteuid() != 0:
            parser.error(
                "a disk that runs full is a tmpfs here, which root mounts; run as root, or name faults by --only"
            )
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    scene = Scene(out)
    if not (out / "model").exists():
        scene.build()
    undisturbed = reference(scene, out)
    names = [
        *VICTIMS,
        *INTERRUPTS,
        NO_SPACE,
        *[f"{name}, {CHECKPOINT}" for name in ("driver", "trainer", "training worker", "engine")],
    ]
    results = []
    for name in names:
        for point in range(args.points):
            if args.only and args.only not in name:
                continue
            folder = out / f"{name}, {args.seed}.{point}".replace(" ", "_").replace(",", "")
            kept = folder / "result.json"
            if kept.exists():
                told = json.loads(kept.read_text())
            else:
                told = tried(scene, folder, name, undisturbed, random.Random(f"{args.seed}/{point}/{name}"))
                if not told["lost"].startswith(NOT_TRIED):
                    write_json(kept, told)
            results.append(told)
            print(f"{name}: lost {told['lost']}", flush=True)
            (out / "faults.md").write_text(table(results))
    sys.exit(any(told["lost"] != "nothing" for told in results))


if __name__ == "__main__":
    main()
