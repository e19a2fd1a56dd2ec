"""What must hold before a model is loaded: each check says what was required, what was found and what to set."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from personadual import schema
from personadual.modes import deciding_position, modes_sharing_a_token
from personadual.schedule import session_slot
from personadual.settings import BLOCK, DualGRPOSettings

logger = logging.getLogger(__name__)

REWARD_PATH = "pkg://personadual.reward_fns"
SINGLE_GRADERS = ("objective", "personalized")
"""Reward managers that grade every source alike, by the grader of the same name."""
REWARD_MANAGERS = (*SINGLE_GRADERS, "dual_mode")
MANAGER_CLASS = "personadual.rollout_manager.DualAgentLoopManager"
VERLS_LOOP = "single_turn_agent"
"""verl's default_agent_loop."""


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


def _check_agent_loop(config: Any, settings: DualGRPOSettings) -> None:
    """Our manager writes our loop into every batch, so verl reads no other default. A user's manager may."""
    agent = config.actor_rollout_ref.rollout.get("agent") or {}
    loop = agent.get("default_agent_loop")
    if agent.get("agent_loop_manager_class") == MANAGER_CLASS and loop not in (None, VERLS_LOOP, schema.AGENT_NAME):
        key = "actor_rollout_ref.rollout.agent"
        raise ConfigError(
            f"{key}.default_agent_loop={loop} would never run: all rollouts, validation's too, are single turns of "
            f"{schema.AGENT_NAME}, which forces the modes. Leave it out; for tools or turns of your own make a "
            f"subclass of personadual.rollout.DualModeAgentLoop and name it {schema.AGENT_NAME} in the file of "
            f"{key}.agent_loop_config_path"
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
    "agent loop": _check_agent_loop,
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


def deciding_token_users(config: Any, settings: DualGRPOSettings) -> list[str]:
    """The settings in use that train or read the deciding token, as KEY=VALUE below ``algorithm.dual_grpo``."""
    if config.algorithm.adv_estimator != "dual_grpo":
        return []
    used = [f"{name}={getattr(settings, name):g}" for name in _ON_DECIDING_TOKEN if getattr(settings, name)]
    return (["prefix_scope=deciding"] if settings.prefix_scope == "deciding" else []) + used


_ON_DECIDING_TOKEN = ("prefix_anchor", "prob_floor", "prefix_taper", "prefix_importance")


def check_deciding_token(
    config: Any, settings: DualGRPOSettings, prefixes: Sequence[Sequence[int]], tokenizer: Any
) -> str:
    """The deciding token tells every two modes apart, where a setting relies on it.

    Args:
        prefixes: token ids of each mode's prefix, in order. tokenizer: theirs.

    Returns:
        What to warn of where only metrics rely on it; "" where there is nothing to say.

    Raises:
        ConfigError: naming modes, tokens and settings.
    """
    groups = modes_sharing_a_token(prefixes)
    if not groups:
        return ""
    column, names = deciding_position(prefixes), settings.modes.names
    shared = "; ".join(
        f"{' and '.join(repr(names[index]) for index in group)} share "
        f"{tokenizer.decode([prefixes[group[0]][column]])!r}"
        for group in groups
    )
    problem = f"the modes' prefixes part at token {column + 1}, and there {shared}"
    remedy = f"Choose tags under {BLOCK}.modes whose first different token differs in every pair of modes"
    users = deciding_token_users(config, settings)
    if users:
        raise ConfigError(f"{problem}, but {', '.join(users)} ({BLOCK}) needs one token per mode. {remedy}")
    return f"{problem}: the metrics dual_grpo/prob_* and collapsed speak of these modes together. {remedy}"


def check_datasets(config: Any, settings: DualGRPOSettings, datasets: Mapping[str, Any]) -> None:
    """Data sources have graders, rows that ask for a mode ask for a configured one, and all rows can be graded.

    Args:
        datasets: config key or file -> a ``datasets.Dataset``.

    Raises:
        ConfigError: naming the key, the row, the value and how to mend it.
    """
    for key, dataset in datasets.items():
        columns = set(dataset.column_names)
        ours = uses_our_reward(config)
        if schema.DATA_SOURCE in columns and ours:
            check_sources(config, key, sorted({str(source) for source in dataset.unique(schema.DATA_SOURCE)}))
        if schema.EXTRA_INFO in columns:
            check_asked_modes(settings, key, dataset[schema.EXTRA_INFO])
        # A data set class of the user's may make of these columns what it does.
        if {schema.DATA_SOURCE, schema.REWARD_MODEL} <= columns and ours and not _custom_dataset(config):
            wanted = [name for name in (schema.DATA_SOURCE, schema.REWARD_MODEL, schema.EXTRA_INFO) if name in columns]
            check_ground_truths(config, key, dataset.select_columns(wanted))


def _custom_dataset(config: Any) -> bool:
    return bool((config.data.get("custom_cls") or {}).get("path"))


def uses_our_reward(config: Any) -> bool:
    """Whether rewards come from ``personadual.reward_fns`` (by function or by reward manager)."""
    function = config.reward.get("custom_reward_function") or {}
    manager = config.reward.get("reward_manager") or {}
    return function.get("path") == REWARD_PATH or (not function.get("path") and manager.get("name") in REWARD_MANAGERS)


def check_sources(config: Any, key: str, sources: list[str]) -> None:
    """Every one of a file's data sources has a grader. Raises ConfigError with the override that gives it one."""
    from personadual.reward_fns import check_data_sources

    if config.reward.reward_manager.get("name") in SINGLE_GRADERS:
        return  # these grade every source alike
    function = config.reward.get("custom_reward_function") or {}
    graders = (function.get("reward_kwargs") or {}).get("graders")
    try:
        check_data_sources(sources, graders)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def check_ground_truths(config: Any, key: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """The grader can read every row's ground truth, options and accepted answers.

    A row that it can't read fails each of its rollouts; synchronous training would go on without it and not say so.

    Args:
        rows: with ``data_source``, ``reward_model`` and, if there is one, ``extra_info``; its sources have graders.

    Raises:
        ConfigError: with the first such row (from 0) and its field.
    """
    from personadual.reward_fns import read_settings
    from personadual.reward_fns.compose import score_row

    manager = config.reward.reward_manager.get("name")
    function = config.reward.get("custom_reward_function") or {}
    try:
        settings = read_settings(**(function.get("reward_kwargs") or {}))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"reward.custom_reward_function.reward_kwargs: {error}") from None
    grader = manager if manager in SINGLE_GRADERS else None
    for row, entry in enumerate(rows):
        truth: Any = (entry[schema.REWARD_MODEL] or {}).get(schema.GROUND_TRUTH)
        info = entry.get(schema.EXTRA_INFO) or {}
        try:
            # An empty response is graded up to the comparison with the truth, which is all that could fail.
            score_row(str(entry[schema.DATA_SOURCE]), "", truth, info, settings=settings, grader=grader)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{key}, row {row}: {schema.REWARD_MODEL}.{schema.GROUND_TRUTH} can't be graded, so that every rollout "
                f"of the row would fail: {error}. Mend or drop the row; `personadual data validate` lists all such rows"
            ) from None


def check_asked_modes(settings: DualGRPOSettings, key: str, extra_infos: Iterable[Mapping[str, Any] | None]) -> None:
    """Every row that asks for a mode asks for a configured one. Raises ConfigError with the first row (from 0)."""
    known = (None, schema.FREE, *settings.modes.names)
    for row, info in enumerate(extra_infos):
        asked = (info or {}).get(schema.ASKED_MODE)
        if asked not in known:
            raise ConfigError(
                f"{key}, row {row}: extra_info.{schema.ASKED_MODE} is {asked!r}; it must be {schema.FREE!r} or one of "
                f"the modes {', '.join(settings.modes.names)}"
            )
