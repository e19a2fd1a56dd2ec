"""The output folder: made whole beside its place and renamed there at the end, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personadual.export import ExportError

RECORD = "personadual.json"


def check_output(out: Path, checkpoint: Path, overwrite: bool) -> Path:
    """The absolute path of ``out``, if the export may put its folder there.

    Raises:
        ExportError: it is a file, holds something that may not be replaced, or lies in or around the checkpoint.
    """
    out = out.expanduser().resolve()
    if out == checkpoint or checkpoint in out.parents or out in checkpoint.parents:
        raise ExportError(f"--out {out}: lies in or around the checkpoint {checkpoint}; give a folder apart from it")
    if not out.exists():
        return out
    if not out.is_dir():
        raise ExportError(f"--out {out}: is a file; give a folder")
    if out.is_mount():
        raise ExportError(f"--out {out}: is a mount point, in whose place no folder can be put; give a folder in it")
    if any(out.iterdir()):
        if not overwrite:
            raise ExportError(f"--out {out}: is there and not empty; give another folder, or --overwrite")
        if not (out / RECORD).is_file():
            raise ExportError(f"--out {out}: holds no {RECORD}, so it is no earlier export; --overwrite leaves it be")
    return out


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """An empty folder beside ``out`` that becomes ``out`` when the block ends; if it raises, nothing is left.

    Raises:
        ExportError: nothing can be written beside ``out``.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ExportError(f"--out {out}: cannot be written to ({error.strerror or error})") from error
    try:
        yield folder
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)
        _replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(folder: Path, out: Path) -> None:
    """Rename ``folder`` to ``out``; what was there is removed once the new one stands."""
    if not out.exists():
        os.rename(folder, out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    os.rename(out, old)
    try:
        os.rename(folder, out)
    except OSError:
        os.rename(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
