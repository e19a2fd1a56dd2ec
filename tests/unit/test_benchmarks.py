"""The benchmarks' arithmetic: ratios, goals, and the estimate of a step on GPUs. Nothing is timed."""

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import compare, results, rl_step
from benchmarks.harness import Row, Seconds, in_turn, ratios, table
from benchmarks.scale import MEASURED, OWN, STAGE, Driver, Job, driver_from, estimate, told
from benchmarks.turns import FREE_STEPS, Turns, asked_for, leave
from personadual.preflight.compose import compose

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
    found = driver_from({"trainer_parts": {"rows": both + own}, "rewards": {"rows": rewards}})
    assert found.own == pytest.approx(DRIVER.own) and found.stage == pytest.approx(DRIVER.stage, abs=1e-12)
    assert found.grading == pytest.approx(DRIVER.grading)
    with pytest.raises(ValueError, match="no part trainer_parts"):
        driver_from({"rewards": {"rows": rewards}})


HERE = {"cpu": "a", "cores": 2, "gpu": None, "load_before": 0.5, "python": "3", "versions": ["verl 0.9.1"]}


def measured(repeats, quick):
    yield Row("x", "w", Seconds(1.0, 1.0, float(repeats)))


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """What ``python -m benchmarks PART`` keeps, of a part that measures nothing, on a machine like ``HERE``."""

    def kept(part, repeats=7, quick=False, **here):
        machine = {**HERE, **here}
        monkeypatch.setattr(results, "surroundings", lambda: machine)
        results.check_replaceable(tmp_path / "out.json", [part], machine, quick)
        results.record(part, measured, repeats, quick, tmp_path / "out.json")
        return results.read_parts(tmp_path / "out.json")

    return kept


def test_every_part_keeps_what_it_was_measured_with(keep):
    keep("one", 7, load_before=2.0, versions=["verl 0.9.0"])
    found = keep("two", 5, quick=True, cpu="b")
    assert (found["one"]["machine"]["cpu"], found["two"]["machine"]["cpu"]) == ("a", "b")
    assert found["one"]["machine"]["versions"] == ["verl 0.9.0"] and found["one"]["machine"]["load_before"] == 2.0
    assert [(part["repeats"], part["quick"]) for part in found.values()] == [(7, False), (5, True)]
    assert [part["rows"][0]["seconds"]["high"] for part in found.values()] == [7.0, 5.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quick": True}, "its one has full sizes, which --quick would replace"),
        ({"cores": 4}, "its one is of another machine \\(cores 2\\)"),
        ({"gpu": "1 x H100"}, "its one is of another machine \\(gpu None\\)"),
    ],
)
def test_results_are_not_lost_to_quick_ones_or_to_another_machines(keep, change, message):
    keep("one")
    with pytest.raises(ValueError, match=message):
        keep("one", **change)
    assert keep("two")["one"]["quick"] is False


def test_the_same_machine_may_measure_again_and_quick_ones_give_way(keep):
    assert keep("one", quick=True)["one"]["quick"] is True
    assert keep("one", 3, versions=["verl 0.9.2"], load_before=9.0)["one"]["repeats"] == 3


@pytest.mark.parametrize("text", ['{"machine": {}, "parts": {"one": []}}', "[]", "{", '{"parts": 1}'])
def test_a_file_of_another_form_is_refused(keep, tmp_path, text):
    (tmp_path / "out.json").write_text(text)
    with pytest.raises(ValueError, match=r"out\.json: parts as `python -m benchmarks` writes them are needed"):
        keep("two")
    assert (tmp_path / "out.json").read_text() == text


def test_the_published_results_are_read():
    parts = results.read_parts(MEASURED)
    assert (parts["advantage"]["repeats"], parts["trainer_parts"]["repeats"]) == (7, 7)
    assert driver_from(parts).grading > 0


