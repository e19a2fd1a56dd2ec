"""vLLM's offline engine, as much of it as evaluation needs: token ids in, token ids and prefix log-probs out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LEAST_LOGPROB = -9999.0
"""In place of minus infinity, which is no JSON."""


@dataclass(frozen=True)
class Request:
    """A prompt, the forced beginning of the response (empty: the model begins it itself), and how it goes on.

    ``seed``: of sampling; None decodes greedily. ``scored``: whether the prefix's log-probs are wanted.
    """

    prompt_ids: list[int]
    prefix_ids: list[int]
    seed: int | None = None
    scored: bool = True


@dataclass(frozen=True)
class Completion:
    """Tokens after the prefix, the log-prob of each prefix token (none where they were not wanted), whether the length
    limit ended the response, and how many tokens of the prompt were already in the engine's cache.
    """

    token_ids: list[int]
    prefix_logprobs: list[float]
    truncated: bool
    cached_tokens: int = 0


class Engine(Protocol):
    """What ``pool`` needs of an engine."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]: ...


@dataclass(frozen=True)
class EngineSettings:
    """How the engine runs. ``max_tokens`` bounds the response, forced prefix included, as in a rollout.

    ``temperature`` and ``top_p`` are for requests with a seed; without a temperature there may be none.
    """

    model: Path
    max_tokens: int
    dtype: str = "float32"
    seed: int = 0
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float | None = None
    enforce_eager: bool = False
    temperature: float | None = None
    top_p: float = 1.0


class VllmEngine:
    """Greedy and seeded decoding with vLLM.

    The log-probs are those of the raw model at temperature 1. vLLM takes the softmax in float32, over logits in the
    model's ``dtype``: with bfloat16, P(mode) moves in steps of about 0.03, so float32 is the default.
    """

    def __init__(self, settings: EngineSettings, longest_prompt: int, stop_ids: Sequence[int]):
        # At WARNING vLLM prints a traceback for the tokenizer it is told not to load.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm.platforms import current_platform

        options: dict[str, Any] = {"dtype": settings.dtype, "enforce_eager": settings.enforce_eager}
        self._on_cpu = current_platform.is_cpu()
        if self._on_cpu:
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
            # One process instead of three: nothing has to be imported twice more before the first token.
            if settings.tensor_parallel_size == 1:
                os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
            # Eager mode leaves one small function compiled (it counts ranks): 4-10 s, and a C++ compiler is needed.
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
            options["enforce_eager"] = True
            # Prompts are shared by whole blocks; the CPU's default of 128 tokens is longer than many a prompt.
            options["block_size"] = 32
            if settings.temperature is not None:
                # A seeded request whose prompt is read in two steps ends the engine: torch's generator on the CPU can't
                # be set back (vLLM 0.27.1, v1/worker/gpu_model_runner.py:3750).
                options["enable_chunked_prefill"] = False
        elif settings.gpu_memory_utilization is not None:
            options["gpu_memory_utilization"] = settings.gpu_memory_utilization
        from vllm import LLM

        self._settings = settings
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
        """Completions of ``requests``, in order.

        Requests with the same prompt should come in one call: all but the first find its blocks in the cache.
        """
        found: dict[int, Any] = {}
        for group in self._groups(requests):
            found |= self._generate({number: requests[number] for number in group})
        # A prefix that is itself in the cache was not computed, so it has no log-probs: the same request came before.
        unread = {n: requests[n] for n, output in found.items() if _is_unread(requests[n], output)}
        if unread:
            found |= self._generate(unread, read_cache=False)
        return [_completion(request, found[number]) for number, request in enumerate(requests)]

    def _groups(self, requests: Sequence[Request]) -> list[list[int]]:
        """Numbers of requests that may run together.

        On a CPU vLLM looks at the seeds only where every request of a step has one (v1/sample/ops/topk_topp_sampler.py,
        ``forward_cpu``).
        """
        if not self._on_cpu:
            return [list(range(len(requests)))]
        greedy = [number for number, request in enumerate(requests) if request.seed is None]
        seeded = [number for number, request in enumerate(requests) if request.seed is not None]
        return [group for group in (greedy, seeded) if group]

    def _generate(self, requests: dict[int, Request], read_cache: bool = True) -> dict[int, Any]:
        from vllm import TokensPrompt

        prompts = [TokensPrompt(prompt_token_ids=asked.prompt_ids + asked.prefix_ids) for asked in requests.values()]
        params = [self._params(asked, read_cache) for asked in requests.values()]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        return dict(zip(requests, outputs, strict=True))

    def _params(self, request: Request, read_cache: bool) -> Any:
        from vllm import SamplingParams

        options: dict[str, Any] = {"temperature": 0.0}
        if request.seed is not None:
            options = {"temperature": self._settings.temperature, "top_p": self._settings.top_p, "seed": request.seed}
        if _is_scored(request):
            # 0: for each prompt token its own log-prob and no alternatives.
            options["prompt_logprobs"] = 0
            # By default such a request computes its whole prompt anew; older versions know no other way.
            if "skip_reading_prefix_cache" in SamplingParams.__struct_fields__:
                options["skip_reading_prefix_cache"] = not read_cache
        return SamplingParams(
            max_tokens=self._settings.max_tokens - len(request.prefix_ids),
            stop_token_ids=self._stop_ids,
            detokenize=False,
            **options,
        )


def start_vllm(settings: EngineSettings, longest_prompt: int, stop_ids: Sequence[int]) -> Engine:
    """The engine, for a process of its own (``pool``)."""
    return VllmEngine(settings, longest_prompt, stop_ids)


def _is_scored(request: Request) -> bool:
    return request.scored and bool(request.prefix_ids)


def _is_unread(request: Request, output: Any) -> bool:
    """Whether the token before the prefix, whose output gives the first log-prob, was taken from the cache."""
    return _is_scored(request) and (output.num_cached_tokens or 0) >= len(request.prompt_ids)


def _completion(request: Request, output: Any) -> Completion:
    logprobs = []
    if _is_scored(request):
        # From the end: some of vLLM's runners leave out what was cached, others leave it undefined.
        positions = output.prompt_logprobs[-len(request.prefix_ids) :]
        found = [position[token].logprob for position, token in zip(positions, request.prefix_ids, strict=True)]
        logprobs = [max(float(logprob), LEAST_LOGPROB) for logprob in found]
    choice = output.outputs[0]
    truncated = choice.finish_reason == "length"
    return Completion(list(choice.token_ids), logprobs, truncated, output.num_cached_tokens or 0)


def stop_token_ids(tokenizer: Any, model: Path) -> list[int]:
    """End-of-text ids of the tokenizer and of the model's ``generation_config.json`` (chat models often have two)."""
    found = [tokenizer.eos_token_id]
    config = model / "generation_config.json"
    if config.exists():
        eos = json.loads(config.read_text(encoding="utf-8")).get("eos_token_id")
        found += eos if isinstance(eos, list) else [eos]
    return sorted({int(token) for token in found if token is not None})
