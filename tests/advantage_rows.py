"""Groups with advantages computed by hand, and DualGRPO's functions on plain lists.

HALVES   rewards 1 0 | 1 1          means 1/2, 1      group mean 3/4, std sqrt(0.75 / 3) = 1/2
UNEVEN   rewards 1 0 1 | 2          means 2/3, 2      group mean 1,   std sqrt(2 / 3)    = 0.8164966
THREE    rewards 1 3 | 2 2 | 6 4    means 2, 2, 5     group mean 3,   std sqrt(16 / 5)   = 1.7888544
"""

import torch
from hypothesis import strategies as st

from personadual.advantage import dual_grpo_advantage, dual_grpo_terms

HALVES = ([1.0, 0.0, 1.0, 1.0], [0, 0, 1, 1])
UNEVEN = ([1.0, 0.0, 1.0, 2.0], [0, 0, 0, 1])
THREE = ([1.0, 3.0, 2.0, 2.0, 6.0, 4.0], [0, 0, 1, 1, 2, 2])


def advantage(rewards, modes, groups=None, prefixes=None, mask=None, width=3, dtype=torch.float64, **options):
    """``dual_grpo_advantage`` of plain lists; without ``mask`` every token counts, without ``prefixes`` none is one."""
    size = len(rewards)
    return dual_grpo_advantage(
        rewards=torch.tensor(rewards, dtype=dtype),
        modes=torch.tensor(modes, dtype=torch.int64),
        groups=[0] * size if groups is None else groups,
        prefix_lengths=torch.tensor([0] * size if prefixes is None else prefixes, dtype=torch.int64),
        response_mask=torch.ones(size, width) if mask is None else torch.tensor(mask),
        **options,
    )


def per_row(rewards, modes, groups=None, **options) -> list[float]:
    """A of each row: the value on its only token."""
    return advantage(rewards, modes, groups, width=1, **options)[0][:, 0].tolist()


def terms(rewards, modes, groups=None, **options):
    rows = torch.tensor(rewards, dtype=torch.float64)
    return dual_grpo_terms(rows, torch.tensor(modes), [0] * len(rewards) if groups is None else groups, **options)


# Rewards in quarters, so that equal sums are equal whatever the order of adding.
quarters = st.integers(-20, 20).map(lambda value: value / 4)
# Group, mode, reward.
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2), quarters), min_size=1, max_size=16)
switch = st.booleans()
# One reward in each mode.
halves = st.lists(st.tuples(quarters, quarters), min_size=1, max_size=6)
