"""What a GPU must hold, estimated from the model's config alone: the model is built on torch's meta device.

Bytes per GPU; P parameters, T trained ones (LoRA: the adapters), S GPUs of a shard (fsdp_size, or all), t tokens of a
micro batch (ppo_max_token_len_per_gpu), h hidden size, L layers, V vocabulary, b bytes of the master weights (fp32: 4,
verl/workers/engine/fsdp/transformer_impl.py, ``_build_module``), c bytes of what is computed with (bf16: 2):

    weights        P b / S                  gradients  T b / S            Adam  2 T b / S
    gathered       c (E + 2 B)              E embeddings and head, whole while the root is; B one block, and the next
    activations    c h t L + 34 h t         with gradient checkpointing: each block's input, and one block's inside;
                   34 h t L                 without (Korthikanti et al. 2022, arXiv 2205.05198, no attention scores)
    logits         (c + 8) V t              as computed, in fp32 for log-softmax and entropy, and their gradient;
                                            0 with fused kernels, which never write them
    rollout        gpu_memory_utilization times the GPU's memory; c P / TP of it are vLLM's weights

Training takes the sum of the first six (and vLLM's share where free_cache_engine is off); rolling out takes vLLM's
share and what is not offloaded of the first three without gradients. The reference model is offloaded by verl: it
takes host memory, P b / S per process. Rough: what torch, NCCL and CUDA graphs take for themselves (2 to 4 GiB) and
fragmentation come on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from personadual.preflight.findings import WARNING, Finding, judged, not_looked_at, ok
from personadual.preflight.setup import RL, Setup

GIB = 1 << 30
_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
_BYTES = {"fp32": 4, "float32": 4, "float": 4, "32": 4}


@dataclass(frozen=True)
class ModelSize:
    """Counts of numbers in the model; ``adapters`` of LoRA's at rank 1."""

    parameters: int
    embeddings: int
    block: int
    layers: int
    hidden: int
    vocabulary: int
    adapters: int = 0


@dataclass(frozen=True)
class Training:
    """How the model is held. ``tensor`` 0 and ``share`` 0 where nothing rolls out."""

    shard: int
    tokens: int
    master_bytes: int = 4
    compute_bytes: int = 2
    lora_rank: int = 0
    checkpointing: bool = True
    fused: bool = False
    param_offload: bool = False
    optimizer_offload: bool = False
    all_offloaded: bool = False
    reference: bool = False
    processes_per_node: int = 1
    tensor: int = 0
    share: float = 0.0
    rollout_bytes: int = 2
    stays: bool = False


def estimate(size: ModelSize, training: Training, gpu: float) -> dict[str, float]:
    """Bytes by name, in the order of the module's text; ``gpu`` is one GPU's memory in bytes."""
    p, t = size.parameters, training.tokens
    trained = training.lora_rank * size.adapters if training.lora_rank else p
    held = 0 if training.all_offloaded else 1
    whole = p + (trained if training.lora_rank else 0)
    weights = held * whole * training.master_bytes / training.shard
    gradients = held * trained * training.master_bytes / training.shard
    adam = 2 * gradients
    gathered = training.compute_bytes * (size.embeddings + 2 * size.block) if training.shard > 1 else 0.0
    inside = 34 * size.hidden * t * training.compute_bytes / 2
    inputs = training.compute_bytes * size.hidden * t * size.layers
    activations = inputs + inside if training.checkpointing else inside * size.layers
    logits = 0.0 if training.fused else (training.compute_bytes + 8.0) * size.vocabulary * t
    rollout = training.share * gpu
    resident = (0 if training.param_offload else weights) + (0 if training.optimizer_offload else adam)
    updating = weights + gradients + adam + gathered + activations + logits
    lines = {
        "weights": weights,
        "gradients": gradients,
        "Adam": adam,
        "gathered": gathered,
        "activations": activations,
        "logits": logits,
        "training": updating + (rollout if training.stays else 0),
    }
    if training.tensor:
        lines["vLLM's weights"] = training.rollout_bytes * p / training.tensor
        lines["vLLM's share"] = rollout
        lines["rolling out"] = rollout + resident
    if training.reference or training.all_offloaded:
        offloaded = whole * training.master_bytes / training.shard * training.processes_per_node
        lines["host memory of a node"] = offloaded * (training.reference + 4 * training.all_offloaded)
    return lines


def memory_findings(setup: Setup) -> Iterator[Finding]:
    if not setup.sharded:
        yield Finding("memory", WARNING, "not looked at: only FSDP's shards are known here")
        return
    size = setup.model_size
    if size is None:
        yield not_looked_at("memory", "the model's config is not here", "see the model", setup.dry_run)
        return
    gpu, found = gpu_memory(setup.gpu_memory_gib)
    lines = estimate(size, training_of(setup), gpu)
    table = "\n".join(f"{name:22} {value / GIB:9.3f} GiB" for name, value in lines.items())
    yield ok("memory per GPU", f"{size.parameters / 1e6:,.1f} M parameters, estimated\n{table}")
    if setup.get("trainer.device", "cuda") == "cpu":
        return
    yield from fit_findings(lines, gpu, found)


