"""Hurt a training run at random moments, start it again, and say what was lost.

    python tests/faults/run.py --out outputs/faults               26 faults, about 2 minutes each on 2 cores
    python tests/faults/run.py --out outputs/faults --only engine --points 3 --seed 9

The run is DualGRPO by verl's trainer with real vLLM on the tiny model (``scene.py``). A fault kills one of its
processes with SIGKILL, or interrupts it as a user does; what is left is then killed as a machine's end would, and the
same command is given again. Nothing is lost if the second run ends with exit code 0, has continued from the newest
whole checkpoint, and every step of the two together has the prompts and the mode balance of an undisturbed run. The
table goes to ``--out``/faults.md as it grows; finished faults are not repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
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
TIMEOUT, NOTICED = 600, 90  # seconds for a run to end; for one to notice that a part of it is gone


def find(name: str) -> psutil.Process | None:
    """The newest process that is called ``name``."""
    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        if name in " ".join(process.info["cmdline"] or [])[:400]:
            found.append(process)
    return max(found, key=lambda process: process.info["create_time"], default=None)


def reference(scene: Scene, folder: Path) -> dict[str, Any]:
    """An undisturbed run, once: what each step rolled out, and how long steps take."""
    kept = folder / "reference.json"
    out = folder / "reference"
    if not kept.exists():
        with running(scene.command(out), folder / "reference.log", _log_to(folder / "reference.jsonl")) as run:
            assert run.wait(TIMEOUT) == 0, run.tail()
        lines = [json.loads(line) for line in (folder / "reference.jsonl").read_text().splitlines()]
        kept.write_text(json.dumps({"seconds": [line["data"]["timing_s/step"] for line in lines]}))
    return {"seconds": json.loads(kept.read_text())["seconds"], "order": order_of(out)}


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


def one_fault(scene: Scene, folder: Path, name: str, undisturbed: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Hurt a run, restart it, compare."""
    victim, _, place = name.partition(", ")
    at_checkpoint = place == CHECKPOINT
    step = rng.randint(2, STEPS)  # the first step includes the start
    wait = rng.uniform(0, 0.3) if at_checkpoint else rng.uniform(0, undisturbed["seconds"][step - 1])
    out, first, second = folder / "run", folder / "first.jsonl", folder / "second.jsonl"
    told: dict[str, Any] = {"fault": name, "step": step, "seconds into it": round(wait, 2)}

    with running(scene.command(out), folder / "first.log", _log_to(first)) as run:
        moment(run, out, first, step, wait, at_checkpoint)
        if victim in INTERRUPTS:
            for _ in range(INTERRUPTS[victim]):
                run.process.send_signal(signal.SIGINT)
                time.sleep(0.5)
        else:
            process = find(VICTIMS[victim])
            assert process is not None, f"no process is called {VICTIMS[victim]}"
            process.kill()
        try:
            told["ended by itself"] = run.process.wait(NOTICED)
        except Exception:
            told["ended by itself"] = None
        time.sleep(3)
        told["left behind"] = run.kill_all()
    told["saved"] = saved_step(out)
    done = steps_in([first])
    with running(scene.command(out), folder / "second.log", _log_to(second)) as run:
        told["restart"] = run.wait(TIMEOUT)
    again = steps_in([second])
    told["continued at"] = again[0] if again else None
    told["repeated steps"] = len(set(done) & set(again))
    problems = []
    if told["restart"] != 0:
        problems.append(f"the restart ended with {told['restart']}")
    if again != list(range(told["saved"] + 1, STEPS + 1)):
        problems.append(f"steps {again} after a checkpoint of step {told['saved']}")
    if order_of(out) != undisturbed["order"]:
        problems.append("prompts or modes differ from the undisturbed run's")
    told["lost"] = "; ".join(problems) or "nothing"
    return told


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
                folder.mkdir(exist_ok=True)
                told = one_fault(scene, folder, name, undisturbed, random.Random(f"{args.seed}/{point}/{name}"))
                kept.write_text(json.dumps(told))
            results.append(json.loads(kept.read_text()))
            print(f"{name}: lost {results[-1]['lost']}", flush=True)
            (out / "faults.md").write_text(table(results))
    sys.exit(any(told["lost"] != "nothing" for told in results))


if __name__ == "__main__":
    main()
