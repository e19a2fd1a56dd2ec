"""An output folder that changes only as a whole: everything is made in a hidden folder and moved there at the end."""

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
    """A temporary folder on the file system of ``out``, which is no link; gone afterwards, however the block ends.

    It lies in ``out``, or beside it as long as there is no such folder: beside a mount point files can't be moved in.

    Raises:
        ValueError: nothing can be written there, or ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"output folder {out}: cannot be written to (it is a file)")
    place = out if out.is_dir() else out.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=place))
    except OSError as error:
        raise ValueError(f"output folder {out}: cannot be written to ({error.strerror or error})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(out: Path, names: Collection[str], known: Collection[str]) -> None:
    """Refuses an ``out`` with files that this build, which may write ``names``, would leave behind as another build's.

    Whose files they are says the manifest. Without one, as after a build that was killed while it moved its files,
    ``known`` are the names that any build writes.

    Raises:
        ValueError: with the files.
    """
    try:
        listed = {str(name) for name in json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        listed = set(known)
    left = sorted(name for name in listed - set(names) if os.path.lexists(out / name))
    if left:
        raise ValueError(
            f"output folder {out}: {', '.join(left)} of another build would stay beside the new files without a "
            "manifest; give another folder, or remove them"
        )


def publish(folder: Path, out: Path, names: Collection[str], own: Collection[str]) -> None:
    """Move the files ``names`` and the manifest from ``folder`` to ``out``: all on disk first, the manifest last.

    The old manifest goes first, so that a folder that has one is always a whole build. Then go those of ``own``, the
    files that the build might have written, that it did not: an earlier build's, of another seed or other rows.
    """
    for name in (*names, MANIFEST):
        with (folder / name).open("rb") as written:
            os.fsync(written.fileno())
        (folder / name).chmod(0o644)
    out.mkdir(exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    _sync(out)
    for name in set(own) - set(names):
        (out / name).unlink(missing_ok=True)
    for name in (*names, MANIFEST):
        os.replace(folder / name, out / name)
    _sync(out)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
