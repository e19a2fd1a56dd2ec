"""The benchmarks' arithmetic: ratios, goals, and the estimate of a step on GPUs. Nothing is timed."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.harness import Row, Seconds, in_turn, ratios, table
from benchmarks.scale import OWN, STAGE, Driver, Job, driver_from, estimate, told

JOB = Job(
    parameters=1e9, kv_bytes=1e4, gpus=8, tensor_parallel=1, prompts=64, rollouts=8, prompt_tokens=1000,
    response_tokens=1000, flops=1e15, bandwidth=1e12, mfu=0.5, bandwidth_share=0.5, concurrency=64, reward_workers=4,
)  # fmt: skip
DRIVER = Driver(stage=(0.0, 1e-8), own=(1e-4, 1e-9), grading=2e-8)


def test_calls_run_in_turn_and_the_first_round_is_not_counted():
    seen = []
    took = in_turn({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, repeats=2)
    assert seen == ["a", "b"] * 3 and [len(values) for values in took.values()] == [2, 2]


def test_a_ratio_is_taken_round_by_round_and_judged_by_its_median():
    ratio = ratios({"mine": [2.0, 9.0, 3.0], "other": [1.0, 3.0, 3.0]}, "mine", "other")
    assert ratio == Seconds(1.0, 2.0, 3.0)
    row = Row("mine", "w", Seconds(2.0, 3.0, 9.0), "other", ratio, goal=2.0)
    assert row.met and not replace(row, goal=1.9).met and replace(row, goal=None).met is None
    assert "≤ 2: met" in table([row]) and "| 3 s |" in table([row])
    assert "1,234 tokens" in table([Row("x", "w", Seconds(1.0, 1234.0, 5000.0), unit="tokens")])


def test_a_steps_parts_by_hand():
    parts = estimate(JOB, DRIVER)
    # 512 rows of 2,000 tokens, 2 operations a parameter and token, 8 GPUs of 5e14 useful operations a second.
    forward = 2 * 1e9 * 512 * 2000 / 4e15
    assert parts["old log-probs"] == parts["reference"] == pytest.approx(forward)
    assert parts["update"] == pytest.approx(4 * forward)
    # 64 rows an engine, all at once; each of 1,000 steps moves the weights and 64 contexts of 1,500 tokens on average.
    moved = 1000 * (2e9 + 64 * 1500 * 1e4) / 5e11
    assert parts["generation"] == pytest.approx(moved + 2 * 1e9 * 64 * 1000 / 4e15)
    assert parts["advantage stage, DualGRPO's"] == pytest.approx(512 * 1e-4 + 512_000 * 1e-9)
    assert parts["grading (beside generation)"] == pytest.approx(512 * 4000 * 2e-8 / 4)


def test_at_the_number_of_gpus_that_is_told_the_share_is_what_it_says():
    # Bound by operations alone, the work of each GPU is its share of all.
    fast = replace(JOB, bandwidth=1e30)
    gpus = int(told(fast, DRIVER).split("from about ")[1].split(" GPUs")[0].replace(",", ""))
    parts = estimate(replace(fast, gpus=gpus), DRIVER)
    own = parts["advantage stage, DualGRPO's"]
    assert own / (sum(parts.values()) - parts["grading (beside generation)"]) == pytest.approx(0.03, rel=0.02)


def test_constants_come_from_a_file_of_measurements():
    def row(what, rows, tokens, seconds):
        return {"what": what, "work": f"{rows:,} rows of {tokens:,} tokens", "seconds": {"mid": seconds}}

    sizes = [(512, 256), (512, 1024), (2048, 256), (2048, 1024)]
    own = [row(OWN, b, t, 1e-4 * b + 1e-9 * b * t) for b, t in sizes]
    both = [row(STAGE, b, t, 1e-4 * b + 1.1e-8 * b * t) for b, t in sizes]
    rewards = [{"work": "1,000 characters", "seconds": {"mid": 2e-5}}]
    found = driver_from({"parts": {"trainer_parts": both + own, "rewards": rewards}})
    assert found.own == pytest.approx(DRIVER.own) and found.stage == pytest.approx(DRIVER.stage, abs=1e-12)
    assert found.grading == pytest.approx(DRIVER.grading)
    with pytest.raises(ValueError, match="no part trainer_parts"):
        driver_from({"parts": {"rewards": rewards}})
