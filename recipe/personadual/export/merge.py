"""Makes the model folder: verl's own merger over the shards, or a copy of the full model that verl wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from personadual.export import ExportError
from personadual.export.checkpoint import (
    HUGGINGFACE,
    INDEX,
    Checkpoint,
    full_weights,
    lora_refusal,
    read_object,
)
from personadual.export.child import call, main
from personadual.export.paths import last_part
from personadual.files import write_json

NAMED_PATHS = (("config.json", "_name_or_path"), ("tokenizer_config.json", "name_or_path"))
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
# What belongs to a model folder beside its weights; optimizer states, pickles and code are left.
COPIED = (".json", ".jinja", ".model", ".txt", ".tiktoken")


def make_model(checkpoint: Checkpoint, target: Path) -> list[str]:
    """Fill the empty folder ``target`` with weights, config, tokenizer, chat template and generation config.

    Returns: the dtypes of the written tensors.

    Raises:
        ExportError: the merger failed, a file is a link or truncated, or the shards are those of a LoRA model.
    """
    if checkpoint.weights == HUGGINGFACE:
        copy_model(checkpoint.huggingface, target)
    else:
        call("personadual.export.merge", {"checkpoint": str(checkpoint.folder), "target": str(target)})
        if (target / "lora_adapter").exists():
            raise ExportError(lora_refusal(checkpoint.folder))
    hide_paths(target)
    return stored_dtypes(target)


def hide_paths(folder: Path) -> None:
    """transformers 4 writes the path that a model was loaded from into its config; only the last part is kept."""
    for name, key in NAMED_PATHS:
        if (folder / name).is_file():
            content = read_object(folder / name)
            if isinstance(content.get(key), str):
                write_json(folder / name, {**content, key: last_part(content[key])})


def stored_dtypes(folder: Path) -> list[str]:
    """The dtypes of all tensors in the safetensors files, as torch names them.

    Raises:
        ExportError: a file is truncated or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    found = set()
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as file:
                found |= {file.get_slice(name).get_dtype() for name in file.keys()}
        except SafetensorError as error:
            raise ExportError(
                f"{path.name}: truncated or no safetensors file ({error}). Copy it again, or export the shards "
                "(--weights shards)"
            ) from None
    return sorted(DTYPES.get(name, name) for name in found)


def copy_model(source: Path, target: Path) -> None:
    """Copy a Hugging Face folder's files: its safetensors, and what else makes a model."""
    weights = set(full_weights(source))
    for path in sorted(source.iterdir()):
        wanted = path in weights or (path.suffix in COPIED and (path.name != INDEX or len(weights) > 1))
        if not wanted or path.is_dir():
            continue
        if path.is_symlink():
            raise ExportError(f"{path}: a link. A file is needed, so that nothing from elsewhere is published with it")
        shutil.copyfile(path, target / path.name)


def merge(request: dict[str, Any]) -> dict[str, Any]:
    """verl's merger (verl/model_merger/fsdp_model_merger.py, 0.9.1). It writes bfloat16."""
    from verl.model_merger.base_model_merger import ModelMergerConfig
    from verl.model_merger.fsdp_model_merger import FSDPModelMerger

    folder = Path(request["checkpoint"])
    config = ModelMergerConfig(
        operation="merge",
        backend="fsdp",
        local_dir=str(folder),
        target_dir=request["target"],
        hf_model_config_path=str(folder / HUGGINGFACE),
    )
    try:
        FSDPModelMerger(config).merge_and_save()
    except Exception as error:
        reason = " ".join(str(error).split())[:600]
        raise ExportError(f"{folder}: verl's merger failed, {type(error).__name__}: {reason}") from error
    return {}


if __name__ == "__main__":
    main(merge)
