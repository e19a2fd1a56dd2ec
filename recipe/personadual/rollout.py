"""Where a mode is forced: the agent loop, as verl's V1 rollout workers run it, one instance per sample.

The loop picks the sample's mode, forces its prefix and writes into the rollout's ``extra_fields`` which mode it was,
how many tokens it took, and whether they are the usual ones. Which batch it serves it learns from
``personadual.rollout_manager``.
"""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from personadual import schema
from personadual.checks import MANAGER_CLASS
from personadual.modes import INVALID_MODE, encode_prefixes
from personadual.prefix import ForcedPrefixClient, locate_mode
from personadual.schedule import FREE_SLOT, session_slot
from personadual.settings import DualGRPOSettings


@register(schema.AGENT_NAME)
class DualModeAgentLoop(SingleTurnAgentLoop):
    """verl's single-turn agent, in the mode that its session (training) or its data row (validation) asks for.

    Training: by ``session_slot`` of the session's number within its prompt. Validation: by
    ``extra_info.asked_mode``; without one, or with "free", the model chooses.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.settings = DualGRPOSettings.from_config(self.config.algorithm.get("dual_grpo"))
        self.prefixes = encode_prefixes(self.tokenizer, self.settings.modes)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        phase = kwargs.pop(schema.PHASE, None)
        slot = self._slot(phase, kwargs)
        if slot == FREE_SLOT:
            output = await super().run(sampling_params, **kwargs)
            mode, prefix_len = locate_mode(output.response_ids, self.tokenizer, self.settings.modes, self.prefixes)
            usual = mode != INVALID_MODE and list(output.response_ids[:prefix_len]) == self.prefixes[mode]
        else:
            # verl makes one loop per sample (agent_loop.py, _run_agent_loop), so the client is this sample's own.
            client: Any = ForcedPrefixClient(self.server_manager, self.prefixes[slot], self.response_length)
            self.server_manager = client
            output = await super().run(sampling_params, **kwargs)
            mode, prefix_len, usual = slot, len(self.prefixes[slot]), True
        output.extra_fields[schema.ROLLOUT_FIELD] = {
            "mode": mode,
            "prefix_len": prefix_len,
            "usual_tokens": usual,
            "forced": slot != FREE_SLOT,
        }
        return output

    def _slot(self, phase: str | None, row: dict[str, Any]) -> int:
        if phase == schema.TRAIN:
            return session_slot(int(row["session_id"]), self.settings.rollout_shares())
        if phase == schema.VALIDATE:
            asked = (row.get(schema.EXTRA_INFO) or {}).get(schema.ASKED_MODE)
            return FREE_SLOT if asked in (None, schema.FREE) else self.settings.modes.index_of(asked)
        raise RuntimeError(
            "the dual_grpo_agent loop was not told whether it trains or validates. Set actor_rollout_ref.rollout."
            f"agent.agent_loop_manager_class={MANAGER_CLASS}"
        )
