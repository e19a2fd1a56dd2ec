"""Log-probs of the probes by vLLM, which loads the exported folder with code of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from personadual.evaluation.engine import EngineSettings, Request, VllmEngine
from personadual.export.child import main


def served(request: dict[str, Any]) -> dict[str, Any]:
    """``model``, ``probes``, ``dtype``, ``tensor_parallel_size``, ``gpu_memory_utilization``; returns ``logprobs``."""
    requests = [Request(probe["prompt"], probe["scored"]) for probe in request["probes"]]
    settings = EngineSettings(
        model=Path(request["model"]),
        # The engine counts the scored tokens as response, and writes one token more.
        max_tokens=max(len(asked.prefix_ids) for asked in requests) + 1,
        dtype=request["dtype"],
        tensor_parallel_size=request["tensor_parallel_size"],
        gpu_memory_utilization=request["gpu_memory_utilization"],
        enforce_eager=True,
    )
    engine = VllmEngine(settings, max(len(asked.prompt_ids) for asked in requests), stop_ids=[])
    return {"logprobs": [completion.prefix_logprobs for completion in engine.complete(requests)]}


if __name__ == "__main__":
    main(served)
