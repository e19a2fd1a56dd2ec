"""PersonaDual for verl: two reasoning modes in one model, and DualGRPO to learn which one to use.

Reading order: ``modes`` (the tags), ``rollout`` (where a mode is forced), ``personadual.reward_fns`` (where it is
scored), ``advantage`` (where it is learnt), ``trainer`` (the glue to verl's V1 trainers), ``evaluation``.

This module imports nothing: vLLM's worker processes load ``personadual.cpu.vllm_patch`` before verl can be imported.
"""

__version__ = "0.1.0"
