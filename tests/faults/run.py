"""Hurt a training run at random moments, start it again, and say what was lost.

    python tests/faults/run.py --out outputs/faults               28 faults, about 2 minutes each on 2 cores
    python tests/faults/run.py --out outputs/faults --only engine --points 3 --seed 9

The run is DualGRPO by verl's trainer with real vLLM on the tiny model (``scene.py``). A fault kills one of its
processes with SIGKILL, interrupts it as a user does, or lets the disk of its checkpoints run full (a tmpfs of that
size, which takes root on Linux); what is left is then killed as a machine's end would, and the same command is given
again, with room on the disk. Nothing is lost if the second run ends with exit code 0, has continued from the newest
whole checkpoint, and every step of the two together has the prompts and the mode balance of an undisturbed run. A fault
that comes too late, when the run has ended or the checkpoint is whole, is tried again at another moment. The table goes
to ``--out``/faults.md as it grows; finished faults are not repeated.
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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e.harness import TrainingRun, running
from faults.scene import STEPS, Scene, order_of, saved_step, steps_in

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
TIMEOUT, NOTICED = 600, 60  # seconds for a run to end; for one to notice that a part of it is gone


def find(name: str) -> psutil.Process | None:
    """The newest process that is called ``name``, and not a fork that has its name from it."""
    found = {}
    for process in psutil.process_iter(["cmdline", "create_time", "ppid"]):
        if name in " ".join(process.info["cmdline"] or [])[:400]:
            found[process.pid] = process
    first = [process for process in found.values() if process.info["ppid"] not in found]
    return max(first, key=lambda process: process.info["create_time"], default=None)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of ``size`` bytes at ``folder``."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def checkpoint_bytes(out: Path) -> int:
    """Size of a run's first checkpoint."""
    return sum(path.stat().st_size for path in (out / "checkpoints" / "global_step_1").rglob("*") if path.is_file())


def reference(scene: Scene, folder: Path) -> dict[str, Any]:
    """An undisturbed run, once: what each step rolled out, and how long steps take."""
    kept = folder / "reference.json"
    out = folder / "reference"
    if not kept.exists():
        with running(scene.command(out), folder / "reference.log", _log_to(folder / "reference.jsonl")) as run:
            assert run.wait(TIMEOUT) == 0, run.tail()
        lines = [json.loads(line) for line in (folder / "reference.jsonl").read_text().splitlines()]
        kept.write_text(json.dumps({"seconds": [line["data"]["timing_s/step"] for line in lines]}))
    seconds = json.loads(kept.read_text())["seconds"]
    return {"seconds": seconds, "order": order_of(out), "checkpoint": checkpoint_bytes(out)}


def _log_to(path: Path) -> dict[str, str]:
    return {"VERL_FILE_LOGGER_PATH": str(path)}


def moment(run: TrainingRun, out: Path, metrics: Path, step: int, wait: float, at_checkpoint: bool) -> None:
    """Return ``wait`` seconds into ``step``, or as soon as its checkpoint has begun."""
    if at_checkpoint:
        folder = out / "checkpoints" / f"global_step_{step}"
        run.wait_until(folder.exists, TIMEOUT)
        time.sleep(wait)
    else:
        run.wait_until(lambda: len(steps_in([metrics])) >= step - 1 and find(VICTIMS["engine"]) is not None, TIMEOUT)
        time.sleep(wait)


class TooLate(Exception):
    """What was to be hurt was over."""


def hurt(run: TrainingRun, victim: str) -> None:
    if run.process.poll() is not None:
        raise TooLate
    for _ in range(INTERRUPTS.get(victim, 0)):
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    if victim in VICTIMS:
        process = find(VICTIMS[victim])
        if process is None:
            if run.process.poll() is not None:
                raise TooLate
            raise AssertionError(f"no process is called {VICTIMS[victim]}")
        process.kill()


def one_fault(scene: Scene, folder: Path, name: str, undisturbed: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Hurt a run, restart it, compare."""
    victim, _, place = name.partition(", ")
    at_checkpoint = place == CHECKPOINT
    step = rng.randint(2, STEPS)  # the first step includes the start
    wait = rng.uniform(0, 0.3) if at_checkpoint else rng.uniform(0, undisturbed["seconds"][step - 1])
    out, first, second = folder / "run", folder / "first.jsonl", folder / "second.jsonl"
    told: dict[str, Any] = {"fault": name, "step": step, "seconds into it": round(wait, 2)}
    problems = []

    with ExitStack() as disks:
        if victim == NO_SPACE:
            # Room for the checkpoints before this step's, and for a part of it.
            room = int(undisturbed["checkpoint"] * (step - 1 + rng.uniform(0.1, 0.9)))
            disks.enter_context(small_disk(out / "checkpoints", room))
            told["seconds into it"] = "-"
        with running(scene.command(out), folder / "first.log", _log_to(first)) as run:
            if victim != NO_SPACE:
                moment(run, out, first, step, wait, at_checkpoint)
                if at_checkpoint and saved_step(out) >= step:
                    raise TooLate
                hurt(run, victim)
            try:
                told["ended by itself"] = run.process.wait(TIMEOUT if victim == NO_SPACE else NOTICED)
            except subprocess.TimeoutExpired:
                told["ended by itself"] = None
            time.sleep(3)
            told["left behind"] = run.kill_all()
        told["saved"] = saved_step(out)
        done = steps_in([first])
        if victim == NO_SPACE:
            if told["ended by itself"] == 0:
                problems.append("the disk did not run full")
            _mount("-o", f"remount,size={2**30}", str(out / "checkpoints"))
        with running(scene.command(out), folder / "second.log", _log_to(second)) as run:
            told["restart"] = run.wait(TIMEOUT)
    again = steps_in([second])
    told["continued at"] = again[0] if again else None
    told["repeated steps"] = len(set(done) & set(again))
    if told["restart"] != 0:
        problems.append(f"the restart ended with {told['restart']}")
    if again != list(range(told["saved"] + 1, STEPS + 1)):
        problems.append(f"steps {again} after a checkpoint of step {told['saved']}")
    if order_of(out) != undisturbed["order"]:
        problems.append("prompts or modes differ from the undisturbed run's")
    told["lost"] = "; ".join(problems) or "nothing"
    return told


def tried(scene: Scene, folder: Path, name: str, undisturbed: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """``one_fault``, again at other moments while it comes too late."""
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            return one_fault(scene, folder, name, undisturbed, rng)
        except TooLate:
            print(f"{name}: too late, tried again", flush=True)
    raise RuntimeError(f"{name}: too late {TRIES} times")


def table(results: list[dict[str, Any]]) -> str:
    names = ["fault", "step", "seconds into it", "ended by itself", "left behind", "saved", "continued at",
             "repeated steps", "lost"]  # fmt: skip
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(str(told[name]) for name in names) + " |" for told in results]) + "\n"


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
    if find("ray::") is not None:
        parser.error("another Ray run is on this machine; its processes would be mistaken for this one's")
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
            if not kept.exists():
                kept.parent.mkdir(exist_ok=True)
                rng = random.Random(f"{args.seed}/{point}/{name}")
                kept.write_text(json.dumps(tried(scene, folder, name, undisturbed, rng)))
            results.append(json.loads(kept.read_text()))
            print(f"{name}: lost {results[-1]['lost']}", flush=True)
            (out / "faults.md").write_text(table(results))
    sys.exit(any(told["lost"] != "nothing" for told in results))


if __name__ == "__main__":
    main()
