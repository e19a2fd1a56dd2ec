"""What a training step and a validation say about the modes: pure functions of arrays, no verl.

verl merges the mini-steps of a step by *substring* of the metric's name (verl/trainer/ppo/v1/utils.py,
MetricsAggregator): one that contains max, min, sum or total is not averaged. So every name here ends in /mean and
``metric_label`` keeps such words out of the part that comes from the data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from personadual.modes import INVALID_MODE, Modes

if TYPE_CHECKING:  # `personadual plot` reads names from here and is to start without torch
    import torch

    from personadual.advantage import AdvantageTerms
    from personadual.estimator import RolloutRows

TRAIN = "dual_grpo"
VALIDATION = "val-dual"
# Matched by look-ahead: words may overlap, and cutting one must not leave another.
_AGGREGATION_WORDS = re.compile(r"(?=max|min|sum|total)(.)", re.IGNORECASE)


def metric_label(name: str) -> str:
    """A data source or mode as part of a metric's name; a word by which verl picks an aggregation gets a dot inside."""
    return _AGGREGATION_WORDS.sub(r"\1.", name)


def training_metrics(
    rows: RolloutRows,
    terms: AdvantageTerms,
    rewards: torch.Tensor,
    data_sources: Sequence[str],
    modes: Modes,
    collapse_below: float,
    asked: tuple[int, int] | None = None,
) -> dict[str, float]:
    """Metrics of one batch, over all rows (``dual_grpo/...``) and per data source (``dual_grpo/<source>/...``).

    Args:
        rewards: (B,) float. data_sources: (B,) names. Padding rows are left out of everything.
        asked: how many prompts the batch is of, and how many rollouts of each; None if that is not known.

    Returns per scope, for each mode m: ``share_<m>``, ``reward_<m>``, ``win_<m>`` (share of groups in which m has the
    highest mean reward; ties count for none), ``prob_<m>`` (probability of the deciding token of m's prefix, over
    the rows forced into m), ``push_<m>`` (mean inter term of m's rows: over all rows, how strongly the batch pushes
    every prompt towards m at once); then ``share_invalid``, ``mode_gap`` (mean over groups of the best mode's
    mean reward minus the worst's), ``intra_abs`` and ``inter_abs`` (mean absolute terms). All three are of the terms as
    ``dual_grpo_terms`` gives them: over the std and less ``gap_centering`` where these are on, before the coefficients
    and everything else that ``dual_grpo_advantage`` does with them. Over all rows also ``collapsed``: 1 if some mode's
    ``prob_`` is below ``collapse_below``; ``prompt_cache_hit``: share of the prompts' and forced prefixes' tokens that
    the engine's prefix cache served, where the engine says so; and where it is known what was asked,
    ``missing``, ``short_groups`` and ``lost_groups`` (see ``_missing_metrics``).
    """
    table = _row_table(rows, terms, rewards, data_sources)
    table = table[~rows.padding.numpy()]
    if table.empty:
        return {}
    metrics = _scope_metrics(table, terms.mode_means.numpy(), modes, f"{TRAIN}/")
    for source, part in table.groupby("source", sort=True):
        metrics |= _scope_metrics(part, terms.mode_means.numpy(), modes, f"{TRAIN}/{metric_label(str(source))}/")
    if asked is not None:
        metrics |= _missing_metrics(table["group"], *asked)
    cached = rows.cached[~rows.padding & ~rows.cached.isnan()]
    if len(cached):
        metrics[f"{TRAIN}/prompt_cache_hit/mean"] = float(cached.mean())
    probabilities = [metrics.get(f"{TRAIN}/prob_{metric_label(name)}/mean") for name in modes.names]
    if any(p is not None for p in probabilities):
        metrics[f"{TRAIN}/collapsed/mean"] = float(any(p is not None and p < collapse_below for p in probabilities))
    return metrics


def _missing_metrics(groups: pd.Series, prompts: int, rollouts: int) -> dict[str, float]:
    """What is not there of ``prompts`` times ``rollouts``; ``groups``: each row's group.

    ``missing``: share of the rollouts; ``short_groups``: share of the prompts that lack some, or all;
    ``lost_groups``: share of those that lack all, of which no row is left to tell.
    """
    # A prompt may ask for more by a data column of its own: that makes up for no other prompt.
    sizes = groups.value_counts().clip(upper=rollouts)
    prompts = max(prompts, len(sizes))
    return {
        f"{TRAIN}/missing/mean": float(1 - sizes.sum() / (prompts * rollouts)),
        f"{TRAIN}/short_groups/mean": float(1 - (sizes == rollouts).sum() / prompts),
        f"{TRAIN}/lost_groups/mean": 1 - len(sizes) / prompts,
    }


def _row_table(
    rows: RolloutRows,
    terms: AdvantageTerms,
    rewards: torch.Tensor,
    data_sources: Sequence[str],
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "mode": rows.modes.numpy(),
            "reward": rewards.double().numpy(),
            "intra": terms.intra.abs().numpy(),
            "inter": terms.inter.numpy(),
            "group": terms.group_index.numpy(),
            "prob": rows.choice_probs.numpy(),
            "source": np.asarray(data_sources, dtype=object),
        }
    )


def _scope_metrics(table: pd.DataFrame, mode_means: np.ndarray, modes: Modes, scope: str) -> dict[str, float]:
    metrics: dict[str, float] = {}
    group_means = mode_means[table["group"].unique()]
    complete = group_means[~np.isnan(group_means).any(axis=1)] if group_means.size else group_means
    for index, name in enumerate(map(metric_label, modes.names)):
        part = table[table["mode"] == index]
        metrics[f"{scope}share_{name}/mean"] = len(part) / len(table)
        if len(part):
            metrics[f"{scope}reward_{name}/mean"] = float(part["reward"].mean())
            metrics[f"{scope}push_{name}/mean"] = float(part["inter"].mean())
        if part["prob"].notna().any():
            metrics[f"{scope}prob_{name}/mean"] = float(part["prob"].mean())
        if len(complete) and complete.shape[1] == len(modes):
            rest = np.delete(complete, index, axis=1)
            metrics[f"{scope}win_{name}/mean"] = float((complete[:, index] > rest.max(axis=1)).mean())
    metrics[f"{scope}share_invalid/mean"] = float((table["mode"] == INVALID_MODE).mean())
    if len(complete) and complete.shape[1] == len(modes):
        metrics[f"{scope}mode_gap/mean"] = float((complete.max(axis=1) - complete.min(axis=1)).mean())
    metrics[f"{scope}intra_abs/mean"] = float(table["intra"].mean())
    metrics[f"{scope}inter_abs/mean"] = float(table["inter"].abs().mean())
    return metrics


def validation_metrics(
    data_sources: Sequence[str],
    items: Sequence[int],
    asked: Sequence[int],
    chosen: Sequence[int],
    acc: Sequence[float],
    modes: Modes,
    lost: Mapping[tuple[str, int], int] | None = None,
) -> dict[str, float]:
    """Mode metrics of a validation run, per data source under ``val-dual/<source>/``.

    Args (one entry per sample): ``items``: rows with the same item ask the same prompt; -1 for none. ``asked``: index
    of the mode the row was forced into, -1 for a free choice. ``chosen``: index of the response's mode, -1 invalid.
    ``lost``: number of samples that failed, by (data source, asked); they are none of the entries.

    Returns: ``acc_free``, ``acc_forced_<m>``, in which a lost sample is wrong (where none is there at all, there is no
    number); ``share_<m>`` and ``share_invalid`` of the free samples that are there; and for items that were asked
    freely and in every mode, with a_m the item's mean accuracy forced into m over the samples that are there:
    ``hybrid_accuracy`` = share of free samples whose mode has a_m = max a (invalid counts as wrong, a tie as right),
    ``regret`` = mean of max_m a_m - accuracy of the free samples.
    """
    table = pd.DataFrame({"source": data_sources, "item": items, "asked": asked, "chosen": chosen, "acc": acc})
    metrics: dict[str, float] = {}
    lost = lost or {}
    for source, part in table.groupby("source", sort=True):
        scope = f"{VALIDATION}/{source}/"
        free = part[part["asked"] == INVALID_MODE]
        if len(free):
            metrics[f"{scope}acc_free/mean"] = _accuracy(free, lost.get((str(source), INVALID_MODE), 0))
            for index, name in enumerate(modes.names):
                metrics[f"{scope}share_{name}/mean"] = float((free["chosen"] == index).mean())
            metrics[f"{scope}share_invalid/mean"] = float((free["chosen"] == INVALID_MODE).mean())
        forced = part[(part["asked"] >= 0) & (part["item"] >= 0)]
        for index, name in enumerate(modes.names):
            own = part[part["asked"] == index]
            if len(own):
                metrics[f"{scope}acc_forced_{name}/mean"] = _accuracy(own, lost.get((str(source), index), 0))
        by_mode = forced.pivot_table(index="item", columns="asked", values="acc", aggfunc="mean")
        if by_mode.shape[1] == len(modes):
            metrics |= _choice_metrics(free, by_mode.dropna(), scope)
    return metrics


def _accuracy(samples: pd.DataFrame, lost: int) -> float:
    return float(samples["acc"].sum() / (len(samples) + lost))


def _choice_metrics(free: pd.DataFrame, by_mode: pd.DataFrame, scope: str) -> dict[str, float]:
    known = free[free["item"].isin(by_mode.index)]
    if known.empty:
        return {}
    accuracy = by_mode.loc[known["item"]].to_numpy()
    best = accuracy.max(axis=1)
    chosen = known["chosen"].to_numpy()
    of_choice = accuracy[np.arange(len(known)), np.maximum(chosen, 0)]
    right = (chosen >= 0) & (of_choice == best)
    regret = best - known["acc"].to_numpy(dtype=float)
    return {
        f"{scope}hybrid_accuracy/mean": float(right.mean()),
        f"{scope}regret/mean": float(regret.mean()),
    }
