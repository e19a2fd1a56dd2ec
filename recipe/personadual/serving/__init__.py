"""Serving with vLLM: the mode in a field of its own, the answer without its tag, and a mode forced by the request.

``parser`` is vLLM's side (``vllm serve MODEL --reasoning-parser personadual``), ``client`` the asker's, ``answers``
what both read an answer with, ``prompts`` a forced prompt as token ids. docs/serving.md says how they go together.

Imports no vLLM, no torch and no verl: vLLM's worker processes load ``vllm_plugin`` from here.
"""

from personadual.serving.answers import Answer
from personadual.serving.prompts import chat_forcing, forced_prompt_ids

__all__ = ["Answer", "chat_forcing", "forced_prompt_ids"]
