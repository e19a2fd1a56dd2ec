"""vLLM's side of ``VERL_PLATFORM=cpu``: a ``vllm.general_plugins`` entry point, run in each of vLLM's processes.

Imports nothing of verl, and nothing at all before it is asked: a vLLM plugin that pulls verl in while vLLM starts its
workers made them die with "Unknown platform 'cpu'".
"""

from . import asked_for


def register() -> None:
    """Apply patch P2 if this run is on the CPU platform. What it raises ends the vLLM process."""
    if asked_for():
        from .patches import p2_vllm_weights

        p2_vllm_weights.apply()
