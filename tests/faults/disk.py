"""A disk that runs full under a command that writes files: data as parquet, a report."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOM = 2**28
PERSONADUAL = (sys.executable, "-m", "personadual.cli")
WRITERS = {
    "parquet": ("data", "quickstart", "--seed", "1", "--out"),
    "report": ("report", str(ROOT / "docs/results/experiment/answers/val/sft_s1.jsonl.gz"), "--out"),
}


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of ``size`` bytes at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        # Lazy: what was killed may still be ending.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(folder: Path, size: int = ROOM) -> None:
    _mount("-o", f"remount,size={size}", str(folder))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def files_in(folder: Path) -> dict[str, str]:
    """sha256 of every file, by its path in ``folder``."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lost_files(wanted: dict[str, str], hurt: dict[str, str], again: dict[str, str], code: int, error: str) -> list[str]:
    """What was lost, in words.

    Args:
        wanted: files of an undisturbed call; ``hurt``: of the call that had no room; ``again``: of one after it.
        code: exit code of the call without room, ``error`` what it said.
    """
    problems = [] if code else ["the disk did not run full"]
    if "Traceback" in error or not error.strip():
        problems.append("the command did not say in a line what it lacked")
    problems += [f"{name} is half-written" for name in hurt if name in wanted and hurt[name] != wanted[name]]
    problems += [f"{name} was left" for name in hurt if name not in wanted]
    problems += [f"{name} differs when there is room again" for name in wanted if again.get(name) != wanted[name]]
    return problems + [f"{name} stayed" for name in again if name not in wanted]


def full_while(kind: str, disk: Path, rng: random.Random) -> dict[str, Any]:
    """Write ``kind`` of ``WRITERS`` on a disk that has room for a part of it, and again with room."""
    command = [*PERSONADUAL, *WRITERS[kind], str(disk / "out")]

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=disk.parent, capture_output=True, text=True)

    with small_disk(disk, ROOM):
        done = call()
        assert done.returncode == 0, done.stderr
        wanted = files_in(disk / "out")
        size = sum(path.stat().st_size for path in (disk / "out").rglob("*"))
    room = max(4096, int(size * rng.uniform(0.1, 0.9)))
    with small_disk(disk, room):
        first = call()
        hurt = files_in(disk)
        enlarge(disk)
        second = call()
        again = files_in(disk)
    inside = ({name.removeprefix("out/"): digest for name, digest in files.items()} for files in (hurt, again))
    problems = lost_files(wanted, *inside, first.returncode, first.stderr)
    return {
        "ended by itself": first.returncode,
        "left behind": 0,
        "restart": second.returncode,
        "lost": "; ".join(problems) or "nothing",
    }
