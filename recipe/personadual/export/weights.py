"""Tensor by tensor: are the weights of a loaded model those of the checkpoint's shards?

The shards are put together here a second time, by other code than verl's merger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Shard

from personadual.export import ExportError

SHOWN = 3


def shard_tensors(paths: Sequence[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and whole tensor of every entry, in the shards' dtype. ``paths`` are in the order of ranks.

    Raises:
        ExportError: a shard cannot be read as weights alone, or the shards do not fit together.
    """
    shards = [_read(path, f"shard {rank + 1} of {len(paths)}") for rank, path in enumerate(paths)]
    for name in shards[0]:
        if any(name not in shard for shard in shards):
            raise ExportError(f"{name}: not in every shard; they are not of one checkpoint")
        yield name, _whole(name, [shard[name] for shard in shards])


def _read(path: Path, label: str) -> dict[str, Any]:
    try:
        shard = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:400]
        raise ExportError(f"{path}: {label} cannot be read as weights alone: {reason}") from error
    if not isinstance(shard, dict) or not shard:
        raise ExportError(f"{path}: {label} holds {type(shard).__name__}, where names and tensors are needed")
    return shard


@torch.no_grad()
def _whole(name: str, parts: list[Any]) -> torch.Tensor:
    """One tensor of its parts on all ranks; the last mesh dimension is the sharded one, others hold replicas."""
    first = parts[0]
    if not isinstance(first, DTensor):
        if not all(isinstance(part, torch.Tensor) and torch.equal(part, first) for part in parts):
            raise ExportError(f"{name}: differs between the ranks, though it is not sharded")
        return first
    placement = first.placements[-1]
    local = [part.to_local() for part in parts[: first.device_mesh.mesh.shape[-1]]]
    if placement.is_replicate():
        return local[0]
    if not isinstance(placement, Shard):
        raise ExportError(f"{name}: placement {placement} is not known")
    whole = torch.cat(local, dim=placement.dim)
    if whole.shape != first.shape:
        raise ExportError(f"{name}: the shards give the shape {tuple(whole.shape)}, {tuple(first.shape)} is needed")
    return whole


def compare(state: Mapping[str, torch.Tensor], tensors: Iterator[tuple[str, torch.Tensor]]) -> dict[str, Any]:
    """Check that every tensor of the checkpoint, rounded to the model's dtype, is the model's bit for bit.

    Args:
        state: the loaded model's ``state_dict``.

    Returns: ``tensors`` compared, ``dtype`` of the model's and ``checkpoint_dtype`` of the shards'.

    Raises:
        ExportError: with the tensors that differ, are missing or are left over.
    """
    seen, wrong, dtypes = set(), [], set()
    for name, tensor in tensors:
        own = state.get(name)
        seen.add(name)
        dtypes.add(_name(tensor.dtype))
        if own is None:
            wrong.append(f"{name} is not in the exported model")
        elif own.shape != tensor.shape:
            wrong.append(f"{name} has the shape {tuple(own.shape)}, the checkpoint {tuple(tensor.shape)}")
        elif not bool(torch.isfinite(own).all()):
            wrong.append(f"{name} holds values that are not finite")
        elif not torch.equal(tensor.to(own.dtype), own):
            largest = float((tensor.to(own.dtype).double() - own.double()).abs().max())
            wrong.append(f"{name} differs by up to {largest:.3g}")
    wrong += [f"{name} is not in the checkpoint" for name in state if name not in seen]
    if wrong:
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ExportError(f"exported weights are not the checkpoint's: {'; '.join(wrong[:SHOWN])}{more}")
    own_dtypes = sorted({_name(tensor.dtype) for tensor in state.values()})
    return {"tensors": len(seen), "dtype": own_dtypes, "checkpoint_dtype": sorted(dtypes)}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
