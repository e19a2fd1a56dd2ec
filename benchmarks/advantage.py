"""The advantage of a batch against verl's ``grpo`` and ``grpo_vectorized`` and against the least that can be done.

The floor reads and writes what any such function must: one sum over a (B, T) tensor, one product with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage, compute_grpo_vectorized_outcome_advantage

from benchmarks.harness import Row, Seconds, in_turn, ratios
from personadual.advantage import dual_grpo_advantage

GROUP = 8
ROWS = (512, 4096, 32768, 65536)
TOKENS = (1024, 8192)
LARGEST = 2**28
"""Elements of the largest (B, T) tensor: 1 GiB of float32, of which some are alive at once."""
OURS, VECTORIZED, LOOPED, FLOOR = "dual_grpo", "verl grpo_vectorized", "verl grpo", "floor"


def calls_for(rows: int, tokens: int) -> dict[str, Callable[[], object]]:
    """The functions on one batch of ``rows`` responses of a quarter to all of ``tokens``."""
    generator = torch.Generator().manual_seed(0)
    row = torch.arange(rows)
    lengths = torch.randint(tokens // 4, tokens + 1, (rows,), generator=generator)
    mask = (torch.arange(tokens)[None, :] < lengths[:, None]).float()
    scores = torch.randint(0, 2, (rows,), generator=generator).float()
    rewards = torch.zeros(rows, tokens)
    rewards[row, lengths - 1] = scores
    groups = np.array([f"uid-{number // GROUP}" for number in range(rows)], dtype=object)
    modes = row % 2
    prefix_lengths = 6 + modes
    return {
        # What the estimator does: the scalar rewards are a sum over the token-level ones.
        OURS: lambda: dual_grpo_advantage(rewards.sum(-1), modes, groups, prefix_lengths, mask),
        VECTORIZED: lambda: compute_grpo_vectorized_outcome_advantage(rewards, mask, groups),
        LOOPED: lambda: compute_grpo_outcome_advantage(rewards, mask, groups),
        FLOOR: lambda: rewards.sum(-1)[:, None] * mask,
    }


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    for tokens in TOKENS:
        for rows in ROWS:
            if rows * tokens > (2**22 if quick else LARGEST):
                continue
            took = in_turn(calls_for(rows, tokens), repeats)
            work = f"{rows:,} × {tokens:,}"
            for against, goal in ((VECTORIZED, 1.1), (FLOOR, 1.5), (LOOPED, None)):
                yield Row(OURS, work, Seconds.of(took[OURS]), against, ratios(took, OURS, against), goal)
