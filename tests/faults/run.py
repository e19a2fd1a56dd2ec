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
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.disk import WRITERS, full_while
from faults.judge import Done
from faults.scene import Scene
from faults.training import (
    CHECKPOINT,
    GENERATION,
    INTERRUPTS,
    NO_SPACE,
    NOT_TRIED,
    SETTLED,
    UPDATE,
    VICTIMS,
    Result,
    Watch,
    left_behind,
    not_tried,
    reference,
    tried,
)

from personadual.files import write_json


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
