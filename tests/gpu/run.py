"""The launchers on one GPU, as they stand, on random models of real shapes: do they run, and what does a step take?

    python tests/gpu/run.py --out outputs/gpu                       every case, one after another
    python tests/gpu/run.py --out outputs/gpu --only sft rl         some of them; finished ones are not repeated
    python tests/gpu/run.py --out outputs/gpu --at-once --only ...  together, on a card with memory for it
    python tests/gpu/run.py --out outputs/gpu --dry-run             no GPU: composes and checks each configuration

Weights are random, so answers mean nothing: RL's responses are held at their full length (``ignore_eos``), alike in
every arm. A case ends well if the launcher does, every step's loss is finite and RL did the steps that were asked for;
the next call repeats one that did not. ``--out``/gpu.json has what was measured, ``--out``/NAME.log the output and
``--out``/NAME.jsonl every metric.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e.harness import read_jsonl
from tiny_model import build_tiny_tokenizer

from personadual.files import write_json

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {
    # hidden, intermediate, layers, heads, key-value heads: Qwen2.5's
    "0.5b": (896, 4864, 24, 14, 2),
    "1.5b": (1536, 8960, 28, 12, 2),
}
VOCABULARY = 151_936
STEPS = 3
RESUMED = "_resumed"
# For a machine without flash-attn, which is built by hand; verl packs by position ids all the same.
SDPA = {"sft": "+model.override_config.attn_implementation=sdpa"}
SDPA["rl"] = f"+actor_rollout_ref.{SDPA['sft'][1:]}"
SHOWN = {
    "step_s": "timing_s/step",
    "generation_s": "timing_s/gen",
    "update_s": "timing_s/update_actor",
    "weight_sync_s": "timing_s/update_weights",
    "advantage_s": "timing_s/adv",
    "reserved_gb": "perf/max_memory_reserved_gb",
    "response_tokens": "response_length/mean",
    "engine_actor_correlation": "training/rollout_actor_probs_pearson_corr",
}


class Case(NamedTuple):
    script: str
    overrides: tuple[str, ...] = ()
    environment: dict[str, str] | None = None
    shape: str = "0.5b"

    @property
    def stage(self) -> str:
        return "sft" if "_sft_" in self.script else "rl"


SFT = ("optim.lr=3e-4", "trainer.total_epochs=1")
RL = (
    "actor_rollout_ref.rollout.ignore_eos=True",
    "trainer.val_before_train=False",
    "trainer.test_freq=-1",
    f"trainer.save_freq={STEPS}",
    # A 24 GB card's half, whatever the card.
    "actor_rollout_ref.rollout.gpu_memory_utilization={half_of_24gb}",
    # Starting processes takes longer than the steps.
    "actor_rollout_ref.rollout.agent.num_workers=2",
    "reward.num_workers=2",
    "+ray_kwargs.ray_init.include_dashboard=False",
)
# vLLM measures what is free while it starts and refuses if another process gives memory back meanwhile.
FIXED_CACHE = "+actor_rollout_ref.rollout.engine_kwargs.vllm.kv_cache_memory_bytes=6000000000"
SMALL = (
    "data.train_batch_size=16",
    "actor_rollout_ref.actor.ppo_mini_batch_size=16",
    "data.max_response_length=256",
)
FIRST = (*RL, *SMALL, f"trainer.total_training_steps={STEPS}")
CASES = {
    "sft": Case("run_sft_24gb.sh", SFT),
    "rl": Case("run_dualgrpo_24gb.sh", FIRST),
    # Goes on from the checkpoint of `rl`: to repeat it, repeat that.
    "rl_resumed": Case("run_dualgrpo_24gb.sh", (*RL, *SMALL, f"trainer.total_training_steps={STEPS + 1}")),
    "rl_paper_batch": Case("run_dualgrpo_24gb.sh", (*RL, f"trainer.total_training_steps={STEPS}")),
    "rl_grpo_free": Case("run_dualgrpo_24gb.sh", FIRST, {"ARM": "grpo_free"}),
    "rl_recommended": Case("run_dualgrpo_24gb.sh", FIRST, {"ARM": "recommended"}),
    "rl_colocate_async": Case("run_dualgrpo_24gb.sh", FIRST, {"TRAINER": "dual_grpo_colocate_async"}),
    "sft_lora": Case("run_sft_24gb.sh", (), {"LORA": "1"}, "1.5b"),
    "rl_lora": Case("run_dualgrpo_24gb.sh", FIRST, {"LORA": "1"}, "1.5b"),
    "sft_qwen7b": Case("run_sft_qwen7b.sh", SFT),
    "rl_qwen7b": Case("run_dualgrpo_qwen7b.sh", FIRST, {"TP": "1"}),
}
# What a launcher reads from the environment: set here, or not at all.
LAUNCHER_VARIABLES = "MODEL TRAIN VAL NAME CHECKPOINTS OUT KEEP GPUS NNODES TP ARM TRAINER LOGGERS LORA DRY_RUN".split()


def build_model(folder: Path, shape: str) -> None:
    """Random weights of a Qwen2.5 and a tokenizer with as many entries: the tests' own, filled up."""
    if (folder / "config.json").exists():
        return
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    small = build_tiny_tokenizer()
    state = json.loads(small.backend_tokenizer.to_str())
    known = state["model"]["vocab"]
    known |= {f"filler{index}": index for index in range(len(known), VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), eos_token=small.eos_token, pad_token=small.pad_token
    )
    tokenizer.chat_template = small.chat_template
    tokenizer.model_max_length = 32_768
    hidden, intermediate, layers, heads, shared = SHAPES[shape]
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="bfloat16",
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2ForCausalLM(config).bfloat16()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build_data(folder: Path) -> None:
    if not (folder / "manifest.json").exists():
        command = [sys.executable, "-m", "personadual.cli", "data", "quickstart", "--out", str(folder)]
        subprocess.run([*command, "--seed", "1"], check=True)


