"""Reward workers of a real Ray cluster that die while they are asked."""

import asyncio
import os
import sys
import tempfile
from types import SimpleNamespace

import pytest
import ray
from omegaconf import OmegaConf
from ray.exceptions import RayActorError
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ

from personadual import reward_workers
from personadual.reward_workers import TRIES, Replacement, RewardWorkers
from personadual.rollout_manager import DualAgentLoopManager

SESSIONS = 8
DEADLY, WRONG, NESTED = "deadly", "wrong", "nested"


class Grader:
    """Counts what it was asked in a file, which outlives it."""

    def __init__(self, log, other=None):
        self.log, self.other = log, other

    def compute_score(self, data):
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()}\n")
        if data == DEADLY:
            os._exit(1)
        if data == WRONG:
            raise ValueError(WRONG)
        return ray.get(self.other.compute_score.remote(DEADLY)) if data == NESTED else f"graded {data}"


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers can't import it
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # short: sockets are put below it
        ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        yield
        ray.shutdown()


@pytest.fixture
def grader(tmp_path):
    return lambda *other: ray.remote(Grader).options(num_cpus=0).remote(str(tmp_path / "log"), *other)


def ask(workers, *questions):
    async def all_at_once():
        return await asyncio.gather(*(workers.compute_score.remote(question) for question in questions))

    return asyncio.run(all_at_once())


def asked(tmp_path):
    return (tmp_path / "log").read_text().split()


def test_the_others_do_the_work_of_one_that_died(grader):
    handles = [grader(), grader()]
    ray.kill(handles[0])
    assert ask(RewardWorkers(handles), *range(SESSIONS)) == [f"graded {number}" for number in range(SESSIONS)]


@pytest.mark.parametrize("count", [1, 2])
def test_workers_that_died_are_replaced_once_each(grader, caplog, count):
    handles, made = [grader() for _ in range(count)], []

    def replaced(number):
        made.append(number)
        return grader()

    workers = RewardWorkers(handles, replaced)
    for handle in handles:
        ray.kill(handle)
    for _ in range(3):
        assert ask(workers, *range(SESSIONS)) == [f"graded {number}" for number in range(SESSIONS)]
    assert sorted(made) == list(range(count)) and "has died, it is replaced" in caplog.text


def test_nobody_left_is_an_error(grader):
    handle = grader()
    ray.kill(handle)
    with pytest.raises(RayActorError):
        ask(RewardWorkers([handle]), "one")


def test_a_response_that_kills_its_worker_is_not_sent_round_for_ever(grader, tmp_path):
    workers = RewardWorkers([grader()], lambda number: grader())
    with pytest.raises(RayActorError):
        ask(workers, DEADLY)
    assert len(set(asked(tmp_path))) == TRIES
    assert ask(workers, "fine") == ["graded fine"]


def test_an_error_of_the_reward_function_is_its_own(grader, tmp_path):
    with pytest.raises(ValueError, match=WRONG):
        ask(RewardWorkers([grader()], lambda number: grader()), WRONG)
    assert len(asked(tmp_path)) == 1
    with pytest.raises(RayActorError):  # an actor's that the reward function asks itself
        ask(RewardWorkers([grader(grader())], lambda number: grader(grader())), NESTED)
    assert len(asked(tmp_path)) == 3


def manager(monkeypatch, handles, reward_model):
    def init(self):
        self.config = OmegaConf.create({"reward": {"reward_model": {"enable": reward_model}}})
        self.reward_loop_worker_handles = handles

    monkeypatch.setattr(AgentLoopManagerTQ, "__init__", init)
    return DualAgentLoopManager()


@pytest.mark.parametrize("reward_model", [False, True])
def test_the_manager_hands_them_to_the_agent_loops(grader, monkeypatch, reward_model):
    (workers,) = manager(monkeypatch, [grader()], reward_model).reward_loop_worker_handles
    assert ask(workers, "one") == ["graded one"]
    assert (workers._replaced is None) == reward_model
    assert manager(monkeypatch, None, reward_model).reward_loop_worker_handles is None


def test_a_replacement_is_the_same_for_everyone_and_made_as_verls(monkeypatch, tmp_path):
    class Made(Grader):
        def __init__(self, config, address):
            super().__init__(config.log)
            assert address is None

    monkeypatch.setattr(reward_workers, "RewardLoopWorker", Made)
    config = SimpleNamespace(log=str(tmp_path / "log"))
    ones = [Replacement(config, "mark")(0) for _ in range(2)]
    other = Replacement(config, "mark")(1)
    ray.get([worker.compute_score.remote("x") for worker in (*ones, other)])
    first, second, third = asked(tmp_path)
    assert len({first, second, third}) == 2
