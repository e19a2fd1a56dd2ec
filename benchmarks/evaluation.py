"""``personadual eval`` against one bare ``LLM.generate`` with the same prompts and lengths, engines' starts left out.

Bare vLLM neither scores the prefixes nor grades nor writes a file; once it also gives the log-probs of the forced
prompts, which is the larger part of the difference. A turn starts each in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transformers import AutoTokenizer

from benchmarks.bare_vllm import bare
from benchmarks.harness import Row, Seconds, ratios
from benchmarks.place import make_data, make_model
from personadual.evaluation.data import read_items
from personadual.evaluation.engine import stop_token_ids
from personadual.evaluation.generate import plan
from personadual.evaluation.prompts import TokenPrompts
from personadual.evaluation.runfile import SESSIONS, read_meta
from personadual.modes import DEFAULT_MODES

MAX_TOKENS = 40
OURS, BARE, SCORING = "personadual eval", "bare vLLM", "bare vLLM with log-probs of the forced prompts"
GOAL = 1 / 0.95
"""0.95 of the speed."""


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        test, model = make_data(folder / "data") / "test.parquet", make_model(folder / "model")
        tokenizer = AutoTokenizer.from_pretrained(model)
        prompts = TokenPrompts(tokenizer, DEFAULT_MODES, {})
        asks = plan(read_items(test), DEFAULT_MODES)
        prefixes = [prompts.prefixes[asked.asked_mode] for asked in asks]
        ids = [prompts.prompt(asked.item) + prefix for asked, prefix in zip(asks, prefixes, strict=True)]
        most = [MAX_TOKENS - len(prefix) for prefix in prefixes]
        took: dict[str, list[float]] = {OURS: [], BARE: [], SCORING: []}
        prefilled: dict[str, list[float]] = {OURS: [], BARE: []}
        for turn in range(1 if quick else max(2, repeats // 2)):
            out = folder / f"{turn}.jsonl"
            command = [sys.executable, "-m", "personadual.cli", "eval", f"m={model}", "--data", str(test)]
            command += ["--out", str(out), "--max-tokens", str(MAX_TOKENS)]
            subprocess.run(command, check=True, capture_output=True)
            session = read_meta(out)[SESSIONS][-1]
            stop = stop_token_ids(tokenizer, model)
            found = bare(model, ids, most, stop)
            took[SCORING].append(bare(model, ids, most, stop, scored=[bool(prefix) for prefix in prefixes]).seconds)
            written = sum(json.loads(line)["n_tokens"] for line in out.open())
            if written != found.tokens + sum(map(len, prefixes)):
                print(f"(note: {written} tokens by eval, {found.tokens + sum(map(len, prefixes))} by bare vLLM)")
            took[OURS].append(session["generation_seconds"])
            took[BARE].append(found.seconds)
            prefilled[OURS].append(float(session["prompt_tokens"] - session["cached_prompt_tokens"]))
            prefilled[BARE].append(float(found.prefilled))
    work = f"{len(asks):,} answers of at most {MAX_TOKENS} tokens"
    for against in (BARE, SCORING):
        yield Row(OURS, work, Seconds.of(took[OURS]), against, ratios(took, OURS, against), GOAL)
    filled = Seconds.of(prefilled[OURS])
    yield Row("prompt tokens computed", work, filled, BARE, ratios(prefilled, OURS, BARE), unit="tokens")
