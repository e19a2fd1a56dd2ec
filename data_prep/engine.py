"""The same chunk function over many chunks: in this process, in several, or on a Ray cluster. Same results, same order.

``map_chunks`` keeps a bounded number of chunks under way, so the memory does not grow with the input. The function is
a picklable callable; it is sent to each worker once, so it may hold tables that every chunk needs.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)

_AHEAD = 2  # chunks under way per worker process: one in work, one waiting
_RAY_WINDOW = 16  # chunks per worker that Ray Data is handed at a time

_function: Callable[[Any], Any] | None = None  # of a worker process


def map_chunks(
    function: Callable[[Chunk], Result], chunks: Iterable[Chunk], engine: str = LOCAL, workers: int = 1
) -> Iterator[Result]:
    """``function`` of each chunk, in the order of the chunks, inside of ``started``.

    What ``function`` raises is raised here, in its turn. ChildProcessError (an OSError) where a worker was killed.
    """
    if engine == RAY:
        return _with_ray(function, chunks, workers)
    return _in_processes(function, chunks, workers) if workers > 1 else map(function, chunks)


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(function: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: int) -> Iterator[Result]:
    # Spawned, not forked: arrow and rensa have threads of their own, which a fork would leave locked.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(function,))
    waiting: deque[Future[Result]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_call, chunk))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenExecutor:
        raise ChildProcessError(
            "a worker process was killed, most likely for want of memory; fewer --workers need less"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    # Ctrl-C in a terminal reaches every process; the first one says so and ends the others. It may also be killed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(chunk: Any) -> Any:
    assert _function is not None
    return _function(chunk)


def _with_ray(function: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: int) -> Iterator[Result]:
    """Ray Data over windows of chunks, so that the driver never holds more than a window.

    Functions, chunks and results travel as bytes that we unpickle ourselves, and what goes wrong comes back as a
    result: Ray Data tries a task again without end and without a word if its function can't be loaded on a node.
    These bytes are made here and by our own tasks (hence no S301); nothing read from data is unpickled.
    """
    import pickle

    import ray
    import ray.data

    reference = ray.put(pickle.dumps(function))

    def run(batch: Any) -> Any:  # a local function is sent by value, so it needs no package on the node
        import pickle

        import ray

        results = []
        for chunk in batch["chunk"]:
            try:
                work = pickle.loads(ray.get(reference))  # noqa: S301
                results.append(pickle.dumps((work(pickle.loads(chunk)), None)))  # noqa: S301
            except Exception as error:
                results.append(pickle.dumps((None, error)))
        return {"number": batch["number"], "result": results}

    remaining = iter(chunks)
    while window := list(islice(remaining, _RAY_WINDOW * workers)):
        rows = [{"number": number, "chunk": pickle.dumps(chunk)} for number, chunk in enumerate(window)]
        del window
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            run, batch_size=1, num_cpus=1, compute=ray.data.TaskPoolStrategy(size=workers)
        )
        done = {row["number"]: row["result"] for row in data.iter_rows()}
        for number in range(len(rows)):
            result, error = pickle.loads(done.pop(number))  # noqa: S301
            if error is not None:
                raise error
            yield result


@contextmanager
def started(engine: str, workers: int) -> Iterator[None]:
    """What ``map_chunks`` needs for the length of a build: for Ray a connection, to the cluster of ``RAY_ADDRESS``,
    to the one that this process already has, or to one of its own with ``workers`` cores.

    Raises:
        ValueError: an unknown engine, or no worker.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: there are {', '.join(ENGINES)}")
    if workers < 1:
        raise ValueError(f"workers: at least 1 is needed, found {workers}")
    if engine == LOCAL:
        yield
        return
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of its own would report its use
        own: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level=logging.WARNING, **own)
    try:
        yield
    finally:
        if ours:
            ray.shutdown()
