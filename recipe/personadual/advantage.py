"""DualGRPO's advantage: pure tensor maths, no verl.

Dual-mode Group Relative Policy Optimization samples every prompt in every mode and gives sample i, in mode m(i) of
prompt group g, with scalar reward r_i and mean reward mu_m of mode m in the group,

    A_intra(i) = r_i - mu_m(i)                                    how good the answer is, given its mode
    A_inter(i) = mu_m(i) - mean over the group's other modes of mu   how good the mode is
    A(i)       = c_intra * A_intra(i) + c_inter * A_inter(i)      over the group's std, if asked for

    token t of sample i:  A(i) * (alpha if t is a token of the mode's prefix else 1) * response_mask

Sources: PersonaDual (arXiv 2601.08679); docs/method.md says what the paper fixes and what is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from personadual.options import CREDIT, PREFIX_SCOPE, STD_SCOPE
from personadual.remedies import importance, saturated, taper

_TIE = 1e-9
"""Part of a group's largest mean reward below which a difference between three or more modes is rounding."""
_PAIR_TIE = 1e-6
"""Part of a group's largest reward below which a difference between two modes is: some last bits of a float32, in which
verl keeps rewards. Of the largest reward and not of the means, which may cancel to nearly 0."""


class AdvantageTerms(NamedTuple):
    """Per row (B,), float64, already divided by the std where that is on.

    ``intra`` of a row with an invalid mode is r - mean of its group, its ``inter`` is 0. ``mode_gap`` is the
    unscaled inter term, in units of reward. ``mode_means`` is (groups, K) with NaN for a mode the group lacks,
    and the same number twice where two modes tie; ``group_index`` (B,) points into it.
    """

    intra: torch.Tensor
    inter: torch.Tensor
    mode_gap: torch.Tensor
    mode_means: torch.Tensor
    group_index: torch.Tensor


def index_groups(groups: Sequence[Any] | torch.Tensor) -> torch.Tensor:
    """Number the groups: any hashables (B,) or an integer tensor (B,) to ids 0 .. n_groups - 1, int64 (B,)."""
    if isinstance(groups, torch.Tensor):
        return torch.unique(groups, return_inverse=True)[1]
    if isinstance(groups, np.ndarray):
        labels = groups
    else:
        # Element by element: numpy would take a list of tuples for a table.
        labels = np.empty(len(groups), dtype=object)
        labels[:] = list(groups)
    codes, _ = pd.factorize(labels, use_na_sentinel=False)
    return torch.from_numpy(codes.astype("int64"))


