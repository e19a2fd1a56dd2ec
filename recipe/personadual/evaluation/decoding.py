"""How a run's answers are decoded, as its settings say it: "greedy", with what its sampled answers are drawn by."""

from __future__ import annotations

DECODING = "decoding"
GREEDY = "greedy"
_BEHIND = "; "


def decoding_of(samples: int, temperature: float, top_p: float) -> str:
    """The text for ``samples`` sampled answers beside each greedy one."""
    return f"{GREEDY}{_BEHIND}sampled at temperature {temperature:g}, top_p {top_p:g}" if samples else GREEDY


def measured(decoding: str) -> str:
    """Which of the answers the measures are taken of: the sampled ones, where there are any."""
    return decoding.rpartition(_BEHIND)[2]
