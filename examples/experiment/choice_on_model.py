"""The choice of mode alone, learnt by the real model from rewards of its recorded answers: minutes instead of an hour.

Before training, ``personadual eval`` writes down how the model answers the training prompts in each mode. Then only the
deciding token is trained, prompts in the order of the file, each rollout's reward drawn from that prompt's recorded
answers in the rollout's mode, the advantages those of ``personadual.advantage``. What it leaves out: answers don't
change, tags are always valid, no other token's gradient is in the way. What ``simulate_choice.py`` invents is real
here: which prompts resemble each other to the model, and which of them it can answer.

``told`` is supervision, the right mode of every prompt: what there is to be learnt.

    personadual eval sft=MODEL --data data/rl_train.parquet --out train.jsonl --samples 4 --max-tokens 40
    python examples/experiment/choice_on_model.py --model MODEL --train data/rl_train.parquet train.jsonl \\
        --val data/rl_val.parquet val.jsonl --arms grpo_free dual_grpo centred_floor told
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from simulate_choice import ARMS, GENERAL, PERSONALIZED, advantages
from transformers import AutoModelForCausalLM, AutoTokenizer

from personadual import schema
from personadual.evaluation.load import read_generations
from personadual.modes import DEFAULT_MODES, deciding_position, encode_prefixes

TOLD = "told"
KNOWN = [name for name, options in ARMS.items() if not (options or {}).get("early")]


class Prompt(NamedTuple):
    """Token ids up to the deciding token; recorded rewards of each mode; right mode or None."""

    ids: list[int]
    rewards: tuple[np.ndarray, np.ndarray]
    condition: str
    right: int | None


class Chooser:
    """A model as a policy over the two modes."""

    def __init__(self, path: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        prefixes = encode_prefixes(self.tokenizer)
        place = deciding_position(prefixes)
        self.shared, self.deciding = prefixes[0][:place], [prefix[place] for prefix in prefixes]

    def prompts(self, data: Path, answers: Path) -> list[Prompt]:
        """One per item that was answered in both modes."""
        given = read_generations([answers])
        given = given[given[schema.ASKED_MODE].isin(DEFAULT_MODES.names)]
        rewards = given.groupby([schema.ITEM, schema.ASKED_MODE])[schema.SCORE].agg(np.array).unstack()
        found = {}
        for row in pq.read_table(data).to_pylist():
            extra = row[schema.EXTRA_INFO]
            if extra[schema.ITEM] in rewards.index:
                text = self.tokenizer.apply_chat_template(
                    row[schema.PROMPT], tokenize=False, add_generation_prompt=True
                )
                right = extra[schema.RIGHT_MODE]
                found[extra[schema.ITEM]] = Prompt(
                    self.tokenizer.encode(text, add_special_tokens=False) + self.shared,
                    tuple(rewards.loc[extra[schema.ITEM], name] for name in DEFAULT_MODES.names),
                    extra[schema.CONDITION],
                    None if right is None else DEFAULT_MODES.index_of(right),
                )
        return list(found.values())

    def log_probs(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """(B, 2) float: log-probability of each mode, of the two."""
        width = max(len(prompt.ids) for prompt in prompts)
        ids = torch.tensor([prompt.ids + [0] * (width - len(prompt.ids)) for prompt in prompts])
        lengths = torch.tensor([len(prompt.ids) for prompt in prompts])
        mask = torch.arange(width)[None, :] < lengths[:, None]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.model.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        last = hidden[torch.arange(len(prompts)), lengths - 1].float()
        return torch.log_softmax(last @ self.model.lm_head.weight[self.deciding].T, -1)

    @torch.no_grad()
    def probabilities(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """(B,) float: P(personalized)."""
        parts = [self.log_probs(prompts[k : k + 32]) for k in range(0, len(prompts), 32)]
        return torch.cat(parts).exp()[:, PERSONALIZED]


def loss_of(
    arm: str, batch: Sequence[Prompt], log_probs: torch.Tensor, args: argparse.Namespace, rng: np.random.Generator
) -> torch.Tensor:
    if arm == TOLD:
        known = [k for k, prompt in enumerate(batch) if prompt.right is not None]
        return torch.nn.functional.nll_loss(log_probs[known], torch.tensor([batch[k].right for k in known]))
    options: Mapping[str, Any] | None = ARMS[arm]
    prompt = np.repeat(np.arange(len(batch)), args.rollouts)
    p = log_probs.detach().exp().double()
    if options is None:
        mode = (rng.random(len(prompt)) < p[prompt, PERSONALIZED].numpy()).astype(int)
    else:
        mode = np.tile(np.arange(args.rollouts) % 2, len(batch))
    rewards = torch.tensor([rng.choice(batch[k].rewards[m]) for k, m in zip(prompt, mode, strict=True)])
    value = advantages(options, rewards, torch.tensor(mode), torch.tensor(prompt), p[prompt, mode])
    kl = (log_probs.exp() * (log_probs - args.start.log())).sum(-1).mean()
    return args.kl * kl - (value.float() * log_probs[prompt, mode]).mean()


def measures(prompts: Sequence[Prompt], chosen: np.ndarray) -> dict[str, float]:
    """P(personalized) by condition, expected error, expected loss of reward against the better mode."""
    table = pd.DataFrame({"condition": [prompt.condition for prompt in prompts], "p": chosen})
    means = np.array([[np.mean(values) for values in prompt.rewards] for prompt in prompts])
    got = chosen * means[:, PERSONALIZED] + (1 - chosen) * means[:, GENERAL]
    known = np.array([prompt.right is not None for prompt in prompts])
    right = np.array([prompt.right == PERSONALIZED for prompt in prompts])
    error = np.abs(chosen - right)[known].mean()
    return {**table.groupby("condition", sort=False)["p"].mean(), "error": error,
            "regret": (means.max(1) - got)[known].mean()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--train", type=Path, nargs=2, required=True, metavar=("PARQUET", "ANSWERS"))
    parser.add_argument("--val", type=Path, nargs=2, required=True, metavar=("PARQUET", "ANSWERS"))
    parser.add_argument("--arms", nargs="+", choices=[*KNOWN, TOLD], required=True, metavar="ARM")
    parser.add_argument("--lr", type=float, nargs="+", default=[5e-5], help="learning rates (5e-5)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--prompts", type=int, default=14, help="in a batch (14)")
    parser.add_argument("--rollouts", type=int, default=4)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--every", type=int, default=15, help="steps between measurements (15)")
    parser.add_argument("--kl", type=float, default=0.04)
    args = parser.parse_args()
    titles = None
    for arm, lr, seed in ((arm, lr, seed) for arm in args.arms for lr in args.lr for seed in range(args.seeds)):
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        chooser = Chooser(args.model)
        train, val = chooser.prompts(*args.train), chooser.prompts(*args.val)
        before = float(chooser.probabilities(val).mean())
        args.start = torch.tensor([1 - before, before])
        optimizer = torch.optim.AdamW(chooser.model.parameters(), weight_decay=0.01)
        for step in range(args.steps):
            batch = [train[(step * args.prompts + k) % len(train)] for k in range(args.prompts)]
            loss = loss_of(arm, batch, chooser.log_probs(batch), args, rng)
            optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 6)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(chooser.model.parameters(), 1.0)
            optimizer.step()
            if (step + 1) % args.every == 0:
                found = measures(val, chooser.probabilities(val).double().numpy())
                if titles is None:
                    titles = list(found)
                    print(f"| arm | learning rate | seed | step | {' | '.join(titles)} |")
                    print("|" + " --- |" * (len(titles) + 4))
                cells = " | ".join(f"{found[title]:.2f}" for title in titles)
                print(f"| `{arm}` | {lr:g} | {seed} | {step + 1} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
