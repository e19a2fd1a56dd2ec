"""Reward workers that outlive one of their own: a response whose worker has died is graded by another.

verl's agent loops send every response to a reward worker picked at random and never learn that one has died
(verl/experimental/agent_loop/agent_loop.py:1025, 0.9.1): its share of the sessions fails then, in every step to come.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError, RayTaskError
from verl.experimental.reward_loop import RewardLoopWorker

logger = logging.getLogger(__name__)

TRIES = 3
"""Workers that one response may be sent to: one that kills every worker it reaches is not sent round for ever."""


class Worker(Protocol):
    """What verl's agent loops use of a Ray actor's handle."""

    compute_score: Any


class RewardWorkers:
    """Stands for all reward workers, as the one entry of the list that verl's agent loops pick from.

    It is pickled to every agent loop worker; each finds out for itself who has died.

    Args:
        workers: handles of Ray actors with a method ``compute_score``.
        replaced: makes the worker that takes the place of number i; None where only verl can make one. The others
            then do its work.
    """

    def __init__(self, workers: Sequence[Worker], replaced: Callable[[int], Worker] | None = None):
        self._workers: dict[int, Worker] = dict(enumerate(workers))
        self._replaced = replaced

    @property
    def compute_score(self) -> RewardWorkers:
        """For ``worker.compute_score.remote(data)``."""
        return self

    async def remote(self, data: Any) -> Any:
        """A worker's result for ``data``.

        Raises:
            RayActorError: TRIES workers died over it, or the last one is gone.
            Exception: what the reward function raised, at once.
        """
        for tried in range(1, TRIES + 1):
            number, worker = random.choice(list(self._workers.items()))
            try:
                return await worker.compute_score.remote(data)
            except RayActorError as error:
                # A reward function that met a dead actor of its own raises both; another worker would meet it as well.
                if isinstance(error, RayTaskError):
                    raise
                self._bury(number, worker, error)
                if tried == TRIES:
                    raise

    def _bury(self, number: int, worker: Worker, error: RayActorError) -> None:
        """Replace number ``number``, or do without it unless it is the last; another session may have done so."""
        if self._workers.get(number) is not worker:
            return
        if self._replaced is not None:
            self._workers[number] = self._replaced(number)
            told = "it is replaced"
        elif len(self._workers) > 1:
            del self._workers[number]
            told = "the others do its work"
        else:
            told = "and no other is left"
        logger.warning("reward worker %d has died, %s: %s", number, told, str(error).partition("\n")[0])


class Replacement:
    """Makes verl's reward workers anew, each once for all agent loop workers: by a name that they share."""

    def __init__(self, config: Any, mark: str):
        self.config, self.mark = config, mark

    def __call__(self, number: int) -> Worker:
        name = f"reward_loop_worker_{number}_{self.mark}"
        made: Any = ray.remote(RewardLoopWorker)  # to Ray's types an actor and a function are one
        return made.options(name=name, get_if_exists=True).remote(self.config, None)