def test_rl_steps_are_compared_at_as_many_decoded_tokens():
    """A forced prefix counts in a response's length, and no engine decodes it."""
    prefixes = [[1] * 6, [2] * 7]
    lengths = rl_step.response_lengths(prefixes)
    assert lengths == {rl_step.OURS: 135, rl_step.STOCK: 128}
    seconds = {f"timing_s/{part}": [3.9] for part in rl_step.PARTS}
    logs = {arm: pd.DataFrame({**seconds, "response_length/mean": [float(lengths[arm])]}) for arm in rl_step.ARMS}
    rows = {row.what: row for row in rl_step.compared(logs, prefixes)}
    assert "128.5 against 128 decoded tokens" in rows["step"].work
    assert rows["step"].ratio.mid == 1 and rows["step"].goal == rl_step.GOAL
    for part in ("gen", "step"):
        row = rows[f"{part} per decoded token"]
        assert row.seconds.mid == pytest.approx(3.9 / (4 * 4 * 128.5)) and row.ratio.mid == pytest.approx(128 / 128.5)


def test_two_trainers_take_a_step_in_turn_once_both_have_warmed_up(tmp_path):
    done = []

    def train(name, other, first, steps):
        turns = Turns(tmp_path, name, other, first)
        for step in range(1, steps + 1):
            turns.ask(step)
            done.append((name, step))
        leave(tmp_path, name)

    ours = threading.Thread(target=train, args=("ours", "other", True, 5))
    ours.start()
    while asked_for(tmp_path, "ours") <= FREE_STEPS:
        time.sleep(0.01)
    # It stands still until the other one has warmed up as well.
    assert done == [("ours", 1), ("ours", 2)]
    train("other", "ours", False, 5)
    ours.join()
    assert done[2:4] == [("other", 1), ("other", 2)]
    assert done[4:] == [(name, step) for step in (3, 4, 5) for name in ("ours", "other")]


def test_a_steps_seconds_are_those_between_two_asks_less_the_wait(tmp_path):
    (tmp_path / "dual_grpo" / "metrics").mkdir(parents=True)
    steps = [{"step": step, "data": {"timing_s/step": 99.0, "timing_s/gen": step}} for step in range(1, 6)]
    (tmp_path / "dual_grpo" / "metrics" / "1.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    asked = [(100, 0), (160, 0), (180, 50), (240, 20), (275, 20)]
    lines = [{"step": k, "asked": at, "waited": waited} for k, (at, waited) in enumerate(asked, 1)]
    (tmp_path / "dual_grpo.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    log, start = rl_step.in_turn_steps(tmp_path, "dual_grpo", begun=40.0)
    # Steps 1 and 2 warm up, step 5 may have been alone.
    assert [*log["timing_s/step"]] == [10, 15] and [*log["timing_s/gen"]] == [3, 4]
    assert start == 120


@pytest.mark.parametrize("arm", rl_step.ARMS)
def test_rl_steps_are_not_timed_in_multiples_of_verls_two_seconds(arm):
    from verl.trainer.ppo.v1 import PPOTrainerSync
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    trainer = object.__new__(PPOTrainerSync)
    trainer.config = compose("personadual.config", "dual_grpo_trainer", rl_step.ARMS[arm])
    trainer.trainer_mode = "sync"
    buffer = trainer._build_replay_buffer()
    assert isinstance(buffer, ReplayBuffer) and type(buffer).sample is ReplayBuffer.sample
    assert buffer.poll_interval == 0.02


def test_two_runs_are_compared_row_by_row(tmp_path):
    def row(work, seconds, ratio, met):
        spans = [None if x is None else {"low": x, "mid": x, "high": x} for x in (seconds, ratio)]
        return {"what": "a", "work": work, "against": "b", "seconds": spans[0], "ratio": spans[1], "met": met}

    files = []
    for name, rows in {
        "one": [
            row("1", 2.0, 1.0, True),
            row("2", 4.0, None, None),
            row("gone", 1.0, 1.0, True),
            row("0", 0.0, -1, True),
        ],
        "other": [
            row("1", 3.0, 1.1, False),
            row("2", 2.0, None, None),
            row("new", 9.0, 9.0, True),
            row("0", 1.0, 1, True),
        ],
    }.items():
        files.append(tmp_path / name)
        files[-1].write_text(
            json.dumps({"parts": {"data": {"machine": {}, "repeats": 1, "quick": False, "rows": rows}}})
        )
    one, other = (compare.rows_of(file)["data"] for file in files)
    assert sorted(compare.quotients(one, other, "seconds")) == [0.5, 1.5]
    assert compare.quotients(one, other, "ratio") == [pytest.approx(1.1)]
    assert compare.compared(one, other).startswith("3 | 1.00 (") and compare.compared(one, other).endswith("1 of 2")
    assert "| – |" in compare.compared({}, other)
