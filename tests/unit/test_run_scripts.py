"""What the scripts of faults, endurance and GPU cases judge by, and whose processes they see. Nothing is trained."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from e2e.harness import running
from endurance import run as endurance
from endurance.run import Sample, table, wait_for_steps
from faults import run as faults_script
from faults import training as faults
from faults.disk import lost_files
from faults.judge import DISTANCE, Done, lost, unrecorded
from faults.scene import STEPS, exported, metrics_in, order_of, saved_step, updates_in
from gpu.run import ended_well

# Put together there: a shell whose own command line held the name would be taken for the engine.
NAMED = 'exec -a "$(printf VLLM::%s EngineCore)" sleep 120'
ENGINE = ["bash", "-c", NAMED]
TESTS = Path(__file__).parents[1]


@contextmanager
def process(command):
    started = subprocess.Popen(command)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.mark.parametrize("name", ["faults", "endurance", "gpu"])
def test_a_script_starts_from_any_folder(name, tmp_path):
    command = [sys.executable, str(TESTS / name / "run.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "--out" in done.stdout, done.stderr


# Whose processes


def test_only_processes_of_the_run_are_found_and_measured(tmp_path):
    inside = ["bash", "-c", f"({NAMED}) & wait"]
    with process(ENGINE), running(inside, tmp_path / "log.txt") as run:
        run.wait_until(lambda: faults.find(run, "VLLM::EngineCore") is not None, 20)
        # The newest of the machine, of no run.
        with process(ENGINE) as newer:
            deadline = time.monotonic() + 20
            while "VLLM" not in "".join(psutil.Process(newer.pid).cmdline()) and time.monotonic() < deadline:
                time.sleep(0.05)
            found = faults.find(run, "VLLM::EngineCore")
            assert found.ppid() == run.process.pid
            own = endurance.mib_of(found)
            assert endurance.sample(run, 0.0, tmp_path / "none").memory["VLLM::EngineCore"] < 1.5 * own
            found.kill()
            run.wait_until(lambda: faults.find(run, "VLLM::EngineCore") is None, 20)
            assert newer.poll() is None


# What a fault lost

ORDER = {step: Counter({(f"q{step}", "general"): 2, (f"q{step}", "personalized"): 2}) for step in range(1, STEPS + 1)}
METRICS = {step: {DISTANCE: 1e-5 * (step - 1) ** 2} for step in range(1, STEPS + 1)}
UNDISTURBED = Done(METRICS, STEPS, {STEPS}, ORDER)


def after(saved, **changes):
    """What is there when all went well after a restart from step ``saved``."""
    return replace(UNDISTURBED, metrics={step: METRICS[step] for step in METRICS if step > saved}, **changes)


def without(step):
    return {key: counts for key, counts in ORDER.items() if key != step}


def begins_at(step, distance):
    return replace(after(step - 1), metrics={**after(step - 1).metrics, step: {DISTANCE: distance}})


@pytest.mark.parametrize(
    ("saved", "restart", "found", "expected"),
    [
        (2, 0, after(2), []),
        (2, 0, begins_at(3, 4.4e-5), []),  # sampled otherwise
        (STEPS, 0, after(STEPS), []),  # hurt when all was saved: nothing is left to do
        (2, 0, begins_at(3, 0.0), ["step 3 began with other weights: actor/kl_loss 0, 4e-05 undisturbed"]),
        (2, 0, begins_at(3, 1e-5), ["step 3 began with other weights: actor/kl_loss 1e-05, 4e-05 undisturbed"]),
        (2, 0, begins_at(3, 3.0), ["step 3 began with other weights: actor/kl_loss 3, 4e-05 undisturbed"]),
        (2, 0, replace(after(2), updates={2}), ["the optimizer counts [2] updates, [5] undisturbed"]),
        (2, 0, replace(after(2), updates=set()), ["the optimizer counts [] updates, [5] undisturbed"]),
        (2, 0, replace(after(2), exported=False), ["the model beside the checkpoint of step 5 is not its weights"]),
        (2, 0, replace(after(2), saved=3), ["the newest checkpoint is of step 3, not of 5"]),
        (2, 0, replace(UNDISTURBED), ["steps [1, 2, 3, 4, 5] after a checkpoint of step 2"]),
        (2, 0, replace(after(2), metrics={}), ["steps [] after a checkpoint of step 2"]),
        (2, 1, after(2), ["the restart ended with 1"]),
        (2, None, after(2), ["the restart hangs"]),
        (
            None,
            1,
            replace(after(2), saved=None),
            ["latest_checkpointed_iteration.txt held no number after the fault", "the restart ended with 1"],
        ),
        (2, 0, after(2, order=without(2)), []),  # killed between the checkpoint and its record
        (2, 0, after(2, order=without(1)), ["step 1 lacks 4 of 4 rollouts"]),
        (2, 0, after(2, order=ORDER | {2: ORDER[2] - Counter([("q2", "general")])}), ["step 2 lacks 1 of 4 rollouts"]),
        (2, 0, after(2, order=ORDER | {3: ORDER[2]}), ["prompts or modes of step 3 differ from the undisturbed run's"]),
    ],
)
def test_what_is_lost(saved, restart, found, expected):
    assert lost(saved, restart, found, UNDISTURBED) == expected


def test_a_record_is_missing_only_of_the_step_that_was_saved_last():
    assert unrecorded(2, after(2, order=without(2))) and not unrecorded(2, after(2)) and not unrecorded(0, after(0))


def test_files_that_were_cut_off_are_read_as_far_as_they_go(tmp_path):
    assert (saved_step(tmp_path), metrics_in(tmp_path / "log"), order_of(tmp_path)) == (0, {}, {})
    (tmp_path / "log").write_text('{"step":1,"data":{"a":2.5}}\n{"step":2,"da')
    assert metrics_in(tmp_path / "log") == {1: {"a": 2.5}}
    rollouts = tmp_path / "rollouts"
    rollouts.mkdir()
    rows = [{"input": "q é", "output": "[General_mode]\nx"}, {"input": "", "output": ""}]
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    for step, content in enumerate([whole, whole[:-4], whole[: whole.index("é".encode()) + 1], b""], start=1):
        (rollouts / f"{step}.jsonl").write_bytes(content)
    assert order_of(tmp_path) == {1: Counter({("q é", "general"): 1})}
    (tmp_path / "checkpoints").mkdir()
    for text, step in (("3", 3), ("", None)):
        (tmp_path / "checkpoints/latest_checkpointed_iteration.txt").write_text(text)
        assert saved_step(tmp_path) == step


def test_the_updates_that_an_optimizer_counts(tmp_path):
    import torch

    file = tmp_path / "checkpoints/global_step_3/actor/optim_world_size_1_rank_0.pt"
    assert updates_in(tmp_path, 3) == set()
    file.parent.mkdir(parents=True)
    weight = torch.nn.Parameter(torch.ones(300))
    optimizer = torch.optim.AdamW([weight])
    for _ in range(3):
        weight.sum().backward()
        optimizer.step()
    torch.save(optimizer.state_dict(), file)
    assert updates_in(tmp_path, 3) == {3}
    file.write_bytes(file.read_bytes()[:500])
    assert updates_in(tmp_path, 3) == set()


def test_the_model_beside_a_checkpoint_holds_its_weights_or_not(tmp_path):
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "checkpoints/global_step_3/actor"
    (folder / "huggingface").mkdir(parents=True)
    weights = {"a": torch.arange(4.0), "b": torch.ones(2, 2)}
    torch.save(weights, folder / "model_world_size_1_rank_0.pt")
    file = folder / "huggingface/model.safetensors"
    assert not exported(tmp_path, 3)
    save_file({name: value.to(torch.bfloat16) for name, value in weights.items()}, file)
    assert exported(tmp_path, 3)
    save_file({**weights, "a": torch.ones(4)}, file)
    assert not exported(tmp_path, 3)
    file.write_bytes(file.read_bytes()[:40])
    assert not exported(tmp_path, 3)


@pytest.mark.parametrize(
    ("hurt", "again", "code", "error", "expected"),
    [
        ({"a": "1"}, {"a": "1", "b": "2"}, 1, "no space", []),
        ({}, {"a": "1", "b": "2"}, 1, "no space", []),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, 0, "a remark", ["the disk did not run full"]),
        ({"a": "0"}, {"a": "1", "b": "2"}, 1, "no space", ["a is half-written"]),
        ({".a.part": "0"}, {"a": "1", "b": "2"}, 1, "no space", [".a.part was left"]),
        ({}, {"a": "1"}, 1, "no space", ["b differs when there is room again"]),
        ({}, {"a": "1", "b": "2", ".a.part": "0"}, 1, "no space", [".a.part stayed"]),
        ({}, {"a": "1", "b": "2"}, 1, "Traceback ...", ["the command did not say in a line what it lacked"]),
    ],
)
def test_what_a_full_disk_lost(hurt, again, code, error, expected):
    assert lost_files({"a": "1", "b": "2"}, hurt, again, code, error) == expected


def test_moments_lie_in_the_part_of_a_step_that_is_to_be_hurt():
    names = ("gen", "old_log_prob", "update_actor", "save_checkpoint", "update_weights", "step")
    took = dict(zip((f"timing_s/{name}" for name in names), (2.0, 0.5, 1.0, 0.25, 0.25, 4.0), strict=True))
    found = [faults.window(took, place) for place in (faults.GENERATION, faults.UPDATE, faults.CHECKPOINT)]
    assert found == [(0.0, 2.0), (2.5, 3.5), (0.0, 0.25)]


def test_what_a_run_leaves_behind_is_named_once_it_had_time_to_end(tmp_path):
    stays = f"({NAMED}) & (sleep 0.5; exec -a goes sleep 0.2) & exit 0"
    with running(["bash", "-c", stays], tmp_path / "log.txt") as run:
        assert run.wait(20) == 0
        names, seconds = faults.left_behind(run, 2)
        assert names == ["sleep"] and seconds >= 2
        assert faults.left_behind(run, 20)[0] == []  # killed above; how soon it is gone is the machine's affair


# A fault, from beginning to end, of a training that only writes what is read of it

TRAINING = """
import json, os, subprocess, sys, time
from pathlib import Path

