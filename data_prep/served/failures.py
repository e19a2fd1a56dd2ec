"""What a failure of the openai client means: this request has no answer, or none of them can have one."""

from __future__ import annotations

import openai

from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Failure

TOO_LONG = "prompt and max_tokens longer than the model's context"
FILTERED = "refused by the server's content filter"
UNREACHABLE = "server not reachable"
TIMED_OUT = "request timed out"
LIMITED = "rate limit of the server"
SERVER_ERROR = "server error"
NO_COMPLETION = "reply is no chat completion"
NOT_SENDABLE = "request is no valid text"

OF_THE_SERVER = (UNREACHABLE, TIMED_OUT, LIMITED, SERVER_ERROR, NO_COMPLETION)
"""Failures that another request would meet too."""

# How servers say that a prompt is too long: vLLM twice, OpenAI, SGLang, llama.cpp.
_TOO_LONG_SIGNS = (
    "context length",
    "maximum model length",
    "context_length_exceeded",
    "context window",
    "context size",
)


class ServedError(ValueError):
    """The server can't be used as it is configured; what it said, and what to change."""


def failure_of(error: Exception, config: ServedConfig) -> Failure:
    """What is wrong with this one request, after all its attempts.

    Raises:
        ServedError: the server refuses any such request (wrong model, key, address or parameter), so that repeating
            it or going on makes no sense.
    """
    if isinstance(error, openai.APITimeoutError):
        return Failure(TIMED_OUT, f"no answer within {config.timeout:g} s")
    if isinstance(error, openai.APIConnectionError):
        return Failure(UNREACHABLE, f"{config.base_url}: {error.__cause__ or error}")
    if not isinstance(error, openai.APIStatusError):
        return Failure(NO_COMPLETION, f"{type(error).__name__}: {error}"[:300])
    said, status = _message(error), error.status_code
    if status == 429:
        return Failure(LIMITED, said)
    if status >= 500 or status in (408, 409):
        return Failure(SERVER_ERROR, f"{status}: {said}")
    if status in (400, 413, 422):
        lowered = f"{error.code} {said}".lower()
        if status == 413 or any(sign in lowered for sign in _TOO_LONG_SIGNS):
            return Failure(TOO_LONG, said)
        if "content_filter" in lowered:
            return Failure(FILTERED, said)
    raise ServedError(f"{config.base_url} refuses the request ({status}): {said}. {_fix(status, config)}") from error


def unreachable(failure: Failure, in_a_row: int, config: ServedConfig) -> ServedError:
    """The error for a server that has given nothing but failures for a while."""
    return ServedError(
        f"the last {in_a_row} requests to {config.base_url} all failed after {config.max_attempts} attempt(s) each, at "
        f"last with: {failure.reason} ({failure.detail}). Is the server running (vllm serve {config.model}), and is "
        "served.base_url its address? A slow or limited one needs a smaller served.concurrency or requests_per_minute, "
        "or a longer timeout."
    )


def _fix(status: int, config: ServedConfig) -> str:
    if status in (401, 403):
        if config.api_key_env is None:
            return "The server asks for a key: name the environment variable that holds it in served.api_key_env."
        return f"Check the key in the environment variable {config.api_key_env} (served.api_key_env)."
    if status in (404, 405):
        return (
            f"Check served.model ({config.model!r} is not served there, or not under this name; "
            f"{config.base_url}/models lists the names) and served.base_url, which mostly ends in /v1."
        )
    return "Check temperature, max_tokens, seed and extra_body under served; null leaves one of them out."


def _message(error: openai.APIStatusError) -> str:
    """The server's own words, on one line."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error.message).split())[:500].rstrip(".")
