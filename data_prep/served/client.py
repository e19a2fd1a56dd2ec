"""Many requests at once: concurrent, rate-limited, retried by the openai client, every answer cached as it comes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Outcome, Request
from personadual.data_prep.served.progress import Tally
from personadual.data_prep.served.run import Run


def ask_all(
    requests: Iterable[Request],
    config: ServedConfig,
    cache: AnswerCache,
    progress: bool = True,
    *,
    total: int | None = None,
    tally: Tally | None = None,
) -> Iterator[Outcome]:
    """Answers of all requests, in their order; those in the cache are not asked for, and need no server.

    Requests are drawn as they are needed, so that a generator of any length runs in constant memory. The same request
    twice is asked once. ``tally`` counts along; ``total`` is for the bar, where ``requests`` has no length.

    An early stop, by Ctrl-C or by an error of the loop over the outcomes, keeps what has come, cancels the rest, and
    says on stderr how many are left.

    Raises:
        ServedError: the server refuses our requests, the key is missing, or request after request has failed for good.
        OSError: an answer can't be written.
    """
    loop = asyncio.new_event_loop()
    run = Run(config, cache, progress, requests, total, tally)
    outcomes = run.outcomes()
    try:
        while True:
            try:
                outcome = loop.run_until_complete(_next(outcomes))
            except StopAsyncIteration:
                return
            yield outcome
    except (KeyboardInterrupt, GeneratorExit):  # the latter if what ended the loop was raised in its body, Ctrl-C too
        _finish(loop, outcomes)
        print(f"\nStopped. {run.progress.stopped(cache.path)}", file=sys.stderr)
        raise
    finally:
        _finish(loop, outcomes)


async def _next(outcomes: AsyncIterator[Outcome]) -> Outcome:
    return await outcomes.__anext__()


def _finish(loop: asyncio.AbstractEventLoop, outcomes: AsyncGenerator[Outcome, None]) -> None:
    """Cancel what is under way and close the loop; a second call does nothing."""
    if loop.is_closed():
        return
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
        loop.run_until_complete(outcomes.aclose())
    finally:
        loop.close()
