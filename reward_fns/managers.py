"""verl reward managers: ``reward.reward_manager.name`` = ``dual_mode``, ``objective`` or ``personalized``.

Importing this module registers them. They grade by ``compute_score`` whether or not
``reward.custom_reward_function.path`` names it; its ``reward_kwargs`` are read either way, and checked at once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from personadual.reward_fns.compose import compute_score, score_row
from personadual.reward_fns.graders import OBJECTIVE, PERSONALIZED
from personadual.reward_fns.settings import read_settings

OUR_PATH, OUR_NAME = "personadual.reward_fns", compute_score.__name__


@register("dual_mode")
class DualModeRewardManager(NaiveRewardManager):
    """Grades each row as its data source says.

    Args:
        config: verl's config; ``reward.custom_reward_function`` is read.
        tokenizer: decodes the responses.
        compute_score: what verl found for the config. Not used: it is ``compute_score`` of this package, or verl's
            default where none is configured.
        reward_router_address, reward_model_tokenizer: verl passes them to every manager; rules need neither.

    Raises:
        TypeError, ValueError: the ``reward_kwargs`` are not those of ``compute_score``, or another function is
            configured, which would never be called.
    """

    grader: str | None = None  # of every row, whatever its source

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ):
        function = config.reward.get("custom_reward_function") or {}
        _refuse_other_function(function)
        settings = read_settings(**(function.get("reward_kwargs") or {}))
        super().__init__(config, tokenizer, partial(score_row, settings=settings, grader=self.grader))


@register("objective")
class ObjectiveRewardManager(DualModeRewardManager):
    """Grades every row with ``graders.objective``, whatever its data source."""

    grader = OBJECTIVE


@register("personalized")
class PersonalizedRewardManager(DualModeRewardManager):
    """Grades every row with ``graders.personalized``, whatever its data source."""

    grader = PERSONALIZED


def _refuse_other_function(function: Any) -> None:
    path = function.get("path")
    if not path:
        return
    module = str(path).removeprefix("pkg://").replace("/", ".")
    if module != OUR_PATH or function.get("name") != OUR_NAME:
        raise ValueError(
            f"reward.custom_reward_function is {function.get('name')!r} of {path!r}, which this reward manager would "
            "not call. Take reward.reward_manager.name=naive to use it, or leave the path null."
        )
