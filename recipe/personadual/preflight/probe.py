"""How likely the model makes each mode's prefix at the start of its answer: a model that knows one mode needs SFT."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from personadual import schema
from personadual.data_prep.chat_tokens import render_ids
from personadual.data_prep.validation.chats import plain
from personadual.modes import encode_prefixes
from personadual.preflight.data import TRAIN
from personadual.preflight.data_files import each_row
from personadual.preflight.findings import WARNING, Finding, judged, not_looked_at, ok
from personadual.preflight.setup import RL, Setup

LEAST, MOST_INVALID = 1e-4, 0.05
BATCH = 8
_SEED = 0


def probe_findings(setup: Setup) -> Iterator[Finding]:
    """Loads the model, on a GPU where there is one; nothing without ``--probe``."""
    if setup.probe < 1:
        return
    if setup.kind != RL:
        yield ok("probe", "is for RL: SFT is what teaches the modes")
        return
    model, tokenizer = setup.model, setup.model.tokenizer
    paths = [path for path in setup.paths(TRAIN) if path.endswith(".parquet")]
    try:
        prompts = _prompts(paths, setup.get("data.prompt_key", schema.PROMPT), setup.probe)
    except (OSError, ValueError) as error:
        yield not_looked_at("probe", f"no prompts ({error})", f"{TRAIN}=FILE", setup.dry_run)
        return
    if tokenizer is None or not prompts:
        yield not_looked_at("probe", "neither model nor prompts here", "mend what is said of them", setup.dry_run)
        return
    ids = [render_ids(tokenizer, plain(prompt), generate=True, **setup.template_kwargs) for prompt in prompts]
    limit = setup.number("data.max_prompt_length", 512)
    ids = [each for each in ids if len(each) <= limit]
    modes = setup.settings.modes
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = _load(setup, model.folder or model.path, device)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    probabilities = prefix_probabilities(weights, ids, encode_prefixes(tokenizer, modes), pad)
    yield from mode_findings(modes.names, probabilities)


def prefix_probabilities(
    model: Any, prompts: Sequence[Sequence[int]], prefixes: Sequence[Sequence[int]], pad: int, batch: int = BATCH
) -> torch.Tensor:
    """P(prefix | prompt) at temperature 1, float32 (prompts, prefixes); 0 prompts give (0, prefixes).

    The prompts are padded on the left, so that a prefix stands in the last columns of every row, and logits are
    computed there alone: memory is ``batch × prefix × vocabulary``.
    """
    columns = []
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for prefix in prefixes:
        found = torch.empty(len(prompts))
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            found[places] = _log_probs(model, [prompts[place] for place in places], prefix, pad)
        columns.append(found.exp())
    return torch.stack(columns, dim=1)


@torch.inference_mode()
def _log_probs(model: Any, prompts: Sequence[Sequence[int]], prefix: Sequence[int], pad: int) -> torch.Tensor:
    width = max(len(prompt) for prompt in prompts) + len(prefix)
    rows = [[*prompt, *prefix] for prompt in prompts]
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=model.device)
    lengths = torch.tensor([[len(row)] for row in rows], device=model.device)
    mask = torch.arange(width, device=model.device) >= width - lengths
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=positions,
        logits_to_keep=len(prefix) + 1,
        use_cache=False,
    ).logits[:, :-1]
    targets = ids[:, -len(prefix) :].unsqueeze(-1)
    return logits.float().log_softmax(-1).gather(-1, targets).squeeze(-1).sum(-1).cpu()


def mode_findings(names: Sequence[str], probabilities: torch.Tensor) -> Iterator[Finding]:
    """``probabilities`` (prompts, modes); what is left of 1 is the probability of no valid tag."""
    count = len(probabilities)
    if not count:
        yield judged("probe", False, "prompts within data.max_prompt_length", "none", "raise data.max_prompt_length")
        return
    for name, mean in zip(names, probabilities.mean(0).tolist(), strict=True):
        yield judged(
            f"P({name})",
            mean >= LEAST,
            f"at least {LEAST:g} on average, for RL to have something to strengthen",
            f"{mean:.2g} over {count} prompts",
            "the model knows one mode only: SFT on both modes first (README, Two commands and Into your verl setup)",
            WARNING,
        )
    invalid = float((1 - probabilities.sum(1)).clamp(min=0).mean())
    yield judged(
        "P(invalid)",
        invalid <= MOST_INVALID,
        f"at most {MOST_INVALID:g}: answers begin with a mode's tag",
        f"{invalid:.2g} over {count} prompts",
        "the model does not write the tags by itself: SFT first, or more of it",
        WARNING,
    )


def _prompts(paths: Sequence[str], column: str, count: int) -> list[Any]:
    """``count`` prompts drawn without replacement over all files, the same each time."""
    import pyarrow.parquet as pq

    total = sum(pq.read_metadata(path).num_rows for path in paths)
    wanted = set(random.Random(_SEED).sample(range(total), min(count, total)))
    rows = (row for path in paths for row in each_row(path, [column]))
    return [row[column] for place, row in enumerate(rows) if place in wanted]


def _load(setup: Setup, place: str, device: str) -> Any:
    from transformers import AutoModelForCausalLM

    local = setup.dry_run or setup.model.folder is not None
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        place,
        dtype=torch.bfloat16 if device == "cuda" else torch.float32,
        local_files_only=local,
        trust_remote_code=bool(setup.get(f"{setup.model_key}.trust_remote_code")),
    )
    return loaded.to(device).eval()
