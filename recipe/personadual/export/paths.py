"""Paths of the machine that trained are nobody's business: a card or a record shows the last part of them."""

from __future__ import annotations

import re


def last_part(text: str) -> str:
    """``model`` of ``/home/someone/model/``; text without a slash as it is."""
    return re.split(r"[/\\]", text.rstrip("/\\"))[-1]