def memory_share() -> float:
    """Half of 24 GB as a share of this card's memory; a half where there is no card."""
    import torch

    return round(12e9 / torch.cuda.mem_get_info()[1], 3) if torch.cuda.is_available() else 0.5


def measured(log: Path) -> list[dict[str, float]]:
    """Metrics of each step, from verl's file logger."""
    return [line["data"] | {"step": line["step"]} for line in read_jsonl(log)] if log.exists() else []


def ended_well(name: str, result: Mapping[str, Any]) -> bool:
    """Whether the launcher ended with 0, every loss is finite and RL did the steps that were asked for, no others."""
    steps = [STEPS + 1] if name.endswith(RESUMED) else list(range(1, STEPS + 1))
    found = result.get("first_step"), result.get("steps")
    as_planned = CASES[name].stage == "sft" or found == (steps[0], len(steps))
    return result.get("exit") == 0 and result.get("losses_finite") is True and as_planned


def run_case(name: str, out: Path, args: argparse.Namespace) -> dict[str, Any]:
    case = CASES[name]
    environment = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
    environment |= (case.environment or {}) | {
        "CHECKPOINTS": str(out / "checkpoints"),
        "GPUS": "1",
        "LOGGERS": "file",
        "PROBE": "0",
    }
    for variable, part in (("TRAIN", "train"), ("VAL", "val")):
        environment[variable] = str(out / f"data/{case.stage}_{part}.parquet")
    if case.stage == "rl":
        environment["NAME"] = name.removesuffix(RESUMED)
    # Without one, RL takes what SFT exported.
    if case.stage == "sft" or args.dry_run or args.random_start:
        environment["MODEL"] = str(out / case.shape)
    if args.dry_run:
        environment["DRY_RUN"] = "1"
    metrics = out / f"{name}.jsonl"
    environment |= {"VERL_FILE_LOGGER_PATH": str(metrics), "RAY_TMPDIR": str(out / f"ray_{name}")}
    attention = [] if find_spec("flash_attn") else [SDPA[case.stage]]
    overrides = [*attention, f"hydra.run.dir={out / 'hydra' / name}", *case.overrides]
    if not name.endswith(RESUMED):
        overrides.append("trainer.resume_mode=disable")  # an earlier call may have left a checkpoint
    overrides = [text.replace("{half_of_24gb}", str(memory_share())) for text in overrides]
    if args.at_once and case.stage == "rl":
        overrides.append(FIXED_CACHE)
    start = time.monotonic()
    with open(out / f"{name}.log", "w") as log:
        command = ["bash", str(ROOT / "examples" / case.script), *overrides]
        status = subprocess.run(command, env=environment, stdout=log, stderr=log, cwd=out).returncode
    result: dict[str, Any] = {"exit": status, "seconds": round(time.monotonic() - start, 1)}
    steps = measured(metrics)
    numbers = {step["step"] for step in steps}
    result |= {"steps": len(numbers), "first_step": min(numbers, default=None)}
    losses = [v for step in steps for k, v in step.items() if k in ("train/loss", "actor/pg_loss")]
    result["losses_finite"] = bool(losses) and all(math.isfinite(loss) for loss in losses)
    # The first step warms up.
    for short, key in SHOWN.items():
        found = [step[name] for step in steps[1:] or steps for name in (key, f"actor/{key}") if name in step]
        if found:
            result[short] = round(statistics.median(found), 5)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--at-once", action="store_true", help="start all of them together")
    parser.add_argument(
        "--random-start", action="store_true", help="RL from the random model, not from what SFT exported"
    )
    parser.add_argument("--dry-run", action="store_true", help="compose and check, without a GPU")
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    build_data(out / "data")
    kept = out / "gpu.json"
    results = json.loads(kept.read_text()) if kept.exists() and not args.dry_run else {}
    chosen = [name for name in args.only if not ended_well(name, results.get(name, {}))]
    if not args.dry_run:
        for shape in sorted({CASES[name].shape for name in chosen}):
            build_model(out / shape, shape)
    failed: list[str] = []
    writing = threading.Lock()

    def do(name: str) -> None:
        result = run_case(name, out, args)
        print(name, json.dumps(result), flush=True)
        if result["exit"] != 0 or not (args.dry_run or ended_well(name, result)):
            failed.append(name)
            print((out / f"{name}.log").read_text()[-3000:], flush=True)
        if args.dry_run:
            return
        with writing:
            results[name] = result
            write_json(kept, results)

    with ThreadPoolExecutor(max(len(chosen), 1) if args.at_once else 1) as pool:
        list(pool.map(do, chosen))
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
