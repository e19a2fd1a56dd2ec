"""How many tokens a model takes at most, by its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SCALED_ALREADY = ("su", "longrope", "llama3")
"""Kinds of RoPE whose ``max_position_embeddings`` counts the scaling already (vllm/config/model.py, 0.27)."""


def model_contexts(config: Any) -> tuple[int, int] | None:
    """Longest sequence that verl and that vLLM takes, in tokens; None where the config does not say.

    verl takes ``max_position_embeddings`` as it stands (workers/rollout/utils.py:31); vLLM multiplies by the factor of
    RoPE scaling, from the original length for yarn (vllm/config/model.py, ``_get_and_verify_max_len``, 0.27).
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    positions = getattr(text, "max_position_embeddings", None)
    if positions is None:
        return None
    scaling = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    if "gemma3" in str(getattr(text, "model_type", "")):  # counts its scaling already
        scaling = {}
    return int(positions), scaled_context(int(positions), scaling)


def scaled_context(positions: int, scaling: Mapping[str, Any]) -> int:
    """vLLM's context for ``max_position_embeddings`` and a block of RoPE parameters, one or one per kind of layer."""
    blocks = [block for block in scaling.values() if isinstance(block, Mapping)] or [scaling]
    length, factor = positions, 1.0
    for block in blocks:
        kind = block.get("rope_type") or block.get("type") or "default"
        if kind in _SCALED_ALREADY:
            continue
        factor = float(block.get("factor") or factor)
        if kind == "yarn":
            length = int(block.get("original_max_position_embeddings") or positions)
    return int(length * factor)
