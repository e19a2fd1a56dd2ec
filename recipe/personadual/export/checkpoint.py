"""Which checkpoint of verl's is meant, what it holds, and whether its files are whole. Reads no pickle, needs no torch.

Layout (verl/utils/checkpoint/fsdp_checkpoint_manager.py, 0.9.1), in ``global_step_N`` for SFT and in
``global_step_N/actor`` for RL::

    fsdp_config.json                     {"FSDP_version": 2, "world_size": W}
    model_world_size_W_rank_R.pt         one shard of the weights per rank      (save_contents: model)
    huggingface/                         config, tokenizer, generation config
    huggingface/*.safetensors            the whole model                        (save_contents: hf_model)
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personadual.export import ExportError

TRACKER = "latest_checkpointed_iteration.txt"
FSDP_CONFIG = "fsdp_config.json"
HUGGINGFACE = "huggingface"
LORA = ("lora_train_meta.json", "lora_adapter")
INDEX = "model.safetensors.index.json"
SHARDS = "shards"
MOST_RANKS = 65536
_STEP = re.compile(r"global_step_(\d{1,9})")
_WEIGHT_FILE = re.compile(r"[A-Za-z0-9_.-]{1,120}\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """``folder`` holds the shards and ``huggingface``; ``run`` holds the ``global_step_N`` folders."""

    folder: Path
    run: Path
    step: int | None
    weights: str
    """Where the exported weights come from: ``shards`` or ``huggingface``."""
    shards: tuple[Path, ...]
    """The shards in the order of ranks; empty where the checkpoint has none."""

    @property
    def huggingface(self) -> Path:
        return self.folder / HUGGINGFACE

    @property
    def name(self) -> str:
        """``global_step_3/actor``: without what is above the run's folder."""
        return self.folder.relative_to(self.run).as_posix()


def find_checkpoint(path: Path, weights: str = "auto") -> Checkpoint:
    """The checkpoint that ``path`` names: its own folder, ``global_step_N`` above it, or the run's (its latest).

    Args:
        weights: ``shards``, ``huggingface``, or ``auto`` for the full model where there is one.

    Raises:
        ExportError: no checkpoint is there, or it is none that can be exported; with what is missing.
    """
    folder = _model_folder(path.expanduser().resolve())
    _check_language_model(folder)
    step_folder = folder.parent if _STEP.fullmatch(folder.parent.name) else folder
    found = _STEP.fullmatch(step_folder.name)
    shards, why_no_shards = _shards(folder)
    full = full_weights(folder / HUGGINGFACE) if weights != SHARDS else []
    if weights == HUGGINGFACE and not full:
        raise ExportError(f"{folder / HUGGINGFACE}: holds no safetensors; save_contents had no hf_model. Merge shards")
    if not full and not shards:
        raise ExportError(f"{folder}: {why_no_shards}")
    source = HUGGINGFACE if full else SHARDS
    return Checkpoint(folder, step_folder.parent, int(found[1]) if found else None, source, tuple(shards))


def check_shards(checkpoint: Checkpoint) -> None:
    """Read every record of every shard against its CRC-32, which torch itself does not do.

    Raises:
        ExportError: a shard is truncated or damaged; which one, and of how many.
    """
    for rank, path in enumerate(checkpoint.shards):
        label = f"{path}: shard {rank + 1} of {len(checkpoint.shards)}"
        try:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
            raise ExportError(
                f"{label} is truncated or no torch file ({path.stat().st_size} bytes: {error}). Copy it again, or "
                "export an earlier checkpoint"
            ) from None
        if damaged is not None:
            raise ExportError(f"{label} is damaged (record {damaged}). Copy it again, or export an earlier checkpoint")


