"""The run that is hurt, or made long: DualGRPO on the tiny model, and what is read of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from e2e.harness import read_jsonl, rl_command
from tiny_model import build_tiny_model

from personadual import schema
from personadual.modes import parse_mode

STEPS, PROMPTS, ROLLOUTS = 5, 4, 4
TRACKER = "latest_checkpointed_iteration.txt"


def rows(count: int) -> list[dict]:
    return [
        {
            schema.PROMPT: [
                {"role": "system", "content": "User profile: likes tea."},
                {"role": "user", "content": f"Question {index}: which city?"},
            ],
            schema.DATA_SOURCE: f"{schema.QUICKSTART_SOURCE_PREFIX}{schema.NONE}",
            schema.ABILITY: "fact",
            schema.REWARD_MODEL: {"style": "rule", schema.GROUND_TRUTH: "Paris"},
            schema.EXTRA_INFO: {schema.INDEX: index, schema.ITEM: index, schema.ASKED_MODE: schema.FREE},
        }
        for index in range(count)
    ]


@dataclass
class Scene:
    """``folder`` holds model and data for ``steps`` steps; every run has a folder of its own beside them."""

    folder: Path
    steps: int = STEPS

    def build(self) -> None:
        build_tiny_model(self.folder / "model")
        pd.DataFrame(rows(PROMPTS * self.steps)).to_parquet(self.folder / "train.parquet")
        pd.DataFrame(rows(2)).to_parquet(self.folder / "val.parquet")

    def command(self, out: Path, *overrides: str) -> list[str]:
        return rl_command(
            self.folder / "model",
            self.folder / "train.parquet",
            self.folder / "val.parquet",
            out,
            f"data.train_batch_size={PROMPTS}",
            f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
            f"actor_rollout_ref.rollout.n={ROLLOUTS}",
            "actor_rollout_ref.rollout.temperature=1.0",
            "data.shuffle=True",
            "data.seed=5",
            "data.max_prompt_length=64",
            "data.max_response_length=32",
            "trainer.save_freq=1",
            "trainer.test_freq=-1",
            "trainer.val_before_train=False",
            f"trainer.total_training_steps={self.steps}",
            *overrides,
        )


def saved_step(out: Path) -> int | None:
    """Step of the newest checkpoint that the run calls whole; 0 for none, None where its tracker holds no number."""
    path = out / "checkpoints" / TRACKER
    text = path.read_text() if path.exists() else "0"
    return int(text) if text.isdigit() else None


def updates_in(out: Path, step: int | None) -> set[int]:
    """Updates that the optimizer in a step's checkpoint counts, over its parameters; none if it can't be read."""
    import torch
    import torch.distributed.tensor  # the parts of a sharded optimizer

    path = out / "checkpoints" / f"global_step_{step}" / "actor" / "optim_world_size_1_rank_0.pt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state"]
    except Exception:  # a torn file raises what the part of it that is torn raises
        return set()
    return {int(entry["step"]) for entry in state.values()}


def exported(out: Path, step: int | None) -> bool:
    """Whether the model that is written beside a step's checkpoint is whole and holds its weights."""
    import torch
    import torch.distributed.tensor
    from safetensors.torch import load_file

    folder = out / "checkpoints" / f"global_step_{step}" / "actor"
    try:
        model = load_file(folder / "huggingface" / "model.safetensors")
        weights = torch.load(folder / "model_world_size_1_rank_0.pt", map_location="cpu", weights_only=True)
    except Exception:  # as above
        return False
    # In what precision the model is written is its own affair.
    return bool(model) and all(
        name in weights
        and torch.equal(value, torch.as_tensor(getattr(weights[name], "_local_tensor", weights[name])).to(value.dtype))
        for name, value in model.items()
    )


def order_of(out: Path) -> dict[int, Counter]:
    """Step: how often each (question, mode) was rolled out in it, the last time that the step was done.

    A step whose file is empty or cut off is left out, and rows without a prompt, with which verl fills up a batch.
    """
    found = {}
    for path in (out / "rollouts").glob("*.jsonl"):
        try:
            entries = read_jsonl(path)
        except ValueError:  # cut off in a line, or in a character of it
            continue
        if entries:
            found[int(path.stem)] = Counter(
                (entry["input"], parse_mode(entry["output"]).name) for entry in entries if entry["input"]
            )
    return found


def metrics_in(log: Path) -> dict[int, dict[str, float]]:
    """Metrics of each step, in the order in which they were done; a torn last line is no step."""
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        try:
            entry = json.loads(line)
            found[entry["step"]] = entry["data"]
        except (json.JSONDecodeError, KeyError):
            continue
    return found
