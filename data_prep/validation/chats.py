"""Roles and contents of a chat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from personadual.data_prep.validation.findings import Problem

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"


def chat_problems(messages: Any, field: str, last: str) -> Iterator[Problem]:
    """What keeps ``messages`` from being a chat that ends with a message of role ``last``."""
    if not messages:
        yield Problem("no-messages", "an empty list" if messages is not None else "null", field)
        return
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            yield Problem("bad-content", "null in place of a message", f"{field}[].content")
            continue
        role, content = message.get("role"), message.get("content")
        if role not in (SYSTEM, USER, ASSISTANT):
            yield Problem("bad-role", repr(role), f"{field}[].role")
        elif role == SYSTEM and place:
            yield Problem("bad-role", f"a system message as number {place + 1}", f"{field}[].role")
        if not isinstance(content, str) or not content.strip():
            yield Problem("bad-content", f"{content!r} in the {role} message", f"{field}[].content")
    final = messages[-1]
    if isinstance(final, dict) and final.get("role") in (SYSTEM, USER, ASSISTANT) and final["role"] != last:
        yield Problem("last-message", f"the last role is {final['role']!r}, not {last!r}", f"{field}[-1].role")


def plain(messages: Any) -> list[dict[str, Any]]:
    """The messages as a template gets them: arrow gives each all the keys that any has, null ones are left out."""
    return [{key: value for key, value in message.items() if value is not None} for message in messages]
