"""Checkpoints, configurations, logs and reports as verl and ``personadual report`` lay them out."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import yaml


def zip_shard(path: Path, text: str = "weights") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", text * 100)
    return path


def make_checkpoint(folder: Path, ranks: int = 1, shards: bool = True, full: bool = False) -> Path:
    """Files as verl lays them out; the shards are archives without tensors."""
    (folder / "huggingface").mkdir(parents=True)
    (folder / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": ranks}))
    (folder / "huggingface" / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    for rank in range(ranks if shards else 0):
        zip_shard(folder / f"model_world_size_{ranks}_rank_{rank}.pt")
    if full:
        (folder / "huggingface" / "model.safetensors").write_bytes(b"not looked into here")
    return folder


def full_checkpoint(run: Path, model: Path, step: int = 3) -> Path:
    """An RL checkpoint of which only the full model was saved."""
    folder = make_checkpoint(run / f"global_step_{step}" / "actor", shards=False)
    shutil.copytree(model, folder / "huggingface", dirs_exist_ok=True)
    (run / "latest_checkpointed_iteration.txt").write_text(str(step))
    return folder


def rl_config(**changes) -> dict:
    config = {
        "actor_rollout_ref": {
            "model": {"path": "/home/someone/models/base-7b/"},
            "actor": {"optim": {"lr": 1e-6}, "kl_loss_coef": 0.04},
            "rollout": {"n": 8, "temperature": 0.6, "dtype": "${actor_rollout_ref.missing}"},
        },
        "algorithm": {"adv_estimator": "dual_grpo", "dual_grpo": {"modes": None, "prefix_weight": 2.0}},
        "data": {"train_files": ["/home/someone/secret/rl_train.parquet"], "seed": "${data.other}", "other": 7},
        "trainer": {"default_local_dir": "runs/${trainer.name}", "name": "run"},
    }
    return {**config, **changes}


def write_config(folder: Path, config: dict) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / ".hydra" / "config.yaml"


def metrics_file(path: Path, steps: dict[int, dict]) -> Path:
    path.write_text("".join(json.dumps({"step": step, "data": data}) + "\n" for step, data in steps.items()))
    return path


def report_file(
    path: Path,
    models: tuple[str, ...] = ("sft", "dualgrpo"),
    condition: str = "aligned",
    decodings: tuple[str, ...] = ("greedy",),
) -> Path:
    """``decodings``: of the training seeds of each model."""
    rows = [
        {"model": model, "condition": condition, "measure": measure, "value": 0.5, "low": 0.25, "high": 0.75, "n": 25}
        for model in models
        for measure in ("share_general", "prob_general", "acc_free", "regret")
    ]
    runs = [
        {"model": model, "seed": seed, "settings": {"decoding": decoding}}
        for model in models
        for seed, decoding in enumerate(decodings)
    ]
    path.write_text(json.dumps({"models": runs, "measures": rows}))
    return path
