"""How many processes there are, and what they divide between them: ranks, shards, heads, the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from personadual.preflight.arithmetic import either, nearest_divisors
from personadual.preflight.findings import Finding, judged
from personadual.preflight.setup import RL, Setup

_ROLLOUT = "actor_rollout_ref.rollout"


@dataclass(frozen=True)
class Parallel:
    """Processes of the trained model and how they are divided; ``tensor`` 0 where nothing rolls out."""

    nodes: int
    gpus: int
    sequence: int = 1
    fsdp: int = -1
    tensor: int = 0
    rollout_data: int = 1

    @property
    def world(self) -> int:
        return self.nodes * self.gpus

    @property
    def data(self) -> int:
        """Data-parallel size, as verl has it: the processes that see different rows (transformer_impl.py)."""
        return max(self.world // self.sequence, 1)


def parallel_findings(parallel: Parallel, engine_key: str, model: Any = None) -> Iterator[Finding]:
    """``model`` is the model's config; without it heads and vocabulary are not looked at."""
    world, gpus, tensor, sequence = parallel.world, parallel.gpus, parallel.tensor, parallel.sequence
    yield judged(
        "GPUs",
        gpus > 0 and parallel.nodes > 0,
        "at least one",
        f"{parallel.nodes} × {gpus}",
        "trainer.n_gpus_per_node=1",
    )
    if world < 1:
        return
    if tensor:
        replica = tensor * parallel.rollout_data
        fits = world % replica == 0 and (gpus % tensor == 0 or tensor % gpus == 0)
        yield judged(
            f"{_ROLLOUT}.tensor_model_parallel_size",
            fits,
            f"a divisor of {gpus} GPUs per node and, times data_parallel_size, of all {world} (replica.py)",
            tensor,
            f"{_ROLLOUT}.tensor_model_parallel_size={either(nearest_divisors(tensor, gpus))}",
        )
    key = f"{engine_key}.ulysses_sequence_parallel_size"
    if sequence > 1:
        yield judged(
            key,
            world % sequence == 0,
            f"a divisor of all {world} GPUs",
            sequence,
            f"{key}={either(nearest_divisors(sequence, world))}",
        )
    if 0 < parallel.fsdp < world:
        yield judged(
            f"{engine_key}.fsdp_size",
            world % parallel.fsdp == 0,
            f"-1, or a divisor of all {world} GPUs",
            parallel.fsdp,
            f"{engine_key}.fsdp_size={either([-1, *nearest_divisors(parallel.fsdp, world)])}",
        )
    if model is not None:
        yield from model_findings(parallel, key, model)


def model_findings(parallel: Parallel, sequence_key: str, model: Any) -> Iterator[Finding]:
    """What is split over processes inside the model: heads by vLLM and Ulysses, and vLLM's padded vocabulary."""
    text = model.get_text_config() if hasattr(model, "get_text_config") else model
    heads = getattr(text, "num_attention_heads", None)
    if not heads:
        return
    shared = int(getattr(text, "num_key_value_heads", None) or heads)
    tensor, sequence = parallel.tensor, parallel.sequence
    if tensor:
        # vLLM pads the vocabulary to a multiple of 64 (vocab_parallel_embedding.py, pad_vocab_size) and divides it.
        padded = -(-int(getattr(text, "vocab_size", 64)) // 64) * 64
        divides = heads % tensor == 0 and padded % tensor == 0 and (shared % tensor == 0 or tensor % shared == 0)
        best = nearest_divisors(tensor, math.gcd(heads, padded), also=parallel.gpus)
        yield judged(
            "tensor parallel model",
            divides,
            f"a size that divides {heads} attention heads ({shared} of keys and values) and a vocabulary of {padded}",
            f"{_ROLLOUT}.tensor_model_parallel_size={tensor}",
            f"{_ROLLOUT}.tensor_model_parallel_size={either(best)}",
        )
    if sequence > 1:
        divides = heads % sequence == 0 and (shared % sequence == 0 or sequence % shared == 0)
        yield judged(
            "Ulysses model",
            divides,
            f"a size that divides {heads} attention heads and fits {shared} of keys and values",
            f"{sequence_key}={sequence}",
            f"{sequence_key}={either(nearest_divisors(sequence, heads, also=parallel.world))}",
        )


def parallel_of(setup: Setup) -> Parallel:
    return Parallel(
        nodes=setup.number("trainer.nnodes", 1),
        gpus=setup.number("trainer.n_gpus_per_node", 1),
        sequence=max(setup.sequence_parallel, 1),
        fsdp=setup.number(f"{setup.engine_key}.fsdp_size", -1),
        tensor=setup.number(f"{_ROLLOUT}.tensor_model_parallel_size", 1) if setup.kind == RL else 0,
        rollout_data=setup.number(f"{_ROLLOUT}.data_parallel_size", 1),
    )
