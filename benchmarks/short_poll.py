"""verl's replay buffer for the synchronous trainer, looking often for finished rollouts.

verl looks every two seconds (verl/trainer/ppo/v1/replay_buffer.py:144, 0.9.1; there is no setting), so that a step's
generation takes 2, 4 or 6 seconds whatever it took. ``benchmarks.place.SHORT_POLL`` has this one used.
"""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

SECONDS = 0.02


class ShortPollBuffer(ReplayBuffer):
    """verl gives a sampler of one's own no arguments for ``filter_groups`` and ``sync_refill_failed_groups``."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs, poll_interval=SECONDS)
