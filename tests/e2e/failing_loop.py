"""An agent loop as a user may register one, some of whose sessions fail. Named in a test's agent_loop_config_path."""

from __future__ import annotations

from typing import Any

from personadual import schema
from personadual.rollout import DualModeAgentLoop

ALONE, WITHOUT_A_MODE = "Question 0:", "Question 1:"


class FailingLoop(DualModeAgentLoop):
    """For one question the first session fails; for another all sessions of the second mode."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        session, asked = int(kwargs["session_id"]), kwargs["raw_prompt"][-1]["content"]
        output = await super().run(sampling_params, **kwargs)
        mode = output.extra_fields[schema.ROLLOUT_FIELD]["mode"]
        if asked.startswith(ALONE) and session == 0:
            raise TimeoutError("this session took too long")
        if asked.startswith(WITHOUT_A_MODE) and mode == 1:
            raise ConnectionError("this session lost its server")
        return output
