"""One model of an evaluation: its engine or its server started, asked, and left."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from personadual.evaluation import endpoint, offline
from personadual.evaluation.endpoint_ways import ByChat, ByTokens
from personadual.evaluation.engine import EngineSettings, start_vllm, stop_token_ids
from personadual.evaluation.fingerprint import command_line
from personadual.evaluation.generate import Asked, Batch, Counts, RowMaker, generate
from personadual.evaluation.pool import EnginePool
from personadual.evaluation.prompts import TokenPrompts
from personadual.evaluation.runfile import RunFile
from personadual.evaluation.targets import Target

Say = Callable[[str], None]
Answers = Iterator[Batch]


@dataclass
class Run:
    """One model: whom to ask, the open file, what is still to be asked. ``prompts`` is None for asking by chat."""

    target: Target
    out: RunFile
    maker: RowMaker
    asks: list[Asked]
    prompts: TokenPrompts | None


def ask(args: argparse.Namespace, run: Run, shares: Sequence[Mapping[str, str]], say: Say) -> None:
    """Ask what is still to be asked and write it to the run's file, with what there is to tell of this session.

    Raises:
        EngineError, EndpointError: no more answers could be had; those that came are written.
    """
    if not run.asks:
        return
    run.out.add_session({"command": command_line()})
    counts, told = Counts(), dict[str, Any]()
    try:
        answers = _served(args, run, told) if args.endpoint else _offline(args, run, shares, counts, told, say)
        with answers as found:
            start = time.monotonic()
            try:
                generate(run.maker, found, len(run.asks), run.out, say, counts)
            finally:  # before the engine ends, which takes its own time
                told["generation_seconds"] = round(time.monotonic() - start, 1)
    finally:
        run.out.extend_session(counts.as_json() | told)


@contextmanager
def _offline(
    args: argparse.Namespace,
    run: Run,
    shares: Sequence[Mapping[str, str]],
    counts: Counts,
    told: dict[str, Any],
    say: Say,
) -> Iterator[Answers]:
    assert run.prompts is not None
    folder, start = Path(run.target.model), time.monotonic()
    settings = EngineSettings(
        model=folder,
        max_tokens=args.max_tokens,
        dtype=args.dtype,
        tensor_parallel_size=args.tensor_parallel_size,
        gpu_memory_utilization=args.gpu_memory_utilization,
        enforce_eager=args.enforce_eager,
        temperature=args.temperature if args.samples else None,
        top_p=args.top_p,
    )
    longest = max(len(run.prompts.prompt(asked.item)) for asked in run.asks)
    stop_ids = stop_token_ids(run.prompts.tokenizer, folder)
    with EnginePool(partial(start_vllm, settings, longest, stop_ids), shares) as pool:
        seconds = time.monotonic() - start
        say(f"{run.target.label}: engine ready after {seconds:.0f} s")
        told |= {"engine_seconds": round(seconds, 1), "engines": len(shares), "machine": pool.machine}
        with closing(offline.answer(run.asks, pool, run.prompts, args.chunk_size, counts)) as answers:
            yield answers


@contextmanager
def _served(args: argparse.Namespace, run: Run, told: dict[str, Any]) -> Iterator[Answers]:
    settings = endpoint_settings(args, run.target)
    way: endpoint.Way
    if run.prompts is not None:
        way = ByTokens(settings, run.prompts)
    else:
        way = ByChat(settings, run.maker.modes, args.chat_template_kwargs, args.free_only)
    try:
        with closing(endpoint.answer(run.asks, settings, way)) as answers:
            yield answers
    finally:
        told |= way.found


def endpoint_settings(args: argparse.Namespace, target: Target) -> endpoint.EndpointSettings:
    """Of the arguments; ValueError for an address or a variable's name that won't do."""
    return endpoint.EndpointSettings(
        url=args.endpoint,
        model=target.model,
        max_tokens=args.max_tokens,
        api_key_env=args.api_key_env,
        concurrency=args.concurrency,
        timeout=args.timeout,
        temperature=args.temperature,
        top_p=args.top_p,
    )
