"""Three ways to keep the choice of mode from being driven to certainty: pure tensor maths, all off by default.

A forced prefix is an action that the policy did not choose, and its gradient does not fade as the policy becomes sure
of the other mode (docs/method.md). The KL term is the paper's only brake, and verl's has no gradient where a mode is
less than 1/13.6 as probable as in the reference. These are others, for the prefix alone.
"""

from __future__ import annotations

import torch


def saturated(choice_probs: torch.Tensor, inter: torch.Tensor, floor: float) -> torch.Tensor:
    """(B,) bool: rows whose mode is already below ``floor`` and would be pushed down, or above 1 - floor and up.

    With two modes both rows of a group stop together: pushing the likely mode up is pushing the other down. A row
    without a probability (NaN) never stops.
    """
    return ((choice_probs < floor) & (inter < 0)) | ((choice_probs > 1 - floor) & (inter > 0))


def importance(choice_probs: torch.Tensor, sampling_shares: torch.Tensor, power: float) -> torch.Tensor:
    """(B,) float: (probability of the mode / share of the rollouts that were forced into it) ** power.

    At power 1 the expected gradient of the choice is that of sampling it from the policy, sum_m p_m A_m grad log p_m,
    while every mode is still tried; it fades as the policy becomes sure, as GRPO's does. 1 for rows without a
    probability (NaN), which the policy sampled itself.
    """
    ratio = (choice_probs / sampling_shares) ** power
    return torch.where(choice_probs.isnan(), 1.0, ratio).to(torch.float64)


def taper(choice_probs: torch.Tensor, sampling_shares: torch.Tensor, value: torch.Tensor, power: float) -> torch.Tensor:
    """(B,) float: min(1, probability / share) ** power for rows of negative ``value``, 1 for the others.

    Pushing up a forced mode fades by itself as the mode becomes likely; pushing one down does not fade as it becomes
    unlikely. With this it does, while a mode that is unlikely and better is still pushed up in full. After tapered
    off-policy REINFORCE (TOPR, arXiv 2503.14286), here for the choice of mode alone. 1 for rows without a probability
    (NaN).
    """
    ratio = (choice_probs / sampling_shares).clamp(max=1.0) ** power
    return torch.where(choice_probs.isnan() | (value >= 0), 1.0, ratio).to(torch.float64)
