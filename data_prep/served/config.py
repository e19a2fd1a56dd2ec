"""The keys of a served model: one documented field per knob, checked when they are read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from personadual.keys import check_known_keys

BLOCK = "served"

NO_KEY = "EMPTY"
"""Sent where no key is named: ``vllm serve`` asks for none, and a key of the environment goes to nobody unasked."""

MOST_AT_ONCE = 1000
_OWN_KEYS = ("model", "messages", "temperature", "max_tokens", "seed", "stream", "n")


@dataclass(frozen=True)
class ServedConfig:
    """Where a model is served, and how it is asked. ``null`` for a sampling parameter leaves it to the server."""

    base_url: str
    """Address of the API, as the openai client takes it: ``http://localhost:8000/v1`` for ``vllm serve``."""
    model: str
    """Name that the server gives the model."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key. The key itself never stands in a configuration."""
    concurrency: int = 16
    """Requests under way at the same time."""
    requests_per_minute: float | None = None
    """Most requests sent in a minute, retries included; null for no limit."""
    timeout: float = 600.0
    """Seconds that one attempt may take."""
    max_attempts: int = 6
    """Attempts per request, the first included."""
    temperature: float | None = 0.0
    max_tokens: int | None = 1024
    """Longest completion. One that reaches it is recorded as cut, and dropped."""
    seed: int | None = None
    """Sent with each request: repeatable sampling where the temperature is above 0, if the server can. vLLM's CPU
    backend can't, and ends on it."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the request's body, such as ``chat_template_kwargs: {enable_thinking: false}``."""
    prompts: Path | None = None
    """Folder whose templates replace those of the same name (see ``prompts``); null for ours."""

    def __post_init__(self) -> None:
        _check_url(self.base_url)
        _check_text("model", self.model)
        if self.api_key_env is not None and not _is_variable(self.api_key_env):
            # What stands there may be the key itself, so it is not repeated.
            raise _wrong("api_key_env", "the name of an environment variable, such as OPENAI_API_KEY", "something else")
        _check_whole("concurrency", self.concurrency, 1, MOST_AT_ONCE)
        _check_whole("max_attempts", self.max_attempts, 1, 100)
        _check_positive("timeout", self.timeout)
        if self.requests_per_minute is not None:
            _check_positive("requests_per_minute", self.requests_per_minute)
        if self.temperature is not None and not (_is_number(self.temperature) and 0 <= self.temperature <= 2):
            raise _wrong("temperature", "a number between 0 and 2, or null", repr(self.temperature))
        if self.max_tokens is not None:
            _check_whole("max_tokens", self.max_tokens, 1, None)
        if self.seed is not None:
            _check_whole("seed", self.seed, 0, None)
        _check_extra_body(self.extra_body)
        if self.prompts is not None and not isinstance(self.prompts, str | os.PathLike):
            raise _wrong("prompts", "a folder, or null", repr(self.prompts))
        object.__setattr__(self, "prompts", None if self.prompts is None else Path(self.prompts).expanduser())

    @classmethod
    def from_mapping(cls, block: Mapping[str, Any]) -> ServedConfig:
        """Read the block ``served`` of a configuration.

        Raises:
            ValueError: no mapping, an unknown or missing key (with the nearest known one), or an impossible value.
        """
        if not isinstance(block, Mapping):
            raise ValueError(f"{BLOCK}: a mapping with base_url and model is needed, found {type(block).__name__}")
        check_known_keys(BLOCK, block, (entry.name for entry in fields(cls)))
        for key in ("base_url", "model"):
            if key not in block:
                raise ValueError(f"{BLOCK}.{key} is missing; base_url and model have no default")
        return cls(**{str(key): value for key, value in block.items()})

    @property
    def sampling(self) -> dict[str, Any]:
        """What the answer depends on beside model and messages: sent as it is, and part of the cache's keys."""
        given = {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}
        sent: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return {**sent, "extra_body": dict(self.extra_body)} if self.extra_body else sent

    def api_key(self) -> str:
        """The key of the environment, or a placeholder where none is named.

        Raises:
            ValueError: the named variable is not set.
        """
        if self.api_key_env is None:
            return NO_KEY
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise ValueError(
                f"{BLOCK}.api_key_env names the environment variable {self.api_key_env}, which is not set. Set it, or "
                "leave api_key_env out for a server that asks for no key."
            )
        return key


def _check_url(url: Any) -> None:
    needed = "an address such as http://localhost:8000/v1"
    if not isinstance(url, str):
        raise _wrong("base_url", needed, repr(url))
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _wrong("base_url", needed, str(error)) from error
    if "@" in parts.netloc:
        raise ValueError(f"{BLOCK}.base_url must hold no user name or key; name an environment variable: api_key_env")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise _wrong("base_url", needed, repr(url))


def _check_extra_body(body: Any) -> None:
    if not isinstance(body, Mapping):
        raise _wrong("extra_body", "a mapping", repr(body))
    for key in body:
        if key in _OWN_KEYS:
            raise ValueError(f"{BLOCK}.extra_body.{key}: this key is set by its own setting or not to be changed")
    try:
        json.dumps(dict(body), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{BLOCK}.extra_body must be plain JSON values ({error})") from error


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, "a text that is not empty", repr(value))


def _check_whole(name: str, value: Any, least: int, most: int | None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        wanted = f"from {least} to {most}" if most is not None else f">= {least}"
        raise _wrong(name, f"a whole number {wanted}", repr(value))


def _check_positive(name: str, value: Any) -> None:
    if not _is_number(value) or value <= 0:
        raise _wrong(name, "a finite number above 0", repr(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_variable(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier() and name.isascii()


def _wrong(name: str, needed: str, found: str) -> ValueError:
    return ValueError(f"{BLOCK}.{name} must be {needed}, found {found}")
