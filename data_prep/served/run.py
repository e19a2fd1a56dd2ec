"""One call of ``ask_all``: what is under way, in which order outcomes come, and what stops everything."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import openai

from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Answer, Failure, Outcome, Request, is_storable
from personadual.data_prep.served.failures import (
    NO_COMPLETION,
    NOT_SENDABLE,
    OF_THE_SERVER,
    ServedError,
    failure_of,
    unreachable,
)
from personadual.data_prep.served.progress import Progress, Tally
from personadual.data_prep.served.spacing import Spacing

WINDOW = 16
"""Requests held per unit of concurrency: outcomes come in order, so a slow one may hold back this many others."""

# Ends that are the server's doing, not the model's: asking again may well give an answer.
_ABORTED = ("abort", "error")

LEAST_FAILURES = 8
"""Requests that must fail in a row, for reasons of the server, before all are stopped; with more at once, that many."""

Pending = Answer | asyncio.Task[Answer | Failure]


class Run:
    """The arguments are those of ``client.ask_all``."""

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
        self._stopped: asyncio.Future[ServedError | OSError] | None = None
        self._failed_in_a_row = 0
        self._client: Any = None

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        self._stopped = asyncio.get_running_loop().create_future()
        window: deque[tuple[Request, Pending]] = deque()
        try:
            for request in self._requests:
                window.append((request, self._start(request)))
                while window and (len(window) >= WINDOW * self._config.concurrency or _is_ready(window[0][1])):
                    yield await self._first_of(window)
            while window:
                yield await self._first_of(window)
        finally:
            tasks = [reply for _, reply in window if isinstance(reply, asyncio.Task)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._client is not None:
                await self._client.close()
            self.progress.close()

    def _start(self, request: Request) -> Pending:
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

    async def _first_of(self, window: deque[tuple[Request, Pending]]) -> Outcome:
        request, reply = window[0]
        if isinstance(reply, asyncio.Task):
            # A refusal of any request stops everything at once, not when its turn comes.
            assert self._stopped is not None
            await asyncio.wait((reply, self._stopped), return_when=asyncio.FIRST_COMPLETED)
            if self._stopped.done():
                raise self._stopped.result()
        window.popleft()
        if isinstance(reply, Answer):
            return Outcome(request, reply, cached=True)
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
        client = self._open()
        try:
            completion = await client.chat.completions.create(
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
        """Count failures in a row: a server that is gone must not cost all the attempts of every request."""
        if failure.reason in OF_THE_SERVER:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= max(LEAST_FAILURES, self._config.concurrency):
                raise unreachable(failure, self._failed_in_a_row, self._config)
        return failure

    def _stop_all(self, error: ServedError | OSError) -> None:
        if self._stopped is not None and not self._stopped.done():
            where = self.progress.stopped(self._cache.path)
            self._stopped.set_result(ServedError(f"{error} {where}") if isinstance(error, ServedError) else error)

    def _open(self) -> Any:
        """The client, made when the first answer is missing: a run from the cache alone needs no key and no server."""
        if self._client is None:
            try:
                key = self._config.api_key()
            except ValueError as error:
                raise ServedError(str(error)) from error

            async def space(request: Any) -> None:
                await asyncio.sleep(self._spacing.wait(asyncio.get_running_loop().time()))

            self._client = openai.AsyncOpenAI(
                base_url=self._config.base_url,
                api_key=key,
                timeout=self._config.timeout,
                # Its own retries: connection errors, timeouts, 408, 409, 429 and 5xx, exponential with jitter, and
                # Retry-After where the server sends it.
                max_retries=self._config.max_attempts - 1,
                # Below the retries, so that these keep the rate limit too.
                http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": [space]}),
            )
        return self._client


def _is_ready(reply: Pending) -> bool:
    return isinstance(reply, Answer) or reply.done()
