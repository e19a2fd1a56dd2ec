"""The progress bar, the counts behind it, and what is said when the work stops early."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personadual.data_prep.served.exchange import Answer, Failure


@dataclass
class Tally:
    """How many answers came from the server and from the cache, and which failures remained, by reason."""

    asked: int = 0
    cached: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        return self.asked + self.cached + self.failed.total()


class Progress:
    """Counts replies and shows them on stderr: requests done, cached, failed, and the rate of those really asked."""

    def __init__(self, requests: Iterable[Any], total: int | None, shown: bool, tally: Tally):
        from tqdm import tqdm

        self.total = len(requests) if total is None and isinstance(requests, Sized) else total
        self._tally = tally
        self._done = self._cached = self._failed = 0  # of this bar; the tally may go over several
        # In a log file every refresh is a line.
        interval = 0.2 if sys.stderr.isatty() else 15.0
        self._bar = tqdm(total=self.total, unit="request", smoothing=0, mininterval=interval, disable=not shown)

    def count(self, reply: Answer | Failure, cached: bool = False) -> None:
        self._done += 1
        if isinstance(reply, Failure):
            self._failed += 1
            self._tally.failed[reply.reason] += 1
        elif cached:
            self._cached += 1
            self._tally.cached += 1
            if not self._bar.disable:
                self._bar.initial += 1  # tqdm's rate leaves these out
        else:
            self._tally.asked += 1
        self._bar.set_postfix(cached=self._cached, failed=self._failed, refresh=False)
        self._bar.update(1)

    def close(self) -> None:
        self._bar.close()

    def stopped(self, cache: Path) -> str:
        """Where things stand, for the message of an early stop."""
        left = "" if self.total is None else f" {max(0, self.total - self._done)} of {self.total} are left."
        return f"All answers so far are kept in {cache}.{left} The same command goes on from there."
