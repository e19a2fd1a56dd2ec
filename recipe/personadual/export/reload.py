"""Loads the exported folder with transformers: tokenizer, weights against the checkpoint's, log-probs of the probes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from personadual.export import ExportError
from personadual.export.child import main
from personadual.export.probes import probes
from personadual.modes import Modes


def reload(request: dict[str, Any]) -> dict[str, Any]:
    """``model``: the exported folder; ``huggingface``: the checkpoint's; ``shards``: paths, may be empty; ``modes``;
    ``template_kwargs``; ``stored_dtype``: to load the weights in; ``dtype``: to compute in. On the CPU.

    Returns: ``probes``, their ``logprobs``, and ``weights`` (None without shards).

    Raises:
        ExportError: tokens, weights or logits are not as they must be.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(request["model"])
    modes = Modes.from_config(request["modes"])
    asked = probes(AutoTokenizer.from_pretrained(folder), modes, request["template_kwargs"])
    trained = AutoTokenizer.from_pretrained(request["huggingface"])
    if probes(trained, modes, request["template_kwargs"]) != asked:
        raise ExportError("the exported tokenizer splits the probes into other tokens than the checkpoint's")
    stored = request["stored_dtype"]
    # transformers 5 calls it dtype and takes this name too.
    dtype = stored if stored == "auto" else getattr(torch, stored)
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=dtype).eval()
    compared = None
    if request["shards"]:
        from personadual.export.weights import compare, shard_tensors

        compared = compare(model.state_dict(), shard_tensors([Path(path) for path in request["shards"]]))
    model = model.to(getattr(torch, request["dtype"]))
    return {
        "probes": asked,
        "logprobs": [_logprobs(model, number, entry) for number, entry in enumerate(asked, start=1)],
        "weights": compared,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _logprobs(model: Any, number: int, probe: dict[str, list[int]]) -> list[float]:
    """Log-prob of each scored token at temperature 1; softmax in float32 over the model's logits, as vLLM has it."""
    import torch

    prompt, scored = probe["prompt"], probe["scored"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + scored])).logits[0, len(prompt) - 1 : -1].float()
    if not bool(torch.isfinite(logits).all()):
        raise ExportError(f"transformers: the logits of probe {number} are not finite")
    return logits.log_softmax(-1).gather(-1, torch.tensor(scored)[:, None])[:, 0].tolist()


if __name__ == "__main__":
    main(reload)
