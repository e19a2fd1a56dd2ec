"""vLLM alone on given token ids, in a fresh process: what evaluation and rollouts are compared with."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
import json, os, sys, time
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
from vllm import LLM, SamplingParams, TokensPrompt
from vllm.platforms import current_platform

asked = json.load(open(sys.argv[1]))
options = {}
if current_platform.is_cpu():
    # As personadual's own engine sets it: the defaults are for other machines.
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    options = {"block_size": 32, "enforce_eager": True}
longest = max(map(len, asked["prompts"])) + max(asked["most"])
llm = LLM(model=asked["model"], dtype="float32", skip_tokenizer_init=True, generation_config="vllm",
          max_model_len=longest, disable_log_stats=True, **options)
prompts = [TokensPrompt(prompt_token_ids=ids) for ids in asked["prompts"]]
scores = {"prompt_logprobs": 0, "skip_reading_prefix_cache": False}
params = [SamplingParams(temperature=0.0, max_tokens=most, stop_token_ids=asked["stop"], detokenize=False,
                         **(scores if scored else {})) for most, scored in zip(asked["most"], asked["scored"])]
start = time.perf_counter()
outputs = llm.generate(prompts, params, use_tqdm=False)
seconds = time.perf_counter() - start
json.dump({"seconds": seconds, "cached": sum(output.num_cached_tokens or 0 for output in outputs),
           "tokens": sum(len(output.outputs[0].token_ids) for output in outputs)}, open(sys.argv[2], "w"))
"""


@dataclass(frozen=True)
class Bare:
    """Seconds of one ``LLM.generate``, tokens it wrote, and how many prompt tokens it had to compute."""

    seconds: float
    tokens: int
    prefilled: int


def bare(
    model: Path, prompts: list[list[int]], most: list[int], stop: list[int], scored: list[bool] | None = None
) -> Bare:
    """Greedy answers of at most ``most`` tokens each to ``prompts``, all in one call; of the ``scored`` ones (none) the
    log-probs of the prompt as well.
    """
    with tempfile.TemporaryDirectory() as name:
        asked, found = Path(name, "asked.json"), Path(name, "found.json")
        content = {
            "model": str(model),
            "prompts": prompts,
            "most": most,
            "stop": stop,
            "scored": scored or [False] * len(most),
        }
        asked.write_text(json.dumps(content))
        command = [sys.executable, "-c", SCRIPT, str(asked), str(found)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"vLLM alone ended with {done.returncode}:\n{done.stderr[-3000:]}")
        result = json.loads(found.read_text())
    return Bare(result["seconds"], result["tokens"], sum(map(len, prompts)) - result["cached"])
