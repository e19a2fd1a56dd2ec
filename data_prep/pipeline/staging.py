"""An output folder that changes only as a whole: everything is made beside it and moved there at the end."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from personadual.data_prep.manifest import MANIFEST


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out``, on the same file system; gone afterwards, however the block ends.

    Raises:
        ValueError: nothing can be written beside ``out``, or ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"output folder {out}: cannot be written to (it is a file)")
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.absolute().parent))
    except OSError as error:
        raise ValueError(f"output folder {out}: cannot be written to ({error.strerror or error})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(out: Path, names: Collection[str]) -> None:
    """Refuses an ``out`` whose manifest speaks of files that this build would leave behind as another build's.

    Raises:
        ValueError: with the files.
    """
    try:
        listed = json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    left = sorted(set(listed) - set(names))
    if left:
        raise ValueError(
            f"output folder {out}: {', '.join(left)} of another build would stay beside the new files without a "
            "manifest; give another folder, or remove them"
        )


def publish(folder: Path, out: Path, names: Collection[str]) -> None:
    """Move the files ``names`` and the manifest from ``folder`` to ``out``: all on disk first, the manifest last.

    The old manifest goes first, so that a folder that has one is always a whole build.
    """
    for name in (*names, MANIFEST):
        with (folder / name).open("rb") as written:
            os.fsync(written.fileno())
        (folder / name).chmod(0o644)
    out.mkdir(exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    _sync(out)
    for name in (*names, MANIFEST):
        os.replace(folder / name, out / name)
    _sync(out)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
