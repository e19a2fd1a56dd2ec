"""Whether the checkpoint that a run would resume from can be loaded by it: FSDP's shards are one per process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from personadual.preflight.findings import Finding, judged, ok
from personadual.preflight.setup import RL, Setup

MODES = ("auto", "disable", "resume_path")
TRACKER = "latest_checkpointed_iteration.txt"
"""Names the last finished step (verl/utils/checkpoint/checkpoint_manager.py, ``find_latest_ckpt_path``)."""


def resume_findings(setup: Setup) -> Iterator[Finding]:
    mode = str(setup.get("trainer.resume_mode", "auto"))
    yield judged("trainer.resume_mode", mode in MODES, f"one of {', '.join(MODES)}", mode, "trainer.resume_mode=auto")
    named = setup.get("trainer.resume_from_path")
    folder: Path | None = None
    if mode == "auto":
        folder = newest_step(Path(os.path.expanduser(str(setup.get("trainer.default_local_dir", "checkpoints")))))
    elif mode == "resume_path":
        folder = Path(str(named)) if named else None
        yield judged(
            "trainer.resume_from_path",
            folder is not None and folder.is_dir() and "global_step_" in str(folder),
            "a folder global_step_N",
            named,
            "trainer.resume_from_path=.../global_step_N, or trainer.resume_mode=auto",
        )
    if folder is not None and folder.is_dir():
        yield from shard_findings(folder / "actor" if setup.kind == RL else folder, setup.world_size)


def newest_step(folder: Path) -> Path | None:
    """The folder of the last finished step; None where there is none."""
    try:
        step = (folder / TRACKER).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    place = folder / f"global_step_{step}"
    return place if step.isdecimal() and place.is_dir() else None


def shard_findings(folder: Path, world_size: int) -> Iterator[Finding]:
    """``fsdp_config.json`` beside the shards says how many processes wrote them (fsdp_checkpoint_manager.py)."""
    try:
        written: Any = json.loads((folder / "fsdp_config.json").read_text(encoding="utf-8"))
        processes = int(written["world_size"])
    except (OSError, ValueError, KeyError, TypeError):
        yield ok("resume", f"from {folder}, which does not say how many processes wrote it")
        return
    yield judged(
        "resume",
        processes == world_size,
        f"shards of {world_size} processes, as this run has",
        f"{folder}: {processes}",
        f"as many GPUs as before ({processes}), another trainer.default_local_dir, or trainer.resume_mode=disable",
    )
