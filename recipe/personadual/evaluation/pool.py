"""Engines in processes of their own: one, or several that share the work, each on its own GPUs.

An engine's memory is free again when its process has ended, which is surer than deleting it. Several processes are
also vLLM's own way to run copies of a model offline: one ``LLM`` refuses to (0.27.1, entrypoints/llm.py:281).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from personadual.evaluation.engine import Completion, Engine, Request
from personadual.evaluation.fingerprint import machine

READY, DONE, FAILED = "ready", "done", "failed"
SECONDS_TO_END = 30


class EngineError(RuntimeError):
    """An engine could not start, raised, or its process died."""


class EnginePool:
    """Engines that answer batches of requests; leaving the block ends their processes.

    Args:
        start: makes an engine. It is sent to the process, so it must be picklable.
        environments: one process for each, with these variables set before anything is imported.
    """

    def __init__(self, start: Callable[[], Engine], environments: Sequence[Mapping[str, str]] = ({},)):
        # Spawned: CUDA can't be used in a fork, and vLLM's threads would leave locks behind.
        context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, BaseProcess] = {}
        self.machine: dict[str, Any] = {}
        """The machine as the first engine's process sees it."""
        try:
            for environment in environments:
                ours, theirs = context.Pipe()
                worker = context.Process(target=_serve, args=(theirs, start, dict(environment)))
                worker.start()
                theirs.close()
                self._workers[ours] = worker
            machines = [self._receive(connection, READY) for connection in self._workers]
            self.machine.update(machines[0])
        except BaseException:
            self._end(at_once=True)
            raise

    def complete(self, batches: Iterable[list[Request]]) -> Iterator[tuple[int, list[Completion]]]:
        """Completions of each batch with the batch's number, as they are done.

        Raises:
            EngineError: see there; batches under way are lost.
        """
        waiting = enumerate(batches)
        under_way: dict[Connection, int] = {}

        def give(connection: Connection) -> None:
            number, batch = next(waiting, (0, None))
            if batch is None:
                return
            try:
                connection.send(batch)
            except OSError:  # its process has ended: told when this batch is waited for, behind what came before it
                pass
            under_way[connection] = number

        for connection in self._workers:
            give(connection)
        while under_way:
            for ready in wait(list(under_way)):
                assert isinstance(ready, Connection)
                completions = self._receive(ready, DONE)
                number = under_way.pop(ready)
                give(ready)  # before the caller looks at the completions: the engine need not wait for that
                yield number, completions

    def _receive(self, connection: Connection, wanted: str) -> Any:
        try:
            kind, content = connection.recv()
        except (EOFError, OSError):
            worker = self._workers[connection]
            worker.join(SECONDS_TO_END)
            killed = " (SIGKILL, most often for want of memory)" if worker.exitcode == -signal.SIGKILL else ""
            raise EngineError(f"the engine's process ended with {worker.exitcode}{killed}; see above") from None
        if kind == FAILED:
            raise EngineError(content)
        assert kind == wanted
        return content

    def _end(self, at_once: bool) -> None:
        """Ask the processes to end when they have done what they do, or at once; end those that don't."""
        for connection, worker in self._workers.items():
            if at_once:
                worker.terminate()
            try:
                connection.send(None)
            except OSError:  # it has ended
                pass
            connection.close()
        for worker in self._workers.values():
            worker.join(SECONDS_TO_END)
            if worker.is_alive():
                worker.terminate()
                worker.join(SECONDS_TO_END)
            if worker.is_alive():
                worker.kill()
                worker.join()

    def __enter__(self) -> EnginePool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._end(at_once=kind is not None)


def gpu_shares(replicas: int, gpus_each: int) -> list[dict[str, str]]:
    """Variables that give each of ``replicas`` engines its own ``gpus_each`` GPUs; none for a single engine.

    Raises:
        ValueError: there are not enough GPUs.
    """
    if replicas == 1:
        return [{}]
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        import torch

        devices = list(map(str, range(torch.cuda.device_count())))
    else:
        devices = [device for device in named.split(",") if device.strip()]
    if len(devices) < replicas * gpus_each:
        raise ValueError(
            f"--data-parallel-size {replicas} x --tensor-parallel-size {gpus_each} needs {replicas * gpus_each} GPUs, "
            f"found {len(devices)}"
        )
    shares = [devices[start : start + gpus_each] for start in range(0, replicas * gpus_each, gpus_each)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]


def _serve(connection: Connection, start: Callable[[], Engine], environment: dict[str, str]) -> None:
    """An engine's process: batches in, completions out, until told to end."""
    os.environ.update(environment)
    # Ctrl-C in a terminal reaches every process; the first one says so and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _leave(128 + signal.SIGTERM))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        engine = start()
        connection.send((READY, machine()))
        while (batch := connection.recv()) is not None:
            connection.send((DONE, engine.complete(batch)))
    except (EOFError, BrokenPipeError):  # the first process has gone
        _leave(1)
    except Exception as error:
        traceback.print_exc()
        connection.send((FAILED, f"{type(error).__name__}: {error}"))
    _leave(0)


def _leave(code: int) -> None:
    """End this process, and before it those that vLLM has started here (on GPUs an engine has several).

    Not by Python's own way out: vLLM's clean-up on it waits for ever for sockets of an engine that is busy or dead
    (0.27.1), and a process that is ended from outside leaves the others behind.
    """
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(SECONDS_TO_END / 3)
        if child.is_alive():
            child.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
