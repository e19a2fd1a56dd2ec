"""Tells the agent loops whether a batch trains or validates.

verl drops that flag before the agent loop (verl/trainer/ppo/v1/agent_loop_tq.py, generate_sequences), and only the
manager sees the whole batch before it is split among the workers.
"""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.utils import tensordict_utils as tu

from personadual import schema


class DualAgentLoopManager(AgentLoopManagerTQ):
    """Sends every row to ``personadual.rollout.DualModeAgentLoop``; a data column ``agent_name`` is left as it is.

    Set as ``actor_rollout_ref.rollout.agent.agent_loop_manager_class``.
    """

    def generate_sequences(self, prompts: Any) -> None:
        validate = tu.get_non_tensor_data(prompts, "validate", default=False)
        phase = schema.VALIDATE if validate else schema.TRAIN
        tu.assign_non_tensor_data(prompts, schema.PHASE, phase)
        if "agent_name" not in prompts:
            tu.assign_non_tensor_data(prompts, "agent_name", schema.AGENT_NAME)
        return super().generate_sequences(prompts)
