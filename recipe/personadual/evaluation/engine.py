"""vLLM's offline engine, as much of it as evaluation needs: token ids in, token ids and prefix log-probs out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Request:
    """A prompt and the forced beginning of the response (empty: the model begins it itself)."""

    prompt_ids: list[int]
    prefix_ids: list[int]


@dataclass(frozen=True)
class Completion:
    """Tokens after the prefix, the log-prob of each prefix token, and whether the length limit ended the response."""

    token_ids: list[int]
    prefix_logprobs: list[float]
    truncated: bool


class Engine(Protocol):
    """What ``generate`` needs of an engine."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]: ...


@dataclass(frozen=True)
class EngineSettings:
    """How the engine runs. ``max_tokens`` bounds the response, forced prefix included, as in a rollout."""

    model: Path
    max_tokens: int
    dtype: str = "float32"
    seed: int = 0
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float | None = None
    enforce_eager: bool = False


class VllmEngine:
    """Greedy decoding with vLLM.

    The log-probs are those of the raw model at temperature 1. vLLM takes the softmax in float32, over logits in the
    model's ``dtype``: with bfloat16, P(mode) moves in steps of about 0.03, so float32 is the default.
    """

    def __init__(self, settings: EngineSettings, longest_prompt: int, stop_ids: Sequence[int]):
        # At WARNING vLLM prints a traceback for the tokenizer it is told not to load.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm.platforms import current_platform

        options: dict[str, Any] = {"dtype": settings.dtype, "enforce_eager": settings.enforce_eager}
        if current_platform.is_cpu():
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
            # One process instead of three: nothing has to be imported twice more before the first token.
            if settings.tensor_parallel_size == 1:
                os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
            # Eager mode leaves one small function compiled (it counts ranks): 4-10 s, and a C++ compiler is needed.
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
            options["enforce_eager"] = True
        elif settings.gpu_memory_utilization is not None:
            options["gpu_memory_utilization"] = settings.gpu_memory_utilization
        from vllm import LLM

        self._max_tokens = settings.max_tokens
        self._stop_ids = list(stop_ids)
        self._llm = LLM(
            model=str(settings.model),
            # Prompts come as token ids and answers leave as token ids.
            skip_tokenizer_init=True,
            # The model's own sampling defaults (a repetition penalty, say) have no place here; stop_ids replaces eos.
            generation_config="vllm",
            seed=settings.seed,
            max_model_len=longest_prompt + settings.max_tokens,
            tensor_parallel_size=settings.tensor_parallel_size,
            logprobs_mode="raw_logprobs",
            disable_log_stats=True,
            **options,
        )

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions of ``requests``, in order."""
        from vllm import SamplingParams, TokensPrompt

        prompts = [TokensPrompt(prompt_token_ids=request.prompt_ids + request.prefix_ids) for request in requests]
        params = [
            SamplingParams(
                temperature=0.0,
                max_tokens=self._max_tokens - len(request.prefix_ids),
                stop_token_ids=self._stop_ids,
                detokenize=False,
                # 0: for each prompt token its own log-prob and no alternatives.
                prompt_logprobs=0 if request.prefix_ids else None,
            )
            for request in requests
        ]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        return [_completion(request, output) for request, output in zip(requests, outputs, strict=True)]


def _completion(request: Request, output: Any) -> Completion:
    first = len(request.prompt_ids)
    logprobs = [
        float(output.prompt_logprobs[first + offset][token].logprob) for offset, token in enumerate(request.prefix_ids)
    ]
    choice = output.outputs[0]
    return Completion(list(choice.token_ids), logprobs, choice.finish_reason == "length")


def stop_token_ids(tokenizer: Any, model: Path) -> list[int]:
    """End-of-text ids of the tokenizer and of the model's ``generation_config.json`` (chat models often have two)."""
    found = [tokenizer.eos_token_id]
    config = model / "generation_config.json"
    if config.exists():
        eos = json.loads(config.read_text(encoding="utf-8")).get("eos_token_id")
        found += eos if isinstance(eos, list) else [eos]
    return sorted({int(token) for token in found if token is not None})