def fit_findings(lines: dict[str, float], gpu: float, found: bool) -> Iterator[Finding]:
    """``found``: the GPU's memory was read from it, not assumed."""
    source = "the smallest GPU here" if found else "--gpu-memory-gib"
    less = {
        "training": f"a smaller {_ACTOR}.ppo_max_token_len_per_gpu (SFT: data.max_token_len_per_gpu), "
        "model.use_fused_kernels=True, fsdp_config.optimizer_offload=True fsdp_config.param_offload=True, more GPUs, "
        "or model.lora_rank",
        "rolling out": f"a smaller {_ROLLOUT}.gpu_memory_utilization, or fsdp_config.optimizer_offload=True",
    }
    for name, mend in less.items():
        if name in lines:
            required = f"at most {gpu / GIB:.1f} GiB ({source})"
            yield judged(
                f"memory for {name}", lines[name] <= gpu, required, f"{lines[name] / GIB:.1f} GiB", mend, WARNING
            )
    if "vLLM's weights" in lines:
        weights, share = lines["vLLM's weights"] / GIB, lines["vLLM's share"] / GIB
        yield judged(
            "memory for vLLM",
            weights < share,
            f"less than vLLM's share of {share:.1f} GiB, to leave room for its cache",
            f"{weights:.1f} GiB of weights",
            f"a larger {_ROLLOUT}.tensor_model_parallel_size or gpu_memory_utilization",
            WARNING,
        )


def measure(config: Any, target_modules: Any = "all-linear") -> ModelSize:
    """Sizes of the model that a transformers config describes, without any of its weights."""
    import copy

    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    text = config.get_text_config()
    outer = {id(module.weight): module.weight.numel() for module in _ends(model)}
    blocks = [
        sum(weight.numel() for weight in module.parameters())
        for module in model.modules()
        if type(module).__name__ in set(getattr(model, "_no_split_modules", None) or ())
    ]
    linear = [
        module.in_features + module.out_features
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and _is_target(name, module, model, target_modules)
    ]
    return ModelSize(
        parameters=sum(weight.numel() for weight in model.parameters()),
        embeddings=sum(outer.values()),
        block=max(blocks, default=0),
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        vocabulary=int(text.vocab_size),
        adapters=sum(linear),
    )


def _ends(model: Any) -> list[Any]:
    return [module for module in (model.get_input_embeddings(), model.get_output_embeddings()) if module is not None]


def _is_target(name: str, module: Any, model: Any, targets: Any) -> bool:
    """Whether peft puts an adapter on a linear module; "all-linear" leaves out the head."""
    if targets is None or targets == "all-linear":
        return module is not model.get_output_embeddings()
    names = [targets] if isinstance(targets, str) else list(targets)
    return any(name == target or name.endswith(f".{target}") for target in names)


def gpu_memory(assumed_gib: float) -> tuple[float, bool]:
    """Memory of the smallest GPU in bytes, and whether there is one; else what is assumed."""
    import torch

    if not torch.cuda.is_available():
        return assumed_gib * GIB, False
    devices = range(torch.cuda.device_count())
    return float(min(torch.cuda.get_device_properties(device).total_memory for device in devices)), True


def training_of(setup: Setup) -> Training:
    """The configuration's numbers as ``estimate`` takes them."""
    engine, rl = setup.engine_key, setup.kind == RL
    block = _ACTOR if rl else "data"
    dynamic = setup.get(f"{block}.use_dynamic_bsz", not rl)
    key = f"{_ACTOR}.ppo_max_token_len_per_gpu" if rl else "data.max_token_len_per_gpu"
    if dynamic:
        tokens = setup.number(key)
    else:
        micro = f"{_ACTOR}.ppo_micro_batch_size_per_gpu" if rl else "data.micro_batch_size_per_gpu"
        longest = setup.number("data.max_prompt_length") + setup.number("data.max_response_length")
        longest = longest if rl else setup.number("data.max_length", 1024)
        tokens = setup.number(micro, 1) * longest // max(setup.sequence_parallel, 1)
    fsdp = setup.number(f"{engine}.fsdp_size", -1)
    world = max(setup.world_size, 1)
    rank = setup.number(f"{setup.model_key}.lora_rank") or setup.number(f"{setup.model_key}.lora.rank")
    reference = setup.get(f"{_ACTOR}.use_kl_loss", False) or setup.get("algorithm.use_kl_in_reward", False)
    return Training(
        shard=fsdp if 0 < fsdp < world else world,
        tokens=tokens,
        master_bytes=_BYTES.get(str(setup.get(f"{engine}.model_dtype", "fp32")), 2),
        compute_bytes=_BYTES.get(str(setup.get(f"{engine}.mixed_precision.param_dtype", "bf16")), 2),
        lora_rank=rank,
        checkpointing=bool(setup.get(f"{setup.model_key}.enable_gradient_checkpointing", True)),
        fused=bool(setup.get(f"{setup.model_key}.use_fused_kernels", False)),
        param_offload=bool(setup.get(f"{engine}.param_offload", False)),
        optimizer_offload=bool(setup.get(f"{engine}.optimizer_offload", False)),
        all_offloaded=bool(setup.get(f"{engine}.offload_policy", False)),
        reference=rl and bool(reference) and not rank,
        processes_per_node=setup.number("trainer.n_gpus_per_node", 1),
        tensor=setup.number(f"{_ROLLOUT}.tensor_model_parallel_size", 1) if rl else 0,
        share=float(setup.get(f"{_ROLLOUT}.gpu_memory_utilization", 0.5)) if rl else 0.0,
        rollout_bytes=_BYTES.get(str(setup.get(f"{_ROLLOUT}.dtype", "bfloat16")), 2),
        stays=rl and not setup.get(f"{_ROLLOUT}.free_cache_engine", True),
    )