out, engine, on_restart = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
folders = [out / "checkpoints", out / "rollouts"]
for folder in folders:
    folder.mkdir(parents=True, exist_ok=True)
tracker = folders[0] / "latest_checkpointed_iteration.txt"
done = int(tracker.read_text()) if tracker.exists() else 0
if done and on_restart == "hang":
    time.sleep(120)
if done and on_restart == "leave":
    subprocess.Popen(["sleep", "120"])
engine = subprocess.Popen(engine)
log = open(os.environ["VERL_FILE_LOGGER_PATH"], "w")
for step in range(done + 1, 6):
    time.sleep(0.5)
    if engine.poll() is not None and on_restart != "do without":
        sys.exit(3)
    (folders[0] / f"global_step_{step}").mkdir(exist_ok=True)
    tracker.write_text(str(step))
    (folders[1] / f"{step}.jsonl").write_text(json.dumps({"input": f"q{step}", "output": "[General_mode]"}) + "\\n")
    distance = 1e-5 * (step - 1 if on_restart != "forget" or not done else step - 1 - done)
    took = {"timing_s/step": 0.5, "timing_s/gen": 0.4, "timing_s/update_actor": 0.05, "timing_s/save_checkpoint": 0.01}
    log.write(json.dumps({"step": step, "data": {"actor/kl_loss": distance, **took}}) + "\\n")
    log.flush()
