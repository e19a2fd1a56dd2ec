"""The rate limit: requests are sent at even distances."""

from __future__ import annotations


class Spacing:
    """Gives each request its time, ``60 / per_minute`` seconds behind the one before; unused time is not saved up."""

    def __init__(self, per_minute: float | None):
        self._distance = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds that a request which comes at ``now`` has to wait; its time is then taken."""
        start = max(now, self._next)
        self._next = start + self._distance
        return start - now