def dual_grpo_terms(
    rewards: torch.Tensor,
    modes: torch.Tensor,
    groups: Sequence[Any] | torch.Tensor,
    *,
    norm_by_std: bool = True,
    std_scope: str = "group",
    gap_centering: float = 0.0,
    epsilon: float = 1e-6,
) -> AdvantageTerms:
    """Intra and inter terms of every row, grouped by (group, mode) and never by row position.

    ``gap_centering`` (0 to 1) is the part of each mode's mean inter term over the batch that is taken off it, so that
    what the average prompt prefers is learnt less, or at 1 not at all, and what tells prompts apart remains. The mean
    is over groups, and groups whose rewards say nothing about the modes (a gap of 0) neither enter it nor change.

    Degenerate cases: a mode that has one sample in the group has intra 0 there; a group in which only one mode is
    present has inter 0; with three or more modes the absent ones are left out of the mean of the others; rows with a
    negative mode (invalid) count in the group's mean and std but in no mode's mean; a group of one row is all 0.

    Args: as ``dual_grpo_advantage``.
    """
    index = index_groups(groups).cpu()
    if index.numel() == 0:
        empty = rewards.double()
        return AdvantageTerms(empty, empty, empty, empty.new_zeros(0, 0), index.to(rewards.device))
    # numpy: on as few numbers as a batch has rows, torch's cost is that of starting its operations.
    group, mode = index.numpy(), modes.cpu().numpy()
    r = rewards.detach().double().cpu().numpy()
    n_groups = int(group.max()) + 1
    n_modes = max(int(mode.max()) + 1, 1)
    # Invalid rows go to a spare last column, whose mean is the group's and whose gap is 0.
    valid = mode >= 0
    cell = group * (n_modes + 1) + np.where(valid, mode, n_modes)

    def per_cell(weights: np.ndarray | None) -> np.ndarray:
        return np.bincount(cell, weights, minlength=n_groups * (n_modes + 1)).reshape(n_groups, n_modes + 1)

    counts, sums = per_cell(None), per_cell(r)
    group_mean = sums.sum(1, keepdims=True) / counts.sum(1, keepdims=True)
    present = counts[:, :n_modes] > 0
    means = sums[:, :n_modes] / np.maximum(counts[:, :n_modes], 1)
    n_present = present.sum(1, keepdims=True)
    others = (means.sum(1, keepdims=True) - means) / np.maximum(n_present - 1, 1)
    gaps = np.where(present & (n_present > 1), means - others, 0.0)
    # Equal sums of other parts differ by rounding (.9 + .1 and 1 + 0 in float32), so that a tie would be won or lost.
    # From three modes on, so does the sum less one of its parts.
    largest = np.zeros(n_groups)
    np.maximum.at(largest, group, np.abs(r))
    pair = n_present == 2
    tied = np.abs(gaps) < np.where(pair, _PAIR_TIE * largest[:, None], _TIE * np.abs(means).max(1, keepdims=True))
    gaps = np.where(tied, 0.0, gaps)

    own_mean = np.concatenate([means, group_mean], axis=1).ravel()[cell]
    intra = r - own_mean
    mode_gap = np.concatenate([gaps, np.zeros_like(group_mean)], axis=1).ravel()[cell]
    inter = mode_gap
    if norm_by_std:
        scale = _sample_std(r - group_mean[group, 0], group, counts.sum(1)) + epsilon
        inter = inter / scale
        if std_scope == "mode":
            mode_scale = _sample_std(intra, cell, counts.ravel()) + epsilon
            scale = np.where(valid & (counts.ravel()[cell] > 1), mode_scale, scale)
        intra = intra / scale
    if gap_centering:
        inter = inter - gap_centering * _batch_mean(inter, mode_gap != 0, mode, counts.ravel()[cell])
    mode_means = np.where(tied & pair, means.sum(1, keepdims=True) / 2, means)
    mode_means = np.where(present, mode_means, np.nan)
    found = (torch.from_numpy(part) for part in (intra, inter, mode_gap, mode_means, group))
    return AdvantageTerms(*(part.to(rewards.device) for part in found))


