"""What must hold before a model is loaded: each check says what was required, what was found and what to set."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from personadual.schedule import session_slot
from personadual.settings import BLOCK, DualGRPOSettings

logger = logging.getLogger(__name__)

REWARD_PATH = "pkg://personadual.reward_fns"
REWARD_MANAGERS = ("objective", "personalized", "dual_mode")
MANAGER_CLASS = "personadual.rollout_manager.DualAgentLoopManager"


class ConfigError(ValueError):
    """A configuration under which DualGRPO could not run, or would not be DualGRPO."""


def check_trainer_config(config: Any, settings: DualGRPOSettings) -> None:
    """Combinations of verl's settings with ours, from the resolved trainer config alone.

    Raises:
        ConfigError: the first combination that cannot work.
    """
    for check in TRAINER_CHECKS.values():
        check(config, settings)


def _check_manager(config: Any, settings: DualGRPOSettings) -> None:
    agent = config.actor_rollout_ref.rollout.get("agent") or {}
    if not agent.get("agent_loop_manager_class"):
        raise ConfigError(
            f"forced rollouts need actor_rollout_ref.rollout.agent.agent_loop_manager_class={MANAGER_CLASS}; it is not "
            "set. With hydra: +actor_rollout_ref.rollout.agent.agent_loop_manager_class=... or +dual_grpo=default."
        )


def _check_samples_per_mode(config: Any, settings: DualGRPOSettings) -> None:
    """With n rollouts a prompt, every mode that has a share must get a sample, and should get two."""
    if config.algorithm.adv_estimator != "dual_grpo":
        return
    n, shares = int(config.actor_rollout_ref.rollout.n), settings.rollout_shares()
    if n < 2:
        raise ConfigError(f"actor_rollout_ref.rollout.n must be at least 2, found {n}; the paper uses 8")
    slots = Counter(session_slot(session, shares) for session in range(n))
    for index, name in enumerate(settings.modes.names):
        if shares[index] > 0 and not slots[index]:
            raise ConfigError(
                f"actor_rollout_ref.rollout.n={n} gives mode {name!r} no sample at its share of {shares[index]:.3g}; "
                f"set n to at least {math.ceil(1 / shares[index])}, or change {BLOCK}.mode_shares or free_share"
            )
        if slots[index] == 1:
            logger.warning(
                "actor_rollout_ref.rollout.n=%s gives mode %r one sample, whose intra advantage is always 0; "
                "with n of %s or more its samples are compared",
                n,
                name,
                math.ceil(2 / shares[index]),
            )


def _check_bypass_mode(config: Any, settings: DualGRPOSettings) -> None:
    correction = config.algorithm.get("rollout_correction") or {}
    if correction.get("bypass_mode", False) and settings.free_share < 1:
        raise ConfigError(
            "algorithm.rollout_correction.bypass_mode=True takes the rollout's log-probs as the old policy's, but a "
            "forced prefix was not sampled and has none. Set bypass_mode=False (the actor recomputes them), or "
            f"{BLOCK}.free_share=1"
        )


def _check_policy_loss(config: Any, settings: DualGRPOSettings) -> None:
    policy_loss = config.actor_rollout_ref.actor.get("policy_loss") or {}
    if policy_loss.get("loss_mode") == "geo_mean":
        raise ConfigError(
            "actor_rollout_ref.actor.policy_loss.loss_mode=geo_mean averages the advantage over a response, so prefix "
            "tokens would lose theirs. Use vanilla (or another loss that takes advantages per token)."
        )


TRAINER_CHECKS: dict[str, Callable[[Any, DualGRPOSettings], None]] = {
    "agent loop manager": _check_manager,
    "samples per mode": _check_samples_per_mode,
    "bypass mode": _check_bypass_mode,
    "policy loss": _check_policy_loss,
}
"""``check_trainer_config``'s, by name; each raises ConfigError."""


def check_response_length(config: Any, settings: DualGRPOSettings, prefixes: Sequence[Sequence[int]]) -> None:
    """A forced prefix must leave room for an answer."""
    longest = max(range(len(prefixes)), key=lambda index: len(prefixes[index]))
    needed = len(prefixes[longest]) + 1
    if config.data.max_response_length < needed:
        raise ConfigError(
            f"data.max_response_length={config.data.max_response_length} cannot hold the prefix of mode "
            f"{settings.modes[longest].name!r} ({len(prefixes[longest])} tokens) and an answer; set at least {needed}"
        )


def check_datasets(config: Any, settings: DualGRPOSettings, datasets: Mapping[str, Any]) -> None:
    """Every data source has a grader, and every row that asks for a mode asks for a configured one.

    Args:
        datasets: config key or file -> a ``datasets.Dataset``.

    Raises:
        ConfigError: naming the key, the value and how to mend it.
    """
    for key, dataset in datasets.items():
        columns = set(dataset.column_names)
        if "data_source" in columns and uses_our_reward(config):
            check_sources(config, key, sorted({str(source) for source in dataset.unique("data_source")}))
        if "extra_info" in columns:
            check_asked_modes(settings, key, dataset["extra_info"])


def uses_our_reward(config: Any) -> bool:
    """Whether rewards come from ``personadual.reward_fns`` (by function or by reward manager)."""
    function = config.reward.get("custom_reward_function") or {}
    manager = config.reward.get("reward_manager") or {}
    return function.get("path") == REWARD_PATH or (not function.get("path") and manager.get("name") in REWARD_MANAGERS)


def check_sources(config: Any, key: str, sources: list[str]) -> None:
    """Every one of a file's data sources has a grader. Raises ConfigError with the override that gives it one."""
    from personadual.reward_fns import check_data_sources

    if config.reward.reward_manager.get("name") in ("objective", "personalized"):
        return  # these grade every source alike
    function = config.reward.get("custom_reward_function") or {}
    graders = (function.get("reward_kwargs") or {}).get("graders")
    try:
        check_data_sources(sources, graders)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def check_asked_modes(settings: DualGRPOSettings, key: str, extra_infos: Iterable[Mapping[str, Any] | None]) -> None:
    """Every row that asks for a mode asks for a configured one. Raises ConfigError with the first row (from 0)."""
    from personadual import schema

    known = (None, schema.FREE, *settings.modes.names)
    for row, info in enumerate(extra_infos):
        asked = (info or {}).get(schema.ASKED_MODE)
        if asked not in known:
            raise ConfigError(
                f"{key}, row {row}: extra_info.{schema.ASKED_MODE} is {asked!r}; it must be {schema.FREE!r} or one of "
                f"the modes {', '.join(settings.modes.names)}"
            )
