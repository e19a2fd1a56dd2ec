"""Many requests at once: concurrent, rate-limited, retried by the openai client, every answer cached as it comes."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Answer, Failure, Outcome, Request, is_storable
from personadual.data_prep.served.failures import NO_COMPLETION, NOT_SENDABLE, ServedError, failure_of, unreachable
from personadual.data_prep.served.progress import Progress, Tally
from personadual.data_prep.served.spacing import Spacing

WINDOW = 16
"""Requests held per unit of concurrency: outcomes come in order, so a slow one may hold back this many others."""

# Ends that are the server's doing, not the model's: asking again may well give an answer.
_ABORTED = ("abort", "error")


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

    Ctrl-C keeps what has come, cancels the rest, says on stderr how many are left, and goes on as KeyboardInterrupt.

    Raises:
        ServedError: the server refuses our requests, or as many in a row as run at once have failed for good.
        OSError: an answer can't be written.
    """
    loop = asyncio.new_event_loop()
    stream = _Run(config, cache, progress, requests, total, tally)
    outcomes = stream.outcomes()
    try:
        while True:
            try:
                outcome = loop.run_until_complete(_next(outcomes))
            except StopAsyncIteration:
                return
            yield outcome
    except KeyboardInterrupt:
        _finish(loop, outcomes)
        print(f"\nInterrupted. {stream.progress.stopped(cache.path)}", file=sys.stderr)
        raise
    finally:
        _finish(loop, outcomes)


async def ask_all_async(
    requests: Iterable[Request],
    config: ServedConfig,
    cache: AnswerCache,
    progress: bool = True,
    *,
    total: int | None = None,
    tally: Tally | None = None,
) -> AsyncIterator[Outcome]:
    """``ask_all`` inside a running event loop."""
    outcomes = _Run(config, cache, progress, requests, total, tally).outcomes()
    try:
        async for outcome in outcomes:
            yield outcome
    finally:
        await outcomes.aclose()  # type: ignore[attr-defined]


async def _next(outcomes: AsyncIterator[Outcome]) -> Outcome:
    return await outcomes.__anext__()


def _finish(loop: asyncio.AbstractEventLoop, outcomes: Any) -> None:
    """Cancel what is under way and close the loop; a second call does nothing."""
    if loop.is_closed():
        return
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True)) if tasks else None
        loop.run_until_complete(outcomes.aclose())
    finally:
        loop.close()


class _Run:
    """One call of ``ask_all``."""

    def __init__(
        self,
        config: ServedConfig,
        cache: AnswerCache,
        progress: bool,
        requests: Iterable[Request],
        total: int | None,
        tally: Tally | None,
    ):
        self._config, self._cache, self._requests = config, cache, requests
        self.progress = Progress(requests, total, progress, tally or Tally())
        self._slots = asyncio.Semaphore(config.concurrency)
        self._spacing = Spacing(config.requests_per_minute)
        self._running: dict[str, asyncio.Task[Answer | Failure]] = {}
        self._stop: ServedError | OSError | None = None
        self._stopping = asyncio.Event()
        self._failed_in_a_row = 0
        self._client: Any = None

    async def outcomes(self) -> AsyncIterator[Outcome]:
        window: deque[tuple[Request, Answer | asyncio.Task[Answer | Failure]]] = deque()
        try:
            for request in self._requests:
                window.append((request, self._start(request)))
                while window and (len(window) >= WINDOW * self._config.concurrency or _is_ready(window[0][1])):
                    yield await self._first_of(window)
            while window:
                yield await self._first_of(window)
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._client is not None:
                await self._client.close()
            self.progress.close()

    def _start(self, request: Request) -> Answer | asyncio.Task[Answer | Failure]:
        key = request.key(self._config)
        answer = self._cache.get(key)
        if answer is not None:
            self.progress.count(answer, cached=True)
            return answer
        if key not in self._running:
            self._running[key] = asyncio.ensure_future(self._ask(key, request))
        else:
            self._running[key].add_done_callback(self._count_twin)
        return self._running[key]

    def _count_twin(self, task: asyncio.Task[Answer | Failure]) -> None:
        if not task.cancelled() and task.exception() is None:
            self.progress.count(task.result(), cached=True)

    async def _first_of(self, window: deque[tuple[Request, Answer | asyncio.Task[Answer | Failure]]]) -> Outcome:
        request, reply = window.popleft()
        if isinstance(reply, Answer):
            return Outcome(request, reply, cached=True)
        # A refusal of any request stops everything at once, not when its turn comes.
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((reply, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._stop is not None:
            raise self._stop
        return Outcome(request, reply.result())

    async def _ask(self, key: str, request: Request) -> Answer | Failure:
        """Reply to one request, written to the cache before anybody sees it."""
        try:
            async with self._slots:
                reply = await self._reply(request)
            if isinstance(reply, Answer):
                self._cache.put(key, reply)
                self._failed_in_a_row = 0
            self.progress.count(reply)
            return reply
        except (ServedError, OSError) as error:
            self._stop_all(error)
            return Failure("stopped", str(error))
        finally:
            self._running.pop(key, None)

    async def _reply(self, request: Request) -> Answer | Failure:
        messages: Any = [dict(message) for message in request.messages]
        if not all(is_storable(text) for message in messages for text in message.values()):
            return Failure(NOT_SENDABLE, f"{request.id}: NUL or a lone surrogate")
        import openai

        try:
            completion = await self._open().chat.completions.create(
                model=self._config.model, messages=messages, **self._config.sampling
            )
            choice = completion.choices[0]
            text, finish = choice.message.content, choice.finish_reason
        except (openai.OpenAIError, ValueError) as error:
            return self._failed(failure_of(error, self._config))
        except (AttributeError, TypeError, LookupError) as error:
            return self._failed(Failure(NO_COMPLETION, f"{type(error).__name__}: {error}"[:300]))
        if not isinstance(text, str | None) or not isinstance(finish, str | None) or finish in _ABORTED:
            return self._failed(Failure(NO_COMPLETION, f"finish_reason {finish!r}"))
        return Answer(text or "", finish or "")

    def _failed(self, failure: Failure) -> Failure:
        """Count failures in a row: a server that is gone must not cost every attempt of every request."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self._config.concurrency:
            raise unreachable(failure, self._failed_in_a_row, self._config)
        return failure

    def _stop_all(self, error: ServedError | OSError) -> None:
        if self._stop is None:
            where = self.progress.stopped(self._cache.path)
            self._stop = type(error)(f"{error} {where}") if isinstance(error, ServedError) else error
        self._stopping.set()

    def _open(self) -> Any:
        """The client, made when the first answer is missing: a run from the cache alone needs no key and no server."""
        if self._client is None:
            import openai

            async def space(request: Any) -> None:
                await asyncio.sleep(self._spacing.wait(asyncio.get_running_loop().time()))

            self._client = openai.AsyncOpenAI(
                base_url=self._config.base_url,
                api_key=self._config.api_key(),
                timeout=self._config.timeout,
                # Its own retries: connection errors, timeouts, 408, 409, 429 and 5xx, exponential with jitter, and
                # Retry-After where the server sends it.
                max_retries=self._config.max_attempts - 1,
                # Below the retries, so that these keep the rate limit too.
                http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": [space]}),
            )
        return self._client


def _is_ready(reply: Answer | asyncio.Task[Answer | Failure]) -> bool:
    return isinstance(reply, Answer) or reply.done()
