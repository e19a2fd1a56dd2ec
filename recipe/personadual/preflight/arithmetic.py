"""Nearest valid numbers, for messages that say what to set instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction


def nearest_multiples(value: int, divisor: int, least: int = 1, most: int | None = None) -> list[int]:
    """The multiples of ``divisor`` next to ``value``, below and above, within [least, most]; ``value`` if it is one."""
    value = max(value, least)
    below, above = value // divisor * divisor, -(-value // divisor) * divisor
    return [each for each in sorted({below, above}) if each >= least and (most is None or each <= most)]


def nearest_divisors(value: int, whole: int, also: int = 0) -> list[int]:
    """The divisors of ``whole`` (and of ``also``, where it is not 0) next to ``value``, below and above."""
    divisors = [each for each in range(1, whole + 1) if whole % each == 0 and also % each == 0]
    below = [each for each in divisors if each <= value]
    above = [each for each in divisors if each >= value]
    return sorted({*below[-1:], *above[:1]})


def either(values: Iterable[object]) -> str:
    """``1``, ``1 or 2``, ``1, 2 or 3``."""
    words = [str(value) for value in values]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def whole_shares_multiple(shares: Sequence[float]) -> int:
    """The smallest n for which n times every share is whole (shares taken as fractions of at most 1/1000)."""
    return math.lcm(*(Fraction(share).limit_denominator(1000).denominator for share in shares))