def _batch_mean(inter: np.ndarray, telling: np.ndarray, mode: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Mean of each telling row's mode over the batch's groups, (B,); 0 for the rows that are not ``telling``.

    A row's weight is 1 / ``count`` of its (group, mode), so that every group weighs the same.
    """
    weight = np.where(telling, 1 / count, 0.0)
    column = np.maximum(mode, 0)
    total, groups = np.bincount(column, weights=weight * inter), np.bincount(column, weights=weight)
    return np.where(telling, (total / np.maximum(groups, 1))[column], 0.0)


def _sample_std(deviation: np.ndarray, cell: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Std of each row's cell with n - 1 in the denominator (as verl's GRPO), (B,); 1 for a cell of one row.

    ``deviation``: (B,) of each row from its cell's mean; ``counts``: rows of each cell.
    """
    squares = np.bincount(cell, weights=deviation**2, minlength=len(counts))
    std = np.sqrt(squares / np.maximum(counts - 1, 1))
    return np.where(counts > 1, std, 1.0)[cell]


def dual_grpo_advantage(
    rewards: torch.Tensor,
    modes: torch.Tensor,
    groups: Sequence[Any] | torch.Tensor,
    prefix_lengths: torch.Tensor,
    response_mask: torch.Tensor,
    *,
    intra_coef: float = 1.0,
    inter_coef: float = 1.0,
    prefix_weight: float = 2.0,
    norm_by_std: bool = True,
    std_scope: str = "group",
    credit: str = "shared",
    prefix_scope: str = "all",
    deciding_position: int | None = None,
    usual_tokens: torch.Tensor | None = None,
    normalize_prefix_length: bool = False,
    gap_centering: float = 0.0,
    choice_probs: torch.Tensor | None = None,
    sampling_shares: torch.Tensor | None = None,
    prob_floor: float = 0.0,
    prefix_importance: float = 0.0,
    prefix_taper: float = 0.0,
    losing_intra_coef: float = 1.0,
    prefix_anchor: float = 0.0,
    epsilon: float = 1e-6,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token-level DualGRPO advantages, and the same tensor as returns, as verl's GRPO has it.

    With equal halves, ``intra_coef=1``, ``inter_coef=0.5``, ``prefix_weight=1`` this is GRPO; the paper counts the
    gap between the modes in full.

    Args:
        rewards: (B,) float, the scalar reward of each sample.
        modes: (B,) int, 0 .. K - 1; -1 for a response without a mode's tag.
        groups: (B,) hashables or integer tensor, equal for the samples of one prompt.
        prefix_lengths: (B,) int, tokens of the mode's prefix at the start of the response; 0 for none.
        response_mask: (B, T) 1 for tokens that are trained, right-padded.
        credit: ``shared``: every token gets A (the paper). ``decoupled``: prefix tokens get c_inter * A_inter and
            body tokens c_intra * A_intra, so that each action has its own advantage.
        prefix_scope: ``all`` tokens of the prefix (the paper), or the ``deciding`` one alone, the column
            ``deciding_position``; the prefix's other tokens, which the modes share, then get nothing.
        usual_tokens: (B,) bool, the prefix is in the tokens that ``deciding_position`` is a column of; None for all
            rows. With ``deciding``, a tag that is spelled in others has no such token and is treated like the body.
        normalize_prefix_length: divide the weight by the number of tokens it falls on, so that a mode with a longer
            tag is not learnt faster; the whole prefix then weighs as much as ``prefix_weight`` body tokens.
        gap_centering: see ``dual_grpo_terms``; 0 is the paper.
        choice_probs: (B,) float, probability under the actor of each forced row's deciding token; NaN where there is
            no such token or the mode was not forced. Needed by the next two, whose 0 is the paper.
        sampling_shares: (B,) float, the share of the group's rollouts that each row's mode was forced on.
        prob_floor: a mode that has less than this probability is not pushed further down, nor one that has more than
            1 - this further up: the inter term of such a row's prefix is 0 (``remedies.saturated``).
        prefix_importance: power of probability / share by which a forced prefix counts; at 1 the choice of mode has
            the gradient of on-policy sampling (``remedies.importance``).
        prefix_taper: power of min(1, probability / share) by which a forced prefix of negative advantage counts
            (``remedies.taper``).
        losing_intra_coef: further factor on the intra term of rows whose mode has less reward than the group's others.
            Forced samples also train a mode's answers where the other mode is right, so that in the end either mode
            answers everything and the choice no longer matters; at 0 a mode learns only where it is at least as good.
        prefix_anchor: what every prefix token but the deciding one gets on top. Rollouts that all begin with a whole
            tag never show that a broken one is worse, so that nothing but the KL term keeps the rest of a tag certain;
            a constant advantage is a supervised loss on it, on its usual tokens alone. 0 is the paper.
        std_scope: ``group``: one std over all the group's rows, so that both terms keep their proportion;
            ``mode``: the intra term is divided by its own mode's std instead (by the group's for a lone sample).

    Returns:
        advantages (B, T), dtype of ``rewards``, 0 where ``response_mask`` is 0; twice. It is the only tensor of that
        size that is made: what differs within a row is its first columns, as many as the longest prefix.

    Raises:
        ValueError: shapes that do not fit, a reward that is not finite, a prefix longer than the response tensor,
            or an option that does not exist.
    """
    _check_inputs(rewards, modes, groups, prefix_lengths, response_mask)
    _check_option("credit", credit, CREDIT)
    _check_option("prefix_scope", prefix_scope, PREFIX_SCOPE)
    _check_option("std_scope", std_scope, STD_SCOPE)
    if deciding_position is None and (prefix_scope == "deciding" or prefix_anchor):
        raise ValueError(
            "prefix_scope='deciding' and prefix_anchor need deciding_position, the column at which the prefixes differ"
        )

    terms = dual_grpo_terms(
        rewards,
        modes,
        groups,
        norm_by_std=norm_by_std,
        std_scope=std_scope,
        gap_centering=gap_centering,
        epsilon=epsilon,
    )
    intra, inter = terms.intra, terms.inter
    if losing_intra_coef != 1:
        intra = torch.where(terms.mode_gap < 0, losing_intra_coef * intra, intra)
    if intra_coef != 1:
        # An invalid row has no mode to share credit with: its plain r - group mean is not scaled.
        intra = torch.where(modes < 0, intra, intra_coef * intra)
    if inter_coef != 1:
        inter = inter_coef * inter

    body_value = intra + inter if credit == "shared" else intra
    # A product of a (B, 1) and a (B, T) tensor; a boolean or integer mask takes on the rewards' dtype in it.
    advantages = (body_value.to(rewards.dtype)[:, None] * response_mask).to(rewards.dtype)

    width = int(prefix_lengths.max()) if len(prefix_lengths) else 0
    columns = torch.arange(width, device=prefix_lengths.device)[None, :]
    prefix = columns < prefix_lengths[:, None]
    # The deciding column means nothing in another spelling, and an anchor there would teach that spelling.
    usual = prefix if usual_tokens is None else prefix & usual_tokens[:, None]
    credited = usual & (columns == deciding_position) if prefix_scope == "deciding" else prefix
    if prob_floor:
        inter = torch.where(saturated(_needed(choice_probs, "choice_probs"), inter, prob_floor), 0.0, inter)
    prefix_value = prefix_weight * (intra + inter if credit == "shared" else inter)
    if normalize_prefix_length:
        prefix_value = prefix_value / credited.sum(1).clamp(min=1)
    if prefix_importance or prefix_taper:
        probs, shares = _needed(choice_probs, "choice_probs"), _needed(sampling_shares, "sampling_shares")
        if prefix_importance:
            prefix_value = prefix_value * importance(probs, shares, prefix_importance)
        if prefix_taper:
            prefix_value = prefix_value * taper(probs, shares, prefix_value, prefix_taper)
    head = torch.where(credited, prefix_value[:, None], body_value[:, None])
    if prefix_scope == "deciding":
        head = torch.where(usual & ~credited, 0.0, head)
    if prefix_anchor:
        head = head + prefix_anchor * (usual & (columns != deciding_position))
    advantages[:, :width] = head.to(rewards.dtype) * response_mask[:, :width]
    return advantages, advantages


def _needed(values: torch.Tensor | None, name: str) -> torch.Tensor:
    if values is None:
        raise ValueError(f"prob_floor, prefix_importance and prefix_taper need {name}")
    return values


def _check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} does not exist; it is one of {', '.join(known)}")


def _check_inputs(
    rewards: torch.Tensor,
    modes: torch.Tensor,
    groups: Sequence[Any] | torch.Tensor,
    prefix_lengths: torch.Tensor,
    response_mask: torch.Tensor,
) -> None:
    if rewards.dim() != 1 or response_mask.dim() != 2:
        raise ValueError(
            f"rewards must be (B,) and response_mask (B, T), found {tuple(rewards.shape)} and "
            f"{tuple(response_mask.shape)}"
        )
    lengths = (len(rewards), len(modes), len(groups), len(prefix_lengths), len(response_mask))
    if len(set(lengths)) != 1:
        raise ValueError(f"rewards, modes, groups, prefix_lengths and response_mask differ in length: {lengths}")
    finite = torch.isfinite(rewards)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0])
        raise ValueError(f"reward of row {row} is {float(rewards[row])}; a reward must be a finite number")
    if len(prefix_lengths) and int(prefix_lengths.max()) > response_mask.shape[1]:
        raise ValueError(
            f"a prefix of {int(prefix_lengths.max())} tokens does not fit in {response_mask.shape[1]} response tokens"
        )
