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


def make_small_model(folder: Path, data: Path, layers: int) -> Path:
    """The model's first ``layers``, with the tokens that the texts of ``data`` consist of; ``folder``."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole, short = (folder.with_name(f"{folder.name}_{name}") for name in ("whole", "short"))
    make_model(whole)
    AutoModelForCausalLM.from_pretrained(whole, num_hidden_layers=layers).save_pretrained(short)
    AutoTokenizer.from_pretrained(whole).save_pretrained(short)
    command = [sys.executable, "examples/experiment/trim_vocab.py", "--model", str(short), "--out", str(folder)]
    texts = map(str, sorted(data.glob("*.parquet")))
    subprocess.run([*command, "--texts", *texts], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder
