"""The wheel of this checkout, built from a copy, because building writes into the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGED = ("recipe", "reward_fns", "data_prep")


def build_wheel(tree: Path, out: Path, folders: Sequence[str] = PACKAGED) -> Path:
    """Copies ``folders`` into ``tree`` and builds there; the wheel's path in ``out``."""
    for name in folders:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", out, tree]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    (path,) = out.glob("personadual-*.whl")
    return path