engine.kill()
"""


class Scene:
    def __init__(self, on_restart="go on"):
        self.on_restart = on_restart

    def command(self, out, *overrides):
        return [sys.executable, "-c", TRAINING, str(out), json.dumps(ENGINE), self.on_restart]


@pytest.fixture
def undisturbed(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "updates_in", lambda out, step: {step})
    monkeypatch.setattr(faults, "exported", lambda out, step: True)
    return faults.reference(Scene(), tmp_path)


@pytest.fixture
def watch():
    with ThreadPoolExecutor() as beside:
        yield partial(beside.submit, faults.left_behind, seconds=5)


@pytest.mark.parametrize(
    ("on_restart", "seconds", "expected"),
    [
        ("go on", 60, "nothing"),
        ("forget", 60, "began with other weights"),
        ("hang", 8, "the restart hangs"),
        ("leave", 60, "left behind by the restart: sleep"),
    ],
)
def test_what_a_restart_made_of_a_fault(undisturbed, watch, tmp_path, monkeypatch, on_restart, seconds, expected):
    monkeypatch.setattr(faults, "TIMEOUT", seconds)
    told = faults.tried(Scene(on_restart), tmp_path / "fault", "engine", undisturbed, random.Random(0), watch)()
    assert expected in told["lost"] and told["ended by itself"] == 3, told
    if on_restart == "go on":
        assert (told["restart"], told["continued at"], told["unrecorded"]) == (0, told["saved"] + 1, None)
    assert told["lost"] in faults_script.table([told])


def test_a_run_that_goes_on_without_what_was_killed_is_judged_itself(undisturbed, watch, tmp_path, monkeypatch):
    tried = partial(faults.tried, Scene("do without"), tmp_path / "fault", "engine", rng=random.Random(0), watch=watch)
    monkeypatch.setattr(random.Random, "randint", lambda self, low, high: 3)
    told = tried(undisturbed=undisturbed)()
    assert (told["ended by itself"], told["saved"], told["lost"]) == (0, STEPS, "nothing") and "restart" not in told
    richer = replace(undisturbed, order={step: rows + rows for step, rows in undisturbed.order.items()})
    assert "step 1 lacks 1 of 2 rollouts" in tried(undisturbed=richer)()["lost"]


def test_a_fault_without_effect_is_no_success(undisturbed, watch, tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "TRIES", 2)
    monkeypatch.setattr(faults, "hurt_in", lambda *_: None)
    told = faults.tried(Scene(), tmp_path / "fault", "SIGINT once", undisturbed, random.Random(0), watch)()
    assert told["lost"] == "not tried: 2 times too late or without effect"
    assert "| SIGINT once | - | - |" in faults_script.table([told])


def test_a_fault_that_cannot_be_tried_does_not_end_the_script(undisturbed, watch, tmp_path, monkeypatch):
    told = faults.tried(Scene(), tmp_path / "fault", "training worker", undisturbed, random.Random(0), watch)()
    assert told["lost"] == "not tried: no process of the run is called ray::WorkerDict"

    def no_mount(kind, disk, rng):
        raise subprocess.CalledProcessError(32, "mount")

    monkeypatch.setattr(faults_script, "full_while", no_mount)
    told = faults_script.fault(
        Scene(), tmp_path, "disk full, while a report is written", undisturbed, random.Random(0), watch
    )()
    assert told["lost"].startswith("not tried: Command 'mount'")


# A long run


def samples(steps, memory_of):
    return [Sample(2.0 * step, step, memory_of(step)) for step in range(1, steps)]


@pytest.mark.parametrize(
    ("memory_of", "flat"),
    [
        (lambda step: {"a": 100.0}, True),
        (lambda step: {"a": 100.0 + 2 * step}, False),
        (lambda step: {"a": 100.0} | ({"late": 90.0} if step > 30 else {}), False),
        (lambda step: {"a": 100.0} | ({"gone": 90.0} if step < 10 else {}), True),
    ],
)
def test_memory_is_flat_in_every_kind_of_process_that_is_there_at_the_end(memory_of, flat):
    text, found = table(samples(40, memory_of), [1.0] * 40)
    assert found is flat
    assert ("| late, MiB | 0 | 90 | +90 | no |" in text) == ("late" in memory_of(39))


def test_a_run_whose_steps_stop_is_not_waited_for(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    steps = f"for i in 1 2 3; do sleep 0.5; echo x >> {metrics}; done"
    with running(["bash", "-c", f"{steps}; exit 5"], tmp_path / "a.txt") as run:
        assert wait_for_steps(run, metrics, 60) == 5
    with running(["bash", "-c", "echo stuck; sleep 120"], tmp_path / "b.txt") as run:
        with pytest.raises(AssertionError, match="no step in 1 s after step 3\nstuck"):
            wait_for_steps(run, metrics, 1)


# Cases on a GPU


@pytest.mark.parametrize(
    ("name", "changes", "well"),
    [
        ("rl", {}, True),
        ("rl", {"exit": 1}, False),
        ("rl", {"losses_finite": False}, False),
        ("rl", {"steps": 2}, False),
        ("rl_resumed", {"steps": 1, "first_step": 4}, True),
        ("rl_resumed", {"steps": 4, "first_step": 1}, False),
        ("rl_resumed", {"steps": 1, "first_step": 1}, False),
        ("sft", {"steps": 40}, True),
    ],
)
def test_a_case_is_finished_when_it_did_what_it_was_to_do(name, changes, well):
    result = {"exit": 0, "losses_finite": True, "steps": 3, "first_step": 1} | changes
    assert ended_well(name, result) is well
    assert not ended_well(name, {})
