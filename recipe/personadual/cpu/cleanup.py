"""Remove what vLLM and the weight transfer leave behind: ``python -m personadual.cpu.cleanup [--dry-run]``.

A run that ends, and more so one that is killed, leaves vLLM's message rings and weight buckets in ``/dev/shm`` (up to
hundreds of MB each) and sockets in the temporary folder. Their names hold no process id, so a file counts as left over
only if all of this holds: it has one of the names below, belongs to this user, has not changed for a minute, and no
process has it open, mapped or bound. Processes that hide from their own user are not asked: an init or an agent does
so, but no Python, Ray or vLLM.
"""

import argparse
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
# Python's shared memory (vLLM's rings), Python's semaphores, verl's weight buckets.
SHARED_MEMORY_NAME = re.compile(r"psm_[0-9a-f]{8}|sem\.mp-[a-z0-9_]{8}|verl_weights_[0-9a-f]{32}")
# vLLM's sockets are named by a bare UUID, verl's by job, replica and rank.
SOCKET_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|rl-colocate-zmq-.+\.sock")
MIN_AGE_S = 60


def in_use() -> set[str]:
    """Every path that a process of this user has open or mapped, and every bound socket."""
    paths = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "/" in line}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != os.getuid():
                continue
            for line in (process / "maps").read_text().splitlines():
                paths.add(line.split(maxsplit=5)[-1])
            paths.update(os.readlink(link) for link in (process / "fd").iterdir())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # It ended while we looked, or it hides.
            continue
    return paths


def candidates() -> Iterator[Path]:
    """Files of this user, by name and type, that have not changed for ``MIN_AGE_S``."""
    for folder, name, is_type in (
        (SHARED_MEMORY, SHARED_MEMORY_NAME, stat.S_ISREG),
        (Path(tempfile.gettempdir()), SOCKET_NAME, stat.S_ISSOCK),
    ):
        for path in folder.iterdir() if folder.is_dir() else ():
            if name.fullmatch(path.name):
                try:
                    info = path.lstat()
                except FileNotFoundError:
                    continue
                old = time.time() - max(info.st_mtime, info.st_ctime) >= MIN_AGE_S
                if old and info.st_uid == os.getuid() and is_type(info.st_mode):
                    yield path


def clean(dry_run: bool = False) -> list[Path]:
    """Remove (or only find) what is left over, and return it."""
    found = list(candidates())
    used = in_use() if found else set()
    left_over = [path for path in found if str(path) not in used]
    if not dry_run:
        for path in left_over:
            path.unlink(missing_ok=True)
    return left_over


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m personadual.cpu.cleanup", description=__doc__.split("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    arguments = parser.parse_args()
    for path in clean(arguments.dry_run):
        print(path)


if __name__ == "__main__":
    main()
