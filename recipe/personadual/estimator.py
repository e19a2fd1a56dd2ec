"""DualGRPO as verl's advantage estimator ``dual_grpo``.

verl 0.9 hands an estimator rewards, mask, uids and the algorithm's config, but not the rows' modes
(verl/trainer/ppo/ray_trainer.py, compute_advantage). The trainer (``personadual.trainer``) therefore lays the rows'
modes into ``ROLLOUT_ROWS`` around verl's own call, which runs in the same context and the same row order.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from personadual.advantage import dual_grpo_advantage
from personadual.settings import DualGRPOSettings

ESTIMATOR_NAME = "dual_grpo"


@dataclass(frozen=True)
class RolloutRows:
    """What the rollout knows of each row of a training batch, in the batch's order; all tensors (B,)."""

    modes: torch.Tensor
    """int64, index of the response's mode, -1 for invalid."""
    prefix_lengths: torch.Tensor
    """int64, tokens of the mode's prefix in the response."""
    usual_tokens: torch.Tensor
    """bool, they are those in which the prefix is forced; a model that chooses may spell a tag in others."""
    forced: torch.Tensor
    """bool, the mode was forced and not chosen by the model."""
    padding: torch.Tensor
    """bool, a row that verl appended to fill the batch (padding_utils.py); it copies a real row's mode."""
    cached: torch.Tensor
    """float, share of the prompt's and forced prefix's tokens out of the engine's cache; NaN where it does not say."""
    deciding_position: int
    """Column of the token at which the modes' prefixes first differ."""
    choice_probs: torch.Tensor
    """float64, the actor's probability of a forced row's deciding token; NaN for every other row."""
    step: int
    """The trainer's step, 1-based."""


ROLLOUT_ROWS: ContextVar[RolloutRows | None] = ContextVar("personadual_rollout_rows", default=None)


def dual_grpo(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Any = None,
    config: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns of a batch, both (B, T); see ``dual_grpo_advantage``.

    Args:
        token_level_rewards: (B, T) float; a row's reward is its sum (with use_kl_in_reward it holds the KL penalty).
        response_mask: (B, T) 0/1.
        index: (B,) uids of the prompts.
        config: the ``algorithm`` block, with ``dual_grpo`` and ``norm_adv_by_std_in_grpo``.

    Raises:
        RuntimeError: the trainer did not say which mode each row is in. There is no fall-back to GRPO.
        ValueError: ``algorithm.dual_grpo`` is missing or wrong.
    """
    rows = ROLLOUT_ROWS.get()
    if rows is None:
        raise RuntimeError(
            "algorithm.adv_estimator=dual_grpo needs the modes of the rollouts, and this trainer did not give them. "
            "Set trainer.use_v1=True and trainer.v1.trainer_mode=dual_grpo_sync (or dual_grpo_colocate_async, "
            "dual_grpo_separate_async)."
        )
    if config is None or index is None:
        raise RuntimeError("dual_grpo needs the algorithm's config and the prompts' uids (index) from the trainer")
    settings = DualGRPOSettings.from_config(config.get("dual_grpo"))
    shares = torch.tensor([*settings.rollout_shares()[:-1], 1.0], dtype=torch.float64)
    return dual_grpo_advantage(
        rewards=token_level_rewards.sum(-1),
        modes=rows.modes,
        groups=index,
        prefix_lengths=rows.prefix_lengths,
        usual_tokens=rows.usual_tokens,
        response_mask=response_mask,
        norm_by_std=bool(config.get("norm_adv_by_std_in_grpo", True)),
        deciding_position=rows.deciding_position,
        gap_centering=settings.centering_at(rows.step),
        choice_probs=rows.choice_probs,
        # An invalid mode (-1) takes the last entry, which nothing divides by: it has no probability.
        sampling_shares=shares[rows.modes],
        **advantage_options(settings),
    )


def advantage_options(settings: DualGRPOSettings) -> dict[str, Any]:
    """The settings that are arguments of ``dual_grpo_advantage`` under the same name."""
    names = (
        "intra_coef",
        "inter_coef",
        "prefix_weight",
        "credit",
        "prefix_scope",
        "std_scope",
        "normalize_prefix_length",
        "prob_floor",
        "prefix_importance",
        "prefix_taper",
        "losing_intra_coef",
        "prefix_anchor",
    )
    return {name: getattr(settings, name) for name in names}
