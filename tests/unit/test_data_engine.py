"""Every engine gives the same results in the same order, and holds few chunks at a time."""

import os
import signal

import pytest

from personadual.data_prep.engine import LOCAL, RAY, map_chunks, started


# int is a chunk function that every process has: Ray's workers can't import a test's module.
@pytest.mark.parametrize(("engine", "workers"), [(LOCAL, 1), (LOCAL, 2), (RAY, 2)])
def test_results_come_in_the_order_of_the_chunks_and_errors_in_their_turn(engine, workers):
    found = []
    with started(engine, workers), pytest.raises(ValueError, match="'bad'"):
        for value in map_chunks(int, [*map(str, range(70)), "bad", "1"], engine, workers):
            found.append(value)
    assert found == list(range(70))


def process_of(chunk):
    return os.getpid()


def test_two_workers_are_other_processes():
    found = set(map_chunks(process_of, range(20), LOCAL, 2))
    assert found and os.getpid() not in found
    assert set(map_chunks(process_of, range(20), LOCAL, 1)) == {os.getpid()}


def killed(chunk):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_an_error_that_names_the_likely_cause():
    with pytest.raises(OSError, match=r"a worker process was killed.*fewer --workers"):
        list(map_chunks(killed, [b"x" * 4_000_000] * 20, LOCAL, 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_chunks_are_drawn_as_they_are_needed(workers):
    drawn = []

    def chunks():
        for number in range(100):
            drawn.append(number)
            yield number

    results = map_chunks(int, chunks(), LOCAL, workers)
    next(results)
    assert len(drawn) <= 4 * workers
    results.close() if workers > 1 else None


@pytest.mark.parametrize(("asked", "expected"), [(None, "0"), ("1", "1")])
def test_a_cluster_of_its_own_does_not_report_its_use_unless_asked_to(monkeypatch, asked, expected):
    import ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", asked or "")
    if asked is None:
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    told = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: told.append(os.environ["RAY_USAGE_STATS_ENABLED"]))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with started(RAY, 1):
        assert told == [expected]


def test_unknown_engines_and_no_workers_are_refused():
    with pytest.raises(ValueError, match="engine 'spark'"), started("spark", 1):
        pass
    with pytest.raises(ValueError, match="workers"), started(LOCAL, 0):
        pass
