"""Which modes a served model has: named in the environment, recorded beside the model, or the paper's."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from personadual.export.folder import RECORD
from personadual.modes import DEFAULT_MODES, Modes

MODES_VARIABLE = "PERSONADUAL_MODES"
"""Environment variable: a YAML or JSON file of {name, tag}, as ``Modes.from_file`` reads it."""


def served_modes(*folders: str | None) -> Modes:
    """Modes of the file in ``PERSONADUAL_MODES``, else of the first folder's ``personadual.json``, else the default.

    ``personadual export`` writes that file; by hand ``{"modes": [{"name": ..., "tag": ...}, ...]}`` is enough. A model
    named by its hub name has no folder, so its modes must come from the variable.

    Raises:
        ValueError: the file can't be read, or holds no modes.
    """
    named = os.environ.get(MODES_VARIABLE)
    if named:
        return _read(named)
    for folder in folders:
        if folder and (path := Path(folder) / RECORD).is_file():
            return _read(str(path))
    return DEFAULT_MODES


@lru_cache(maxsize=16)
def _read(path: str) -> Modes:
    """Once in a server's life: a parser is made for every request, and requests must not differ."""
    return Modes.from_file(path)
