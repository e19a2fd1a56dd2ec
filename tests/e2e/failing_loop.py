"""An agent loop as a user may register one, some of whose sessions fail. Named in a test's agent_loop_config_path."""

from __future__ import annotations

import asyncio
from typing import Any

from personadual import schema
from personadual.rollout import DualModeAgentLoop

HANGING, WITHOUT_A_MODE, FAILING, EMPTY, SILENT = (f"Question {number}:" for number in range(5))
PATIENCE = 1.0
"""Seconds; verl itself waits for a session as long as it takes."""
WITHOUT_A_TOKEN = {"response_ids": [], "response_mask": [], "response_logprobs": None}


class FailingLoop(DualModeAgentLoop):
    """By question: the first session hangs; all of the second mode fail; all fail; all but the last return nothing,
    each in a way of its own; all return nothing, and none fails."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        session, asked = int(kwargs["session_id"]), kwargs["raw_prompt"][-1]["content"]
        if asked.startswith(HANGING) and session == 0:
            await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)
        if asked.startswith(FAILING):
            raise ConnectionError("no session of this question reaches its server")
        output = await super().run(sampling_params, **kwargs)
        mode = output.extra_fields[schema.ROLLOUT_FIELD]["mode"]
        if asked.startswith(WITHOUT_A_MODE) and mode == 1:
            raise ConnectionError("this session lost its server")
        if asked.startswith(EMPTY) and session < 3:
            return (None, [], output.model_copy(update=WITHOUT_A_TOKEN))[session]
        if asked.startswith(SILENT):
            return []
        # The tiny model answers nothing right, and with equal rewards there would be no advantage.
        output.reward_score = float(session == 0)
        return output
