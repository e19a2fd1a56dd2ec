"""Model and data of the benchmarks that generate: the quickstart's, in a folder of their own. And how verl waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHORT_POLL = (
    f"trainer.v1.sampler.custom_sampler.path={ROOT / 'benchmarks' / 'short_poll.py'}",
    "trainer.v1.sampler.custom_sampler.name=ShortPollBuffer",
)
"""For verl's synchronous trainer: its seconds of generation are those that it took, and no multiple of two."""


def make_data(folder: Path) -> Path:
    """The quickstart's files; ``folder``."""
    command = [sys.executable, "-m", "personadual.cli", "data", "quickstart", "--out", str(folder), "--seed", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def make_model(folder: Path) -> Path:
    """SmolLM2-135M-Instruct in Hugging Face's format; ``folder``."""
    command = [sys.executable, "examples/quickstart/convert_model.py", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder
