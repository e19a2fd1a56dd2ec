"""The keys of ``algorithm.dual_grpo``: one documented field per knob, the paper's value as default.

verl hands the estimator a plain DictConfig and checks nothing below ``algorithm``, so the block is read here, once,
when the trainer starts: an unknown key or an impossible value is refused by name before a model is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from personadual.keys import check_known_keys
from personadual.modes import DEFAULT_MODES, Modes
from personadual.options import CREDIT, PREFIX_SCOPE, STD_SCOPE

BLOCK = "algorithm.dual_grpo"

_SHARES = (
    "gap_centering",
    "prob_floor",
    "prefix_importance",
    "prefix_taper",
    "losing_intra_coef",
    "free_share",
    "collapse_below",
)  # numbers between 0 and 1


@dataclass(frozen=True)
class DualGRPOSettings:
    """Settings of DualGRPO. Equation and symbols: ``personadual.advantage``."""

    modes: Modes = DEFAULT_MODES
    """The modes, in order; given as a list of {name, tag}, or as the path of a YAML file that holds one."""
    intra_coef: float = 1.0
    """c_intra, weight of a sample's reward against the mean of its own mode."""
    inter_coef: float = 1.0
    """c_inter, weight of its mode's mean against the other modes' means; 0.5 with two modes is plain GRPO."""
    prefix_weight: float = 2.0
    """alpha, factor on the advantage of prefix tokens."""
    credit: str = "shared"
    """Which advantage prefix and body tokens get: ``shared`` or ``decoupled``."""
    prefix_scope: str = "all"
    """Prefix tokens that are trained: ``all``, or only the ``deciding`` one."""
    std_scope: str = "group"
    """What the intra term's std is taken over, if algorithm.norm_adv_by_std_in_grpo is on: ``group`` or ``mode``."""
    normalize_prefix_length: bool = False
    """Divide alpha by the number of prefix tokens it falls on."""
    gap_centering: float = 0.0
    """Part of each mode's mean inter term over the batch that is taken off it, 0 (the paper) to 1."""
    gap_centering_steps: int = 0
    """Steps over which gap_centering declines to 0; 0 keeps it for the whole run."""
    prob_floor: float = 0.0
    """A mode less probable than this is not pushed further down (and at more than 1 - this not further up); 0: off."""
    prefix_importance: float = 0.0
    """Power of (probability of a forced mode / its share of the rollouts) by which its prefix counts; 0: off."""
    prefix_taper: float = 0.0
    """Power of min(1, that ratio) by which a forced prefix of negative advantage counts; 0: off."""
    losing_intra_coef: float = 1.0
    """Further factor on the intra term where a sample's mode has less reward than the other modes in its group."""
    prefix_anchor: float = 0.0
    """Advantage that every prefix token but the deciding one gets on top, so that a tag stays whole; 0: off."""
    mode_shares: Mapping[str, float] | None = None
    """Relative share of forced rollouts per mode name; null for equal shares."""
    free_share: float = 0.0
    """Share of a prompt's rollouts whose mode the model chooses itself; 1 forces none."""
    collapse_below: float = 0.05
    """dual_grpo/collapsed is 1 in a step whose prompts give some mode less than this probability on average."""
    baseline: bool = False
    """Another advantage estimator than ours is meant. Training does not read it; without it ``doctor`` warns of one."""

    def __post_init__(self) -> None:
        for name in ("intra_coef", "inter_coef", "prefix_weight", "prefix_anchor", *_SHARES):
            _check_number(name, getattr(self, name), 1.0 if name in _SHARES else None)
        for name in ("normalize_prefix_length", "baseline"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{BLOCK}.{name} must be true or false, found {getattr(self, name)!r}")
        steps = self.gap_centering_steps
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
            raise ValueError(f"{BLOCK}.gap_centering_steps must be a whole number >= 0, found {steps!r}")
        if self.prob_floor >= 0.5:
            raise ValueError(f"{BLOCK}.prob_floor must be below 0.5, or no mode could win; found {self.prob_floor!r}")
        for name, known in (("credit", CREDIT), ("prefix_scope", PREFIX_SCOPE), ("std_scope", STD_SCOPE)):
            if getattr(self, name) not in known:
                raise ValueError(f"{BLOCK}.{name} must be one of {', '.join(known)}, found {getattr(self, name)!r}")
        if self.mode_shares is not None:
            if not isinstance(self.mode_shares, Mapping):
                raise ValueError(f"{BLOCK}.mode_shares must map mode names to shares, found {self.mode_shares!r}")
            if set(self.mode_shares) != set(self.modes.names):
                raise ValueError(
                    f"{BLOCK}.mode_shares must name each of the modes {', '.join(self.modes.names)} once, "
                    f"found {', '.join(map(str, self.mode_shares))}"
                )
            for name, share in self.mode_shares.items():
                _check_number(f"mode_shares.{name}", share)
            if sum(self.mode_shares.values()) <= 0:
                raise ValueError(f"{BLOCK}.mode_shares must not all be 0, found {dict(self.mode_shares)}")

    @classmethod
    def from_config(cls, block: Mapping[str, Any] | None) -> DualGRPOSettings:
        """Read the block ``algorithm.dual_grpo`` (DictConfig or dict).

        Raises:
            ValueError: no block, an unknown key (with the nearest known one), or an impossible value.
        """
        if block is None:
            raise ValueError(
                f"{BLOCK} is missing. Add the group file: 'hydra.searchpath=[pkg://personadual.config]' "
                "+dual_grpo=default, or start from --config-path pkg://personadual.config --config-name "
                "dual_grpo_trainer"
            )
        values = {key: _plain(block[key]) for key in block}
        check_known_keys(BLOCK, values, (field.name for field in fields(cls)))
        values["modes"] = Modes.from_config(values.get("modes"))
        return cls(**values)

    def centering_at(self, step: int) -> float:
        """``gap_centering`` in training step ``step`` (1-based): declining linearly over ``gap_centering_steps``."""
        if not self.gap_centering_steps:
            return self.gap_centering
        return self.gap_centering * max(0.0, 1 - (step - 1) / self.gap_centering_steps)

    def rollout_shares(self) -> list[float]:
        """Share of a prompt's rollouts per mode, in order, and last the share of free ones; they add up to 1."""
        weights = [1.0 if self.mode_shares is None else float(self.mode_shares[name]) for name in self.modes.names]
        forced = 1.0 - self.free_share
        return [forced * weight / sum(weights) for weight in weights] + [self.free_share]


def _check_number(name: str, value: Any, most: float | None = None) -> None:
    """A finite number >= 0, and <= ``most``; ValueError that names the key otherwise."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= sys.float_info.max or (most is not None and value > most):
        needed = ">= 0" if most is None else f"between 0 and {most:g}"
        raise ValueError(f"{BLOCK}.{name} must be a finite number {needed}, found {value!r}")


def _plain(value: Any) -> Any:
    """OmegaConf containers to dict and list, without importing OmegaConf for plain values."""
    if type(value).__module__.startswith("omegaconf"):
        from omegaconf import OmegaConf

        return OmegaConf.to_container(value, resolve=True)
    return value
