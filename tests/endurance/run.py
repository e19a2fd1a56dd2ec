"""A long run on the tiny model: does memory stay flat in every process, and does a step take as long at the end?

    python tests/endurance/run.py --out outputs/endurance                200 steps, some minutes on 2 cores

DualGRPO by verl's trainer with real vLLM (``faults.scene``), a checkpoint every 50 steps. verl's replay buffer looks
for finished rollouts often (``benchmarks/short_poll.py``): else it would wait for two seconds of every step, and what
becomes slower behind that would not show. Memory is what a process of the run has to itself (anonymous pages and its
share of shared ones, from the kernel), sampled every two seconds and added up over processes of one name. The table
compares the second quarter of the run with the last; ``--out``/endurance.json has every sample. The first quarter fills
caches and pools. Ends with 1 if something grows, and stops where no step is finished for five minutes.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e.harness import TrainingRun, read_jsonl, running
from faults.scene import Scene

from benchmarks.place import SHORT_POLL

EVERY = 2.0  # seconds between samples
STALLED = 300.0  # seconds without a finished step, the start's included, after which the run counts as hung
NAME = re.compile(r"^(ray::[A-Za-z_0-9]+|VLLM::[A-Za-z]+)")
PLAIN = {"raylet": "raylet", "gcs_server": "gcs_server", "verl.trainer.main_ppo": "driver"}
MAX_GROWTH, MAX_MIB, MAX_SLOWER = 0.03, 30.0, 0.10
"""Flat: less growth than this share, or than so many MiB, from the second quarter to the last; steps likewise."""


class Sample(NamedTuple):
    """MiB of each kind of process at ``seconds`` after the start, when ``step`` steps were done."""

    seconds: float
    step: int
    memory: dict[str, float]


def kind_of(process: psutil.Process) -> str | None:
    line = " ".join(process.cmdline())[:400]
    found = NAME.match(line)
    if found:
        return found[1]
    return next((name for part, name in PLAIN.items() if part in line.split(" --")[0]), None)


def mib_of(process: psutil.Process) -> float:
    """Anonymous and shared memory in MiB, a shared page by its share; mapped files are not counted."""
    kept = 0
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
            kept += int(line.split()[1])
    return kept / 1024


def steps_in(metrics: Path) -> int:
    return metrics.read_text().count("\n") if metrics.exists() else 0


def sample(run: TrainingRun, start: float, metrics: Path) -> Sample:
    memory: dict[str, float] = defaultdict(float)
    for process in run.processes():
        try:
            kind = kind_of(process)
            if kind is not None:
                memory[kind] += mib_of(process)
        except (psutil.Error, OSError):  # ended meanwhile, or the kernel's own
            continue
    return Sample(time.monotonic() - start, steps_in(metrics), dict(memory))


def watch(run: TrainingRun, samples: list[Sample], metrics: Path, stop: threading.Event) -> None:
    start = time.monotonic()
    while not stop.wait(EVERY):
        samples.append(sample(run, start, metrics))


def wait_for_steps(run: TrainingRun, metrics: Path, stalled: float) -> int:
    """Exit code; AssertionError with the log's tail when no step was finished for ``stalled`` seconds."""
    done, since = 0, time.monotonic()
    while (code := run.exit_code(1.0)) is None:
        if (now := steps_in(metrics)) > done:
            done, since = now, time.monotonic()
        assert time.monotonic() - since < stalled, f"no step in {stalled:g} s after step {done}\n{run.tail()}"
    return code


def quarter(samples: list[Sample], steps: int, number: int) -> list[Sample]:
    """Samples of the ``number``-th quarter of the steps, 1 to 4."""
    return [s for s in samples if (number - 1) * steps / 4 < s.step <= number * steps / 4 and s.step < steps]


def table(samples: list[Sample], seconds: list[float]) -> tuple[str, bool]:
    """Markdown, and whether all is flat."""
    steps = len(seconds)
    early, late = quarter(samples, steps, 2), quarter(samples, steps, 4)
    lines = ["| | second quarter | last quarter | change | flat |", "| --- | --- | --- | --- | --- |"]
    flat = True
    for kind in sorted({kind for s in early + late for kind in s.memory}):
        before, after = (statistics.median(s.memory.get(kind, 0.0) for s in part) for part in (early, late))
        if before < 1 and after < 1:
            continue
        good = after - before < max(MAX_GROWTH * before, MAX_MIB)
        flat &= good
        lines.append(
            f"| {kind}, MiB | {before:.0f} | {after:.0f} | {after - before:+.0f} | {'yes' if good else 'no'} |"
        )
    before = statistics.median(seconds[steps // 4 : steps // 2])
    after = statistics.median(seconds[3 * steps // 4 :])
    good = after < (1 + MAX_SLOWER) * before
    lines.append(f"| a step, s | {before:.2f} | {after:.2f} | {after / before - 1:+.0%} | {'yes' if good else 'no'} |")
    return "\n".join(lines) + "\n", flat and good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    out = args.out.resolve()
    if (out / "run").exists():
        parser.error(f"{out / 'run'} is there: give another folder, or a resumed run would be measured")
    out.mkdir(parents=True, exist_ok=True)
    scene = Scene(out, args.steps)
    scene.build()
    metrics, samples, stop = out / "metrics.jsonl", [], threading.Event()
    command = scene.command(out / "run", "trainer.save_freq=50", *SHORT_POLL)
    with running(command, out / "log.txt", {"VERL_FILE_LOGGER_PATH": str(metrics)}) as run:
        watcher = threading.Thread(target=watch, args=(run, samples, metrics, stop), daemon=True)
        watcher.start()
        status = wait_for_steps(run, metrics, STALLED)
        stop.set()
        watcher.join()
        assert status == 0, run.tail()
    seconds = [line["data"]["timing_s/step"] for line in read_jsonl(metrics)]
    assert len(seconds) == args.steps, f"{args.steps} steps were asked for, {len(seconds)} are logged"
    found, flat = table(samples, seconds)
    (out / "endurance.json").write_text(json.dumps({"seconds": seconds, "samples": [s._asdict() for s in samples]}))
    (out / "endurance.md").write_text(found)
    print(found)
    sys.exit(not flat)


if __name__ == "__main__":
    main()
