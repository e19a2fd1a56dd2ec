"""``personadual data build`` against a plain pandas script on the same rows: seconds and memory.

Both convert one generated JSONL file into RL parquet, one after the other, each in a fresh process. The pandas script
does what such scripts do: read all, map each row to a prompt, split by row, write. Ours also cleans, searches
near-duplicates, groups, splits by group and persona, counts and checksums. ``data validate`` then reads the training
file back (nine tenths of the rows) and sends every row through its grader. Memory is the largest sum over the process
and its children, sampled; pages that they share count for each. ``ray`` runs the chunks on Ray Data.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.data_shapes import SHAPES, Shape
from benchmarks.harness import Row, Seconds, ratios

ROWS = (10_000, 100_000, 1_000_000)
PANDAS = "pandas"
ROOM = 0.6
"""Share of the free memory that pandas may be expected to take; beyond that it is left out."""


def build(shape: Shape, rows: Path, out: Path, engine: str, workers: int) -> list[str]:
    command = [sys.executable, "-m", "personadual.cli", "data", "build", "--source", shape.source, "--task", "rl"]
    return [*command, "--input", str(rows), "--out", str(out), "--engine", engine, "--workers", str(workers)]


def run(command: list[str]) -> tuple[float, float]:
    """Seconds of a command, and its largest resident memory in MiB, children included."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(0.1)
        if process.returncode:
            errors.seek(0)
            told = errors.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{' '.join(command[:6])} ... ended with {process.returncode}:\n{told}")
    return time.perf_counter() - start, peak / 2**20


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_info().rss
    except psutil.Error:  # one has just ended
        pass
    return total


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    """Each size once: a size's noise is small beside its growth."""
    for shape in SHAPES:
        for count in ROWS[:1] if quick else ROWS:
            with tempfile.TemporaryDirectory() as name:
                yield from of_size(shape, count, Path(name), quick)


def of_size(shape: Shape, count: int, folder: Path, quick: bool) -> Iterator[Row]:
    rows = folder / f"{shape.source}.jsonl"
    shape.write(rows, count)
    ways = {"2 processes": ("local", 2)}
    if count == ROWS[1]:
        ways |= {"1 process": ("local", 1), "ray, 1 worker": ("ray", 1), "ray, 2 workers": ("ray", 2)}
    found = {}
    for number, (way, (engine, workers)) in enumerate(ways.items()):
        found[f"data build {shape.source}, {way}"] = run(build(shape, rows, folder / str(number), engine, workers))
    validate = [sys.executable, "-m", "personadual.cli", "data", "validate", str(folder / "0/rl_train.parquet")]
    found[f"data validate {shape.source}"] = run(validate)
    compared = count / 1000 * shape.pandas_mib < ROOM * psutil.virtual_memory().available / 2**20
    if compared:
        theirs = run([sys.executable, "-c", shape.script, str(rows), str(folder)])
    for what, (seconds, memory) in found.items():
        against = compared and "build" in what
        for value, unit, position in ((seconds, "s", 0), (memory, "MiB", 1)):
            ratio = ratios({what: [value], PANDAS: [theirs[position]]}, what, PANDAS) if against else None
            work = f"{count:,} rows" + (", largest memory" if position else "")
            yield Row(what, work, Seconds.of([value]), PANDAS if against else None, ratio, unit=unit)
