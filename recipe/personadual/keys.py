"""Refuses the unknown keys of a configuration block by name, with the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def check_known_keys(block: str, keys: Iterable[object], known: Iterable[str]) -> None:
    """``block`` is the block's name in messages. Raises ValueError for the first key that is not among ``known``."""
    known = list(known)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ValueError(f"{block}.{key} is not a setting{hint} Known: {', '.join(known)}")
