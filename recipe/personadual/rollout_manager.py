"""Tells the agent loops whether a batch trains or validates, and gives them reward workers that outlive one another.

verl drops that flag before the agent loop (verl/trainer/ppo/v1/agent_loop_tq.py, generate_sequences), and only the
manager sees the whole batch before it is split among the workers.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.utils import tensordict_utils as tu

from personadual import schema
from personadual.reward_workers import Replacement, RewardWorkers


class DualAgentLoopManager(AgentLoopManagerTQ):
    """Sends every row to ``personadual.rollout.DualModeAgentLoop``; a data column ``agent_name`` is left as it is.

    Set as ``actor_rollout_ref.rollout.agent.agent_loop_manager_class``.

    ``asked_modes``: uid -> name of the mode that the prompt asked for, of validation prompts that are forced into one.
    Of a prompt whose every session fails nothing else is left to say so. Whoever reads it empties it.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.asked_modes: dict[str, str] = {}
        if self.reward_loop_worker_handles:
            # The address of a reward model is known to verl alone.
            own = not self.config.reward.reward_model.enable
            replaced = Replacement(self.config, uuid4().hex[:8]) if own else None
            workers: Any = RewardWorkers(self.reward_loop_worker_handles, replaced)
            self.reward_loop_worker_handles = [workers]

    def generate_sequences(self, prompts: Any) -> None:
        """Dispatch the batch (a TensorDict) to the workers, with its phase; does not wait for them."""
        validate = tu.get_non_tensor_data(prompts, "validate", default=False)
        phase = schema.VALIDATE if validate else schema.TRAIN
        tu.assign_non_tensor_data(prompts, schema.PHASE, phase)
        if validate:
            infos = tu.get(prompts, schema.EXTRA_INFO) or []
            asked = [(info or {}).get(schema.ASKED_MODE) for info in infos]
            named = zip(tu.get(prompts, "uid"), asked, strict=False)
            self.asked_modes |= {str(uid): mode for uid, mode in named if mode not in (None, schema.FREE)}
        if "agent_name" not in prompts:
            tu.assign_non_tensor_data(prompts, "agent_name", schema.AGENT_NAME)
        return super().generate_sequences(prompts)
