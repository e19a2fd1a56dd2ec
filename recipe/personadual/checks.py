"""What must hold before a model is loaded: each check says what was required, what was found and what to set."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
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
    rollout = config.actor_rollout_ref.rollout
    agent = rollout.get("agent") or {}
    if not agent.get("agent_loop_manager_class"):
        raise ConfigError(
            f"forced rollouts need actor_rollout_ref.rollout.agent.agent_loop_manager_class={MANAGER_CLASS}; it is not "
            "set. With hydra: +actor_rollout_ref.rollout.agent.agent_loop_manager_class=... or +dual_grpo=default."
        )
    if config.algorithm.adv_estimator == "dual_grpo":
        _check_samples_per_mode(int(rollout.n), settings)
    correction = config.algorithm.get("rollout_correction") or {}
    if correction.get("bypass_mode", False) and settings.free_share < 1:
        raise ConfigError(
            "algorithm.rollout_correction.bypass_mode=True takes the rollout's log-probs as the old policy's, but a "
            "forced prefix was not sampled and has none. Set bypass_mode=False (the actor recomputes them), or "
            f"{BLOCK}.free_share=1"
        )
    policy_loss = config.actor_rollout_ref.actor.get("policy_loss") or {}
    if policy_loss.get("loss_mode") == "geo_mean":
        raise ConfigError(
            "actor_rollout_ref.actor.policy_loss.loss_mode=geo_mean averages the advantage over a response, so prefix "
            "tokens would lose theirs. Use vanilla (or another loss that takes advantages per token)."
        )


def _check_samples_per_mode(n: int, settings: DualGRPOSettings) -> None:
    """With n rollouts a prompt, every mode that has a share must get a sample, and should get two."""
    shares = settings.rollout_shares()
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
            _check_sources(config, key, sorted({str(source) for source in dataset.unique("data_source")}))
        if "extra_info" in columns:
            _check_asked_modes(settings, key, dataset["extra_info"])


def check_data_files(config: Any, settings: DualGRPOSettings) -> None:
    """``check_datasets`` on the parquet files of ``data.train_files`` and ``data.val_files``, before verl reads them.

    Raises:
        ConfigError: a file is missing, or ``check_datasets`` finds something.
    """
    import datasets

    loaded = {}
    for key in ("train_files", "val_files"):
        names = config.data[key]
        for name in [names] if isinstance(names, str) else names:
            path = os.path.expanduser(name)
            if not os.path.isfile(path):
                raise ConfigError(f"data.{key}: {name} is not a file; build it first, or set data.{key}=PATH")
            loaded[f"data.{key} ({name})"] = datasets.Dataset.from_parquet(path, keep_in_memory=True)
    check_datasets(config, settings, loaded)


def uses_our_reward(config: Any) -> bool:
    """Whether rewards come from ``personadual.reward_fns`` (by function or by reward manager)."""
    function = config.reward.get("custom_reward_function") or {}
    manager = config.reward.get("reward_manager") or {}
    return function.get("path") == REWARD_PATH or (not function.get("path") and manager.get("name") in REWARD_MANAGERS)


def _check_sources(config: Any, key: str, sources: list[str]) -> None:
    from personadual.reward_fns import check_data_sources

    if config.reward.reward_manager.get("name") in ("objective", "personalized"):
        return  # these grade every source alike
    function = config.reward.get("custom_reward_function") or {}
    graders = (function.get("reward_kwargs") or {}).get("graders")
    try:
        check_data_sources(sources, graders)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def _check_asked_modes(settings: DualGRPOSettings, key: str, extra_infos: Any) -> None:
    from personadual import schema

    known = (None, schema.FREE, *settings.modes.names)
    for row, info in enumerate(extra_infos):
        asked = (info or {}).get(schema.ASKED_MODE)
        if asked not in known:
            raise ConfigError(
                f"{key}, row {row}: extra_info.{schema.ASKED_MODE} is {asked!r}; it must be {schema.FREE!r} or one of "
                f"the modes {', '.join(settings.modes.names)}"
            )
