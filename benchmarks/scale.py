"""What a step would take on GPUs, part by part, and when DualGRPO's own parts would begin to matter.

    python -m benchmarks.scale                                        the paper's run: 7B, 8 GPUs, 64 prompts x 8
    python -m benchmarks.scale --gpus 1024 --prompts 65536 --rollouts 16 --response-tokens 8192

An estimate on paper, not a measurement: the GPUs' parts follow from floating-point operations and bytes moved, at the
shares of the hardware's peak that --mfu and --bandwidth-share say; the driver's parts from figures that
``python -m benchmarks trainer_parts rewards`` measured on one machine (--measured).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.place import ROOT
from benchmarks.results import ROWS, read_parts

STAGE, OWN = "advantage stage", "of it DualGRPO's own"
"""What ``trainer_parts`` calls its rows."""
MEASURED = ROOT / "docs/results/benchmarks.json"
MATTERS = 0.03
"""Share of a step from which on a part matters: the goal for a whole step is 1.03 of plain GRPO's."""
BYTES = 2  # of a weight or a cached value in bf16


@dataclass(frozen=True)
class Job:
    """One step: ``prompts`` x ``rollouts`` responses of ``response_tokens``, mean lengths."""

    parameters: float
    kv_bytes: float  # of a token in the KV cache, all layers
    gpus: int
    tensor_parallel: int
    prompts: int
    rollouts: int
    prompt_tokens: int
    response_tokens: int
    flops: float  # bf16 peak of a GPU
    bandwidth: float  # bytes per second of a GPU's memory
    mfu: float
    bandwidth_share: float
    concurrency: int  # sequences that an engine decodes at once
    reward_workers: int
    characters_per_token: float = 4.0

    @property
    def rows(self) -> int:
        return self.prompts * self.rollouts


@dataclass(frozen=True)
class Driver:
    """Seconds in the driver per row and per row and token, and of a grader per row and character."""

    stage: tuple[float, float]  # verl's advantage stage with plain GRPO
    own: tuple[float, float]  # what DualGRPO adds to it
    grading: float


def driver_from(parts: Mapping[str, Mapping[str, Any]]) -> Driver:
    """Constants from the parts that ``python -m benchmarks`` writes.

    Raises:
        ValueError: it lacks one of the parts that are needed.
    """
    missing = {"trainer_parts", "rewards"} - set(parts)
    if missing:
        raise ValueError(
            f"no part {', '.join(sorted(missing))} in it; run `python -m benchmarks trainer_parts rewards`"
        )
    timed = parts["trainer_parts"][ROWS]
    own, both = ([row for row in timed if row["what"] == what] for what in (OWN, STAGE))
    stage = [
        {**a, "seconds": {"mid": a["seconds"]["mid"] - b["seconds"]["mid"]}} for a, b in zip(both, own, strict=True)
    ]
    graded = [row for row in parts["rewards"][ROWS] if row["work"].startswith("1,000 ")]
    return Driver(_fit(stage), _fit(own), max(row["seconds"]["mid"] for row in graded) / 1_000)


