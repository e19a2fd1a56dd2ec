"""Engines in processes of their own, with an engine that is none."""

import os
import signal
import time
from functools import partial

import psutil
import pytest

from personadual.evaluation.engine import Completion, Request
from personadual.evaluation.pool import EngineError, EnginePool, gpu_shares


class Echo:
    """Says what it was asked, where, and what it sees; does as the first token of a prompt says."""

    def complete(self, requests):
        for request in requests:
            if request.prompt_ids[0] == RAISE:
                raise ValueError("no such token")
            if request.prompt_ids[0] == DIE:
                os.kill(os.getpid(), signal.SIGKILL)
            if request.prompt_ids[0] == SLEEP:
                time.sleep(3600)
        device = int(os.environ.get("CUDA_VISIBLE_DEVICES", "-1"))
        return [Completion([*request.prompt_ids, os.getpid(), device], [], False) for request in requests]


RAISE, DIE, SLEEP = 1001, 1002, 1003


def start(fails=False):
    if fails:
        raise OSError("no such model")
    return Echo()


def batches(count, special=None):
    return ([Request([number if number != 2 else special or 2], [])] for number in range(count))


def children():
    return [process for process in psutil.Process().children(recursive=True) if "spawn_main" in str(process.cmdline())]


def test_batches_come_back_with_their_numbers_and_the_process_ends():
    with EnginePool(start) as pool:
        found = dict(pool.complete(batches(5)))
        assert pool.machine["cores"] >= 1
        assert dict(pool.complete(batches(1)))[0][0].token_ids[0] == 0  # and again
    assert sorted(found) == list(range(5))
    assert all(completions[0].token_ids[0] == number for number, completions in found.items())
    pids = {completions[0].token_ids[1] for completions in found.values()}
    assert len(pids) == 1 and os.getpid() not in pids and not psutil.pid_exists(pids.pop())


def test_several_engines_share_the_batches_each_with_its_own_devices():
    with EnginePool(start, [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}]) as pool:
        found = dict(pool.complete(batches(40)))
    assert sorted(found) == list(range(40))
    assert {completions[0].token_ids[2] for completions in found.values()} == {3, 5}


@pytest.mark.parametrize(
    "special, message",
    [(RAISE, "ValueError: no such token"), (DIE, r"ended with -9 \(SIGKILL, most often for want of memory\)")],
)
def test_what_was_done_before_an_engine_failed_is_not_lost(special, message):
    found = []
    with pytest.raises(EngineError, match=message), EnginePool(start) as pool:
        for number, _ in pool.complete(batches(5, special)):
            found.append(number)
    assert found == [0, 1] and not children()


def test_what_came_is_handed_on_before_it_is_told_that_the_engine_has_died():
    """Between two batches, so that the next one can't be sent."""
    found = []
    with pytest.raises(EngineError, match=r"ended with -9"), EnginePool(start) as pool:

        def dies_before_the_second():
            yield [Request([0], [])]
            (worker,) = pool._workers.values()
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
            yield [Request([1], [])]

        for number, _ in pool.complete(dies_before_the_second()):
            found.append(number)
    assert found == [0] and not children()


def test_an_engine_that_cannot_start_says_why():
    with pytest.raises(EngineError, match="OSError: no such model"):
        EnginePool(partial(start, fails=True))
    assert not children()


def test_leaving_in_the_middle_of_a_batch_ends_it_by_the_front_door():
    with pytest.raises(KeyboardInterrupt), EnginePool(start) as pool:
        for number, _ in pool.complete(batches(5, SLEEP)):
            if number == 1:
                (worker,) = pool._workers.values()
                raise KeyboardInterrupt
    assert worker.exitcode == 128 + signal.SIGTERM and not children()


def test_devices_are_shared_out_in_order(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert gpu_shares(1, 4) == [{}]
    assert gpu_shares(2, 2) == [{"CUDA_VISIBLE_DEVICES": "4,5"}, {"CUDA_VISIBLE_DEVICES": "6,7"}]
    with pytest.raises(ValueError, match="--data-parallel-size 3 x --tensor-parallel-size 2 needs 6 GPUs, found 4"):
        gpu_shares(3, 2)
