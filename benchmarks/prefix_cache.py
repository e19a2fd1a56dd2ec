"""Prompt tokens that the engine computes for a group's rollouts: forced into two modes, and free as in plain GRPO.

A group's prompt is computed once and shared by whole blocks of 32 tokens; what is left of the last block and the
prefix are computed for each rollout.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from transformers import AutoTokenizer

from benchmarks.bare_vllm import bare
from benchmarks.harness import Row, Seconds, ratios
from benchmarks.place import make_model
from personadual.modes import DEFAULT_MODES, encode_prefixes

ROLLOUTS = 8
GROUPS = 4
LENGTHS = (100, 500, 1500)
FORCED, FREE, BESIDES = "forced modes", "free", "forced modes, without the prefixes"


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        model = make_model(Path(name) / "model")
        tokenizer = AutoTokenizer.from_pretrained(model)
        prefixes = encode_prefixes(tokenizer, DEFAULT_MODES)
        words = tokenizer.encode(
            "The profile of a user who asks many questions about the world and its capitals. " * 200
        )
        for length in LENGTHS[:1] if quick else LENGTHS:
            prompts = [words[group : group + length] for group in range(GROUPS)]
            free = [prompt for prompt in prompts for _ in range(ROLLOUTS)]
            modes = [prefixes[number * len(prefixes) // ROLLOUTS] for number in range(ROLLOUTS)]
            forced = [prompt + prefix for prompt in prompts for prefix in modes]
            filled = {
                name: [float(bare(model, ids, [4] * len(ids), []).prefilled)]
                for name, ids in ((FORCED, forced), (FREE, free))
            }
            filled[BESIDES] = [filled[FORCED][0] - GROUPS * sum(map(len, modes))]
            work = f"{GROUPS} groups of {ROLLOUTS}, prompts of {length} tokens"
            for what, goal in ((FORCED, None), (BESIDES, 1.0)):
                yield Row(what, work, Seconds.of(filled[what]), FREE, ratios(filled, what, FREE), goal, unit="tokens")