def full_weights(folder: Path) -> list[Path]:
    """The safetensors files of a whole Hugging Face model, empty where it has none.

    Raises:
        ExportError: the index is unreadable, or a file that it names is missing.
    """
    if (folder / INDEX).is_file():
        weight_map = read_object(folder / INDEX).get("weight_map")
        names = sorted(set(map(str, weight_map.values()))) if isinstance(weight_map, dict) else []
        if not names or not all(_WEIGHT_FILE.fullmatch(name) for name in names):
            raise ExportError(f"{folder / INDEX}: a weight_map to names of safetensors files is needed")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ExportError(
                f"{folder}: {len(missing)} of the {len(names)} files of {INDEX} are missing, the first is "
                f"{missing[0]}. Copy them again, or export the shards (--weights shards)"
            )
        return [folder / name for name in names]
    single = folder / "model.safetensors"
    return [single] if single.is_file() else []


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object that others wrote.

    Raises:
        ExportError: unreadable, or no object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(found, dict):
        raise ExportError(f"{path}: a JSON object is needed, found {type(found).__name__}")
    return found


def _model_folder(path: Path) -> Path:
    if not path.is_dir():
        raise ExportError(f"checkpoint {path}: not a folder. Give .../global_step_N, its actor, or the run's folder")
    if path.name == HUGGINGFACE and (path.parent / FSDP_CONFIG).is_file():
        return path.parent
    for folder in (path, path / "actor"):
        if (folder / "model" / HUGGINGFACE).is_dir() or (folder / "model" / "dist_ckpt").is_dir():
            raise ExportError(
                f"{folder}: a Megatron checkpoint; FSDP is needed. Merge it with "
                "python -m verl.model_merger merge --backend megatron"
            )
        if (folder / FSDP_CONFIG).is_file() or (folder / HUGGINGFACE).is_dir():
            return folder
    if not (path / TRACKER).is_file():
        steps = sorted(int(found[1]) for entry in path.iterdir() if (found := _STEP.fullmatch(entry.name)))
        there = f"; it has global_step_ {', '.join(map(str, steps[-5:]))}, give one of them" if steps else ""
        raise ExportError(f"{path}: neither {FSDP_CONFIG} nor {TRACKER} is there, so it is no checkpoint{there}")
    with (path / TRACKER).open("rb") as tracker:
        step = tracker.read(32).strip()
    folder = path / f"global_step_{step.decode('ascii', 'replace')}"
    if not _STEP.fullmatch(folder.name) or not folder.is_dir():
        raise ExportError(f"{path / TRACKER}: names step {step!r}, which is not there. Give a global_step_N folder")
    return _model_folder(folder)


def _check_language_model(folder: Path) -> None:
    if folder.name == "critic":
        raise ExportError(f"{folder}: a critic; give the actor beside it")
    for name in LORA:
        if (folder / name).exists():
            raise ExportError(lora_refusal(folder))
    path = folder / HUGGINGFACE / "config.json"
    if not path.is_file():
        raise ExportError(f"{path}: missing; verl writes it beside every checkpoint. Copy the folder {HUGGINGFACE} too")
    config = read_object(path)
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    if not isinstance(first, str) or not first.endswith("ForCausalLM"):
        raise ExportError(f"{path}: a language model (...ForCausalLM) is needed, found architectures {architectures!r}")
    if config.get("auto_map"):
        raise ExportError(f"{path}: the model brings code of its own (auto_map), which is not run here")


def lora_refusal(folder: Path) -> str:
    return (
        f"{folder}: a LoRA checkpoint, and verl's merger writes base weights and adapter apart. Merge it by hand: "
        "python -m verl.model_merger merge --backend fsdp, then peft's merge_and_unload on its lora_adapter"
    )


def _shards(folder: Path) -> tuple[list[Path], str]:
    """All shards, or none and why."""
    if not (folder / FSDP_CONFIG).is_file():
        return [], f"{FSDP_CONFIG} is missing. Copy the checkpoint again"
    size = read_object(folder / FSDP_CONFIG).get("world_size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MOST_RANKS:
        return [], f"world_size in {FSDP_CONFIG} must be a number of ranks, found {size!r}"
    paths = [folder / f"model_world_size_{size}_rank_{rank}.pt" for rank in range(size)]
    missing = [rank for rank, path in enumerate(paths) if not path.is_file()]
    if not missing:
        return paths, ""
    if len(missing) == size:
        return [], f"no weights (no {paths[0].name}). Train with model or hf_model in checkpoint.save_contents"
    more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    return [], (
        f"shard {missing[0] + 1} of {size} is missing ({paths[missing[0]].name}{more}). Each node writes the shards of "
        "its own ranks: copy them all into one folder"
    )
