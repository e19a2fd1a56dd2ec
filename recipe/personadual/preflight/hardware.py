"""This machine: devices, room for checkpoints, shared memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from personadual import cpu
from personadual.preflight.cluster import wanted_gpus
from personadual.preflight.data import TRAIN
from personadual.preflight.data_files import rows_of
from personadual.preflight.findings import WARNING, Finding, judged, not_looked_at, ok
from personadual.preflight.memory import GIB, training_of
from personadual.preflight.resume import resume_findings
from personadual.preflight.setup import RL, Setup

SHARED_MEMORY_GIB = 1.0
"""What Ray, data loaders and NCCL ask for between them; a container's default of 64 MiB is the usual trap."""


def hardware_findings(setup: Setup) -> Iterator[Finding]:
    yield from _devices(setup)
    yield from _disk(setup)
    yield from _shared_memory(setup)
    yield from resume_findings(setup)


def _devices(setup: Setup) -> Iterator[Finding]:
    if cpu.asked_for():
        yield ok("devices", "the CPU (VERL_PLATFORM=cpu)")
        return
    device = str(setup.get("trainer.device", "cuda"))
    if device != "cuda":
        yield not_looked_at("devices", f"trainer.device={device}", "count them yourself", dry_run=True)
        return
    import torch

    memory = []
    if torch.cuda.is_available():
        memory = [torch.cuda.get_device_properties(place).total_memory for place in range(torch.cuda.device_count())]
    elsewhere = setup.dry_run or setup.ray_address is not None or bool(setup.get("ray_kwargs.ray_init.address"))
    yield from device_findings(memory, _wanted_here(setup), elsewhere)


def _wanted_here(setup: Setup) -> dict[str, int]:
    """GPUs by the key that asks for them: of each block where one node holds all, else training's of a node."""
    wanted = wanted_gpus(setup)
    alone = all(nodes == 1 for nodes, _ in wanted.values())
    return {f"{block}.n_gpus_per_node": gpus for block, (_, gpus) in wanted.items() if alone or block == "trainer"}


def device_findings(memory: Sequence[int], wanted: Mapping[str, int], elsewhere: bool) -> Iterator[Finding]:
    """``memory``: bytes of each GPU here. ``wanted``: GPUs by the key that asks for them; no GPU serves two keys.

    ``elsewhere``: the training may run on another machine than this one.
    """
    shown = ", ".join(f"{each / GIB:.0f} GiB" for each in memory) or "no GPU"
    total = sum(wanted.values())
    if not memory:
        mend = "a machine with GPUs, or VERL_PLATFORM=cpu +platform=cpu"
    elif len(wanted) == 1:
        mend = f"{next(iter(wanted))}={len(memory)}"
    else:
        mend = f"{' and '.join(wanted)} of {len(memory)} together"
    if len(memory) < total and elsewhere:
        yield not_looked_at("devices", f"{len(memory)} of {total} GPUs are here", mend, dry_run=True)
        return
    yield judged(
        "devices", len(memory) >= total, f"{total} GPUs ({' + '.join(wanted)})", f"{len(memory)}: {shown}", mend
    )


def _disk(setup: Setup) -> Iterator[Finding]:
    folder = Path(os.path.expanduser(str(setup.get("trainer.default_local_dir", "checkpoints")))).absolute()
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    yield judged(
        "trainer.default_local_dir",
        there.is_dir() and os.access(there, os.W_OK),
        "a folder that can be written to",
        f"{folder} ({there} is there)",
        "trainer.default_local_dir=FOLDER",
    )
    size = setup.model_size
    if size is None or not there.is_dir():
        return
    contents = setup.plain(
        "actor_rollout_ref.actor.checkpoint.save_contents" if setup.kind == RL else "checkpoint.save_contents"
    )
    training = training_of(setup)
    trained = training.lora_rank * size.adapters or size.parameters
    one = checkpoint_bytes(size.parameters, trained, list(contents or ()), training.master_bytes)
    yield from disk_findings(one, kept_checkpoints(setup), shutil.disk_usage(there).free)


def checkpoint_bytes(parameters: int, trained: int, contents: Sequence[str], master_bytes: int = 4) -> int:
    """Bytes of one checkpoint: sharded weights, Adam's two numbers per trained one, and the hf_model beside them.

    verl writes the last with the master weights' precision (fsdp_checkpoint_manager.py, ``save_checkpoint``).
    """
    parts = {"model": parameters, "optimizer": 2 * trained, "hf_model": parameters}
    return sum(numbers * master_bytes for name, numbers in parts.items() if name in contents)


def kept_checkpoints(setup: Setup) -> int:
    """Checkpoints on disk at once: a limit is passed by one while the next is written; without one, all of them."""
    every = setup.get("trainer.save_freq", -1)
    rl = setup.kind == RL
    if rl and (not isinstance(every, int) or every <= 0):
        return 0
    limit = setup.get("trainer.max_actor_ckpt_to_keep" if rl else "trainer.max_ckpt_to_keep")
    if limit:
        return int(limit) + (int(limit) == 1)
    rows = sum(rows_of(path) or 0 for path in setup.paths(TRAIN) if os.path.isfile(path))
    epoch = rows // max(setup.number("data.train_batch_size", 1), 1)
    steps = setup.number("trainer.total_training_steps") or epoch * setup.number("trainer.total_epochs", 1)
    every = epoch if every == "after_each_epoch" else every
    return max(-(-steps // every) if isinstance(every, int) and every > 0 else 1, 1)


def disk_findings(one: int, kept: int, free: int) -> Iterator[Finding]:
    """Room for one checkpoint is needed; room for all that are kept is wanted."""
    mend = (
        "another trainer.default_local_dir, a larger trainer.save_freq, or fewer kept (max_actor_ckpt_to_keep; SFT: "
        "max_ckpt_to_keep)"
    )
    found = f"{free / GIB:.1f} GiB free; a checkpoint takes about {one / GIB:.3g} GiB, {kept} are kept"
    if kept and one > free:
        yield judged("disk", False, "room for one checkpoint", found, mend)
        return
    yield judged("disk", kept * one <= free, f"{kept * one / GIB:.3g} GiB", found, mend, WARNING)


def _shared_memory(setup: Setup) -> Iterator[Finding]:
    if not os.path.isdir("/dev/shm"):
        return
    needed = SHARED_MEMORY_GIB * GIB
    if cpu.asked_for() and setup.kind == RL:  # weights go to vLLM through it, a bucket at a time
        bucket = setup.number("actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes", 2048)
        needed = max(needed, 2.0 * bucket * (1 << 20))
    yield shared_memory_finding(shutil.disk_usage("/dev/shm").free, int(needed))


def shared_memory_finding(free: int, needed: int) -> Finding:
    return judged(
        "shared memory",
        free >= needed,
        f"{needed / GIB:.1f} GiB free in /dev/shm",
        f"{free / GIB:.2f} GiB",
        "docker run --shm-size=16g, or --ipc=host",
        WARNING,
    )
