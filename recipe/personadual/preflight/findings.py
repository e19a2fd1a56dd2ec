"""What a check says of one thing: how it is, what it must be, and what to do about it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``section`` is filled in by ``guarded``."""

    what: str
    severity: str
    found: str
    required: str = ""
    mend: str = ""
    section: str = ""

    @property
    def ok(self) -> bool:
        return self.severity == OK


def ok(what: str, found: object, required: str = "") -> Finding:
    return Finding(what, OK, str(found), required)


def judged(what: str, holds: bool, required: str, found: object, mend: str, severity: str = ERROR) -> Finding:
    """A finding that is ok where ``holds``, and of ``severity``, with what to do, where not."""
    if holds:
        return Finding(what, OK, str(found), required)
    return Finding(what, severity, str(found), required, mend)


def not_looked_at(what: str, found: str, mend: str, dry_run: bool) -> Finding:
    """What is not on this machine: an error, or with ``--dry-run`` a warning that says it was not looked at."""
    if dry_run:
        return Finding(what, WARNING, f"not looked at: {found}", mend=mend)
    return Finding(what, ERROR, found, mend=mend)


def refused(what: str, error: BaseException, mend: str = "") -> Finding:
    """A refusal whose message says by itself what was required and found."""
    return Finding(what, ERROR, str(error) or type(error).__name__, mend=mend)


def crashed(what: str, error: BaseException) -> Finding:
    """A check that itself failed: its traceback."""
    text = "".join(traceback.format_exception(error)).strip()
    return Finding(what, ERROR, text, "a check that runs to its end", "see the traceback; if it is ours, report it")


def guarded(section: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The check's findings with its section's name; an exception is one more of them, and the last."""
    try:
        for finding in check():
            yield Finding(finding.what, finding.severity, finding.found, finding.required, finding.mend, section)
    except (Exception, SystemExit) as error:  # the CPU platform refuses unknown versions with SystemExit
        failed = crashed(section, error)
        yield Finding(failed.what, failed.severity, failed.found, failed.required, failed.mend, section)
