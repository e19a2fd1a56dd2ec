"""Answers by any server that speaks OpenAI's API, through the openai client.

Two ways to ask. With the model's tokenizer at hand, token ids to ``/completions``: exactly training's prompts and
forced prefixes under every chat template, and the tag's log-probs where the server gives them. Without it, messages to
``/chat/completions``, a mode forced by an assistant message that the server is to continue (``continue_final_message``
of vLLM and SGLang; some continue such a message unasked).

A server that drops the prefix would be scored for answers that nobody forced. So token ids are counted in every answer
(``usage``), and before the first chat answer it is checked that a longer message lengthens the prompt by itself alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol
from urllib.parse import urlsplit

from personadual.evaluation.generate import Asked, Batch, Reply

PLAIN = {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0}
"""Switches off a served model's own sampling defaults, as the offline engine does. OpenAI's API has no such keys."""
NO_KEY = "EMPTY"


class EndpointError(RuntimeError):
    """The server can't be used so, or gave no answer; what it said, and what to change."""


@dataclass(frozen=True)
class EndpointSettings:
    """Where the model is served and how it is asked; ``max_tokens`` bounds the response, forced prefix included.

    Raises:
        ValueError: an address or a variable's name that is none, or one that may hold a key.
    """

    url: str
    model: str
    max_tokens: int
    api_key_env: str | None = None
    concurrency: int = 16
    timeout: float = 600.0
    max_retries: int = 5
    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise ValueError("--endpoint must hold no user name or key; name an environment variable: --api-key-env")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"--endpoint: an address such as http://localhost:8000/v1 is needed, found {self.url!r}")
        if self.api_key_env is not None and not (self.api_key_env.isidentifier() and self.api_key_env.isascii()):
            # What stands there may be the key itself, so it is not repeated.
            raise ValueError("--api-key-env: the name of an environment variable is needed, such as OPENAI_API_KEY")

    def api_key(self) -> str:
        """The key of the environment, or a placeholder: a key that was not named goes to nobody."""
        if self.api_key_env is None:
            return NO_KEY
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise ValueError(f"--api-key-env names {self.api_key_env}, which is not set in the environment")
        return key

    def sampling(self, seed: int | None) -> dict[str, Any]:
        """Greedy without a seed."""
        if seed is None:
            return {"temperature": 0.0, "top_p": 1.0}
        return {"temperature": self.temperature, "top_p": self.top_p, "seed": seed}


class Way(Protocol):
    """How a server is asked; see ``endpoint_ways``. ``found``: what ``prepare`` learnt, for the settings file."""

    found: dict[str, Any]

    async def prepare(self, client: Any, asked: Asked) -> None:
        """Find out what the server can do, by questions about ``asked``; EndpointError where it can't do enough."""
        ...

    async def ask(self, client: Any, asked: Asked) -> Reply: ...


def answer(asks: Sequence[Asked], settings: EndpointSettings, way: Way) -> Generator[Batch, None, None]:
    """Answers to all ``asks`` as they come, ``settings.concurrency`` at a time.

    Raises:
        EndpointError: a request failed for good (after the client's retries); what else was under way comes first.
    """
    import openai

    loop = asyncio.new_event_loop()
    client = openai.AsyncOpenAI(
        base_url=settings.url,
        api_key=settings.api_key(),
        timeout=settings.timeout,
        max_retries=settings.max_retries,
    )
    under_way: dict[asyncio.Task[Reply], Asked] = {}
    waiting = iter(asks)
    failure: BaseException | None = None
    try:
        loop.run_until_complete(_said(way.prepare(client, asks[0]), settings, asks[0]))
        while True:
            free = 0 if failure else settings.concurrency - len(under_way)
            for asked in islice(waiting, free):
                under_way[loop.create_task(_said(way.ask(client, asked), settings, asked))] = asked
            if not under_way:
                break
            done, _ = loop.run_until_complete(asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED))
            ended = [(under_way.pop(task), task) for task in done]
            failure = failure or next((error for _, task in ended if (error := task.exception())), None)
            yield [(asked, task.result()) for asked, task in ended if task.exception() is None]
        if failure is not None:
            raise failure
    finally:
        loop.run_until_complete(_end(list(under_way), client))
        loop.close()


async def _end(tasks: list[asyncio.Task], client: Any) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, client.close(), return_exceptions=True)


async def _said(work: Awaitable[Any], settings: EndpointSettings, asked: Asked) -> Any:
    """``work``, with what the client raises as an ``EndpointError`` that says what to do."""
    import openai

    where = f"{settings.url}, item {asked.item.item}, {asked.asked_mode}"
    try:
        return await work
    except EndpointError as error:
        raise EndpointError(f"{where}: {error}") from None
    except openai.APITimeoutError as error:
        raise EndpointError(f"{where}: no answer within {settings.timeout:g} s; --timeout, --concurrency") from error
    except openai.APIConnectionError as error:
        raise EndpointError(f"{where}: not reachable ({error.__cause__ or error}); is the server running?") from error
    except openai.APIStatusError as error:
        raise EndpointError(f"{where}: {error.status_code}: {message_of(error)}. {_fix(error, settings)}") from error
    except openai.OpenAIError as error:
        raise EndpointError(f"{where}: {type(error).__name__}: {error}") from error


def message_of(error: Any) -> str:
    """The server's own words, on one line."""
    said = error.body.get("message") if isinstance(error.body, Mapping) else None
    return " ".join(str(said or error.message).split())[:500].rstrip(".")


def _fix(error: Any, settings: EndpointSettings) -> str:
    if error.status_code in (401, 403):
        return f"The key in {settings.api_key_env} was refused." if settings.api_key_env else "Needs --api-key-env."
    if error.status_code in (404, 405):
        return f"Check the model's name, {settings.model!r}, and the address, which mostly ends in /v1."
    if error.status_code == 429:
        return "A smaller --concurrency is easier on the server's rate limit."
    return "What is done is kept; the same command goes on from there."


def count_of(usage: Any, name: str) -> int:
    """A number of the server's ``usage``; EndpointError where it gives none, since nothing could be checked."""
    count = getattr(usage, name, None)
    if not isinstance(count, int):
        raise EndpointError(f"the server's answer has no usage.{name}, so it can't be checked what the model was given")
    return count


def only_choice(completion: Any) -> Any:
    """The one choice of a completion that ended by itself or by its length; EndpointError for any other."""
    choices = getattr(completion, "choices", None) or []
    if len(choices) != 1:
        raise EndpointError(f"one choice is needed, the server gave {len(choices)}")
    if choices[0].finish_reason not in ("stop", "length"):
        raise EndpointError(f"the answer ended by {choices[0].finish_reason!r}, not by itself or its length")
    return choices[0]