def _fit(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Least squares of seconds = a * rows + b * rows * tokens, relative errors, neither below 0."""
    from scipy.optimize import nnls

    sizes = np.array(
        [[float(word.replace(",", "")) for word in row["work"].split() if word[0].isdigit()] for row in rows]
    )
    seconds = np.array([max(row["seconds"]["mid"], 1e-9) for row in rows])
    work = np.stack([sizes[:, 0], sizes[:, 0] * sizes[:, 1]], axis=1)
    found, _ = nnls(work / seconds[:, None], np.ones(len(rows)))
    return float(found[0]), float(found[1])


def estimate(job: Job, driver: Driver) -> dict[str, float]:
    """Seconds of a step by part. Grading overlaps with generation and is no part of the sum."""
    rows, length = job.rows, job.prompt_tokens + job.response_tokens
    rate = job.gpus * job.flops * job.mfu
    engines = job.gpus / job.tensor_parallel
    at_once = min(job.concurrency, rows / engines)
    waves = rows / engines / at_once
    context = job.prompt_tokens + job.response_tokens / 2
    moved = (job.parameters * BYTES + at_once * context * job.kv_bytes) / job.tensor_parallel
    by_bytes = waves * job.response_tokens * moved / (job.bandwidth * job.bandwidth_share)
    by_flops = 2 * job.parameters * rows * job.response_tokens / rate
    # The prompt of a group is read once.
    prefill = 2 * job.parameters * job.prompts * job.prompt_tokens / rate
    forward = 2 * job.parameters * rows * length / rate
    cost = {name: per_row * rows + per_token * rows * job.response_tokens for name, (per_row, per_token) in
            {"stage": driver.stage, "own": driver.own}.items()}  # fmt: skip
    return {
        "generation": prefill + max(by_bytes, by_flops),
        "old log-probs": forward,
        "reference": forward,
        # Forward and backward, and once more forward where activations are not kept.
        "update": 4 * forward,
        "advantage stage, verl's": cost["stage"],
        "advantage stage, DualGRPO's": cost["own"],
        "grading (beside generation)": rows
        * job.response_tokens
        * job.characters_per_token
        * driver.grading
        / job.reward_workers,
    }


def told(job: Job, driver: Driver) -> str:
    """The parts as a Markdown table, and when DualGRPO's own would be ``MATTERS`` of a step."""
    parts = estimate(job, driver)
    own = parts["advantage stage, DualGRPO's"]
    on_gpus = sum(list(parts.values())[:4])
    step = on_gpus + own + parts["advantage stage, verl's"]
    lines = ["| part | seconds | share of the step |", "| --- | --- | --- |"]
    lines += [f"| {name} | {seconds:,.2f} | {seconds / step:.2%} |" for name, seconds in parts.items()]
    lines.append(f"| step | {step:,.2f} | |")
    # Work on GPUs is shared among them, the driver's is not.
    most = job.gpus * on_gpus / (own * (1 / MATTERS - 1) - parts["advantage stage, verl's"])
    when = f"from about {most:,.0f} GPUs on" if most > 0 else "at no number of GPUs: verl's own stage is larger by far"
    lines.append(f"\nWith this work, DualGRPO's own parts are {MATTERS:.0%} of a step {when}.")
    tensor = job.rows * job.response_tokens * 4 / 2**30
    lines.append(
        f"One float32 tensor of the batch's responses takes {tensor:,.1f} GiB in the driver if none is padded."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {
        "parameters": (7.6e9, "of the model"),
        "kv-bytes": (57_344, "of the KV cache per token (Qwen2.5-7B: 2 x 28 layers x 4 heads x 128 x 2 bytes)"),
        "gpus": (8, ""),
        "tensor-parallel": (4, "GPUs of one engine"),
        "prompts": (64, "per step"),
        "rollouts": (8, "per prompt"),
        "prompt-tokens": (1024, "mean"),
        "response-tokens": (512, "mean"),
        "flops": (989e12, "bf16 peak of a GPU (H100 SXM)"),
        "bandwidth": (3.35e12, "bytes per second of a GPU's memory (H100 SXM)"),
        "mfu": (0.35, "share of the peak that is reached"),
        "bandwidth-share": (0.6, "share of the bandwidth that is reached"),
        "concurrency": (1024, "sequences that an engine decodes at once"),
        "reward-workers": (8, "processes that grade"),
    }
    for name, (value, text) in defaults.items():
        kind = type(value)
        parser.add_argument(f"--{name}", type=kind, default=value, help=f"{text} (%(default)s)".strip())
    parser.add_argument("--measured", type=Path, default=MEASURED, help="JSON of `python -m benchmarks`")
    args = vars(parser.parse_args())
    driver = driver_from(read_parts(args.pop("measured")))
    print(told(Job(**args), driver))


if __name__ == "__main__":
    main()
