"""Entry point ``verl.plugins``: registers everything with verl, each piece when verl first needs it.

Every process that imports verl loads this module, so it imports nothing heavy: a post-import hook (wrapt, PEP 369)
waits for the verl module whose registry a piece belongs to. Also usable as
``VERL_USE_EXTERNAL_MODULES=personadual.plugin``. verl swallows errors of entry points (verl/__init__.py:73-76);
``personadual doctor`` shows them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import wrapt

from personadual.versions import check_verl


def register_estimator(core_algos: Any) -> None:
    """verl.trainer.ppo.core_algos -> advantage estimator ``dual_grpo``."""
    from personadual.estimator import ESTIMATOR_NAME, dual_grpo

    core_algos.register_adv_est(ESTIMATOR_NAME)(dual_grpo)


def register_trainers(_module: Any) -> None:
    """verl.trainer.ppo.v1 -> trainers ``dual_grpo_{sync,colocate_async,separate_async}``."""
    import_module("personadual.trainer")


def register_agent_loop(_module: Any) -> None:
    """verl.experimental.agent_loop -> agent loop ``dual_grpo_agent``."""
    import_module("personadual.rollout")


def register_reward_managers(_module: Any) -> None:
    """verl.experimental.reward_loop.reward_manager -> ``objective``, ``personalized``, ``dual_mode``."""
    import_module("personadual.reward_fns.managers")


HOOKS: dict[str, Callable[[Any], None]] = {
    "verl.trainer.ppo.core_algos": register_estimator,
    "verl.trainer.ppo.v1": register_trainers,
    "verl.experimental.agent_loop": register_agent_loop,
    "verl.experimental.reward_loop.reward_manager": register_reward_managers,
}


def register() -> None:
    """Check verl's version, switch on the CPU platform if VERL_PLATFORM=cpu, and place the hooks."""
    check_verl()
    if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
        from personadual import cpu

        cpu.activate()
    for module, hook in HOOKS.items():
        wrapt.register_post_import_hook(hook, module)


register()
