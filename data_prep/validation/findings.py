"""What a check has found. Findings of one kind in one field of one file are gathered, whatever their number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from personadual.data_prep.validation.catalogue import CHECKS, ERROR

ROWS_SHOWN = 5
FOUND_CHARACTERS = 160


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one row or file: the name of a check in the catalogue, and what was found.

    ``field`` overrules the catalogue's where a check looks at several.
    """

    check: str
    found: str = ""
    field: str = ""


@dataclass
class Finding:
    """A kind of problem in a field of a file: how often, the first rows (counted from 1), the first thing found."""

    check: str
    severity: str
    file: str
    field: str
    required: str
    found: str
    mend: str
    count: int = 0
    rows: list[int] = dataclasses.field(default_factory=list)


class Findings:
    """Gathers problems; takes memory by kinds, not by rows.

    ``facts`` are what the catalogue's texts name: the modes, the limits.
    """

    def __init__(self, facts: Mapping[str, object] | None = None):
        self._facts = dict(facts or {})
        self._gathered: dict[tuple[str, str, str], Finding] = {}

    def add(self, file: str, problem: Problem, row: int | None = None) -> None:
        """``row`` is None where the file as a whole is meant."""
        check = CHECKS[problem.check]
        name = problem.field or check.field
        key = (file, problem.check, name)
        finding = self._gathered.get(key)
        if finding is None:
            found = problem.found if len(problem.found) <= FOUND_CHARACTERS else problem.found[:FOUND_CHARACTERS] + "…"
            required, mend = check.required.format(**self._facts), check.mend.format(**self._facts)
            finding = Finding(problem.check, check.severity, file, name, required, found, mend)
            self._gathered[key] = finding
        finding.count += 1
        if row is not None and len(finding.rows) < ROWS_SHOWN:
            finding.rows.append(row)

    def __iter__(self) -> Iterator[Finding]:
        """Errors first; then in the order in which they were found."""
        return iter(sorted(self._gathered.values(), key=lambda finding: finding.severity != ERROR))

    def __len__(self) -> int:
        return len(self._gathered)
