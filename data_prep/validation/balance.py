"""How often each mode and condition occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from personadual.data_prep.validation.findings import Problem
from personadual.modes import Modes
from personadual.reward_fns.answer_block import OPEN

MODE_RATIO, CONDITION_RATIO = 2, 10


@dataclass
class Balance:
    """Counts of one file. ``modes`` are those that SFT rows show; ``right_modes`` those of RL rows."""

    modes: Counter[str] = field(default_factory=Counter)
    conditions: Counter[str] = field(default_factory=Counter)
    right_modes: Counter[str] = field(default_factory=Counter)

    def sft_problems(self, modes: Modes) -> Iterator[Problem]:
        counts = {name: self.modes[name] for name in modes.names}
        # Modes by the answer's own form (+arm=think) name what a model does, and it need not do all of it.
        missing = "mode-not-shown" if any(mode.tag == OPEN for mode in modes) else "mode-missing"
        for name, count in counts.items():
            if not count:
                yield Problem(missing, f"no row of {name}")
        if min(counts.values()) and max(counts.values()) > MODE_RATIO * min(counts.values()):
            yield Problem("mode-balance", counted(counts))
        yield from self._conditions("condition")

    def rl_problems(self, modes: Modes) -> Iterator[Problem]:
        right = {name: count for name, count in self.right_modes.items() if name in modes.names}
        if len(right) == 1 and sum(right.values()) > 1:
            yield Problem("one-right-mode", counted(right))
        yield from self._conditions("extra_info.condition")

    def _conditions(self, name: str) -> Iterator[Problem]:
        if self.conditions and max(self.conditions.values()) > CONDITION_RATIO * min(self.conditions.values()):
            yield Problem("condition-balance", counted(self.conditions), name)


def counted(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))
