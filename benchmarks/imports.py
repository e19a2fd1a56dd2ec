"""What the plugin adds to a process: to ``import verl``, to a Ray worker's first task, to the start of the CLI.

Fresh processes with and without plugins in turn; processor time, which other work on the machine disturbs less than
the clock. All installed verl plugins count; where personadual is the only one, the difference is its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.harness import Row, Seconds, ratios

TIMED = """
import sys, time

start = time.process_time()
import verl
took = time.process_time() - start
start = time.process_time()
import personadual.plugin
print(took, time.process_time() - start)
"""
WORKER = """
import os, tempfile, time
import ray

@ray.remote
def first():
    start = time.process_time()
    import verl.trainer.ppo.v1
    return time.process_time() - start

with tempfile.TemporaryDirectory() as folder:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    print(ray.get(first.remote()), 0.0)
    ray.shutdown()
"""
WITH, WITHOUT = "import verl, with the plugin", "import verl, without it"
WORKER_WITH, WORKER_WITHOUT = "a Ray worker's import, with the plugin", "a Ray worker's import, without it"
GOAL = 0.3
"""Seconds that the plugin may add."""


def timed(script: str, plugins: str) -> tuple[float, float]:
    """CPU seconds of the import, and of the plugin's import after it."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VERL_")}
    environment = clean | {"VERL_USE_EXTERNAL_PLUGINS": plugins, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    took, after = done.stdout.split()[-2:]
    return float(took), float(after)


def added(took: dict[str, list[float]], ours: str, without: str, work: str) -> Iterator[Row]:
    yield Row(ours, work, Seconds.of(took[ours]), without, ratios(took, ours, without))
    more = [a - b for a, b in zip(took[ours], took[without], strict=True)]
    yield Row(f"{ours}: added", work, Seconds.of(more), f"{GOAL:g} s", Seconds.of([m / GOAL for m in more]), 1.0)


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    timed(TIMED, "auto")  # fills the file cache
    turns = 1 if quick else repeats
    took: dict[str, Any] = {WITH: [], WITHOUT: [], WORKER_WITH: [], WORKER_WITHOUT: []}
    alone, cli = [], []
    for _ in range(turns):
        without, after = timed(TIMED, "none")
        took[WITHOUT].append(without)
        alone.append(after)
        took[WITH].append(timed(TIMED, "auto")[0])
        took[WORKER_WITHOUT].append(timed(WORKER, "none")[0])
        took[WORKER_WITH].append(timed(WORKER, "auto")[0])
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "personadual.cli", "--help"], check=True, stdout=subprocess.DEVNULL)
        cli.append(time.perf_counter() - start)
    yield from added(took, WITH, WITHOUT, "processor time")
    yield Row("the plugin alone, after verl", "processor time", Seconds.of(alone))
    yield from added(took, WORKER_WITH, WORKER_WITHOUT, "processor time")
    yield Row("personadual --help", "wall time", Seconds.of(cli))
