"""Prints the table of docs/licences.md: what is locked for the CPU environment, and under which licence.

    .venv/bin/python requirements/licences.py

A licence is what the installed distribution states: its License-Expression, else its trove classifiers, else the first
line of its License field.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

LOCK = Path(__file__).with_name("cpu.lock")
NOT_LOCKED = ("torch",)  # installed by itself, see install_cpu.sh
LONGEST = 80


def locked() -> list[str]:
    return [*re.findall(r"^([A-Za-z0-9._-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE), *NOT_LOCKED]


def licence(name: str) -> str:
    """What ``name`` states; "not stated" for nothing, "not installed here" for what other platforms need."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    if found.get("License-Expression"):
        return found["License-Expression"]
    classified = [
        classifier.rpartition(" :: ")[2]
        for classifier in found.get_all("Classifier") or []
        if classifier.startswith("License :: ") and not classifier.endswith(":: OSI Approved")
    ]
    first_line = (found.get("License") or "").strip().partition("\n")[0]
    return ", ".join(classified) or first_line[:LONGEST] or "not stated"


def main() -> None:
    by_licence: dict[str, list[str]] = {}
    for name in sorted(set(locked())):
        by_licence.setdefault(licence(name), []).append(name)
    print("| licence, as stated | distributions |\n| --- | --- |")
    for stated, names in sorted(by_licence.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        print(f"| {stated} | {', '.join(names)} |")


if __name__ == "__main__":
    main()
