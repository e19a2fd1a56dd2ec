"""What identifies a run: hashes of model and data, versions, and the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

BLOCKS, BLOCK_BYTES = 64, 1 << 16
WEIGHTS = (".safetensors", ".bin", ".pt")
TEXTS = (".json", ".jinja", ".model", ".txt")


def model_fingerprint(folder: Path) -> str:
    """Hash that tells checkpoints apart without reading all of them.

    Config and tokenizer files count in full; of each weight file its size and ``BLOCKS`` evenly spaced blocks count,
    which any training step changes. It is no proof against a deliberate forgery.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no model folder (config.json is missing)")
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix not in WEIGHTS + TEXTS:
            continue
        size = path.stat().st_size
        digest.update(f"\0{path.name}\0{size}\0".encode())
        if path.suffix in TEXTS:
            digest.update(path.read_bytes())
            continue
        with open(path, "rb") as file:
            for block in range(BLOCKS):
                file.seek(max(0, size - BLOCK_BYTES) * block // (BLOCKS - 1))
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


def version_of(*distributions: str) -> str | None:
    """``name version`` of the first of the distributions that is installed."""
    for name in distributions:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return None


def command_line() -> str:
    """This process's command as a shell takes it. No key is in it: keys are named by their environment variable."""
    return shlex.join(["personadual", *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """CPU model, cores this process may use, and the GPU where torch is already loaded and sees one."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "gpu": _gpu()}


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
