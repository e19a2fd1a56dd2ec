"""The two ways of ``endpoint``: token ids to ``/completions``, messages to ``/chat/completions``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from personadual.evaluation.endpoint import PLAIN, EndpointError, EndpointSettings, count_of, message_of, only_choice
from personadual.evaluation.engine import LEAST_LOGPROB
from personadual.evaluation.generate import Asked, Reply
from personadual.evaluation.offline import score_of
from personadual.evaluation.prompts import TokenPrompts
from personadual.modes import Mode, Modes
from personadual.schema import FREE, INVALID
from personadual.serving.client import chat_request, read_message

BY_TOKENS, BY_CHAT = "completions with token ids", "chat"
CANT_FORCE = (
    "Give the model's tokenizer (--tokenizer FOLDER) to ask by token ids, or ask free answers alone (--free-only)"
)


class ByTokens:
    """Prompts and prefixes as token ids; a reply's ``usage`` must count as many as were sent."""

    def __init__(self, settings: EndpointSettings, prompts: TokenPrompts):
        self._settings, self._prompts = settings, prompts
        self._extra: dict[str, Any] = {}
        self._scores = False
        self.found: dict[str, Any] = {}

    async def prepare(self, client: Any, asked: Asked) -> None:
        forced = replace(asked, asked_mode=self._prompts.modes[0].name, sample=0)
        tries = [(extra, scores) for extra in (PLAIN, {}) for scores in (True, False)]
        for self._extra, self._scores in tries:
            try:
                reply = await self.ask(client, forced, max_tokens=1)
            except _refusals():
                if (self._extra, self._scores) == tries[-1]:
                    raise
            else:
                break
        self.found = {"way": BY_TOKENS, "sent": self._extra, "tag_logprobs": reply.score.tag is not None}

    async def ask(self, client: Any, asked: Asked, max_tokens: int | None = None) -> Reply:
        prefix = self._prompts.prefixes[asked.asked_mode]
        ids = self._prompts.prompt(asked.item) + prefix
        body = dict(self._extra)
        if prefix and asked.sample == 0 and self._scores:
            body["prompt_logprobs"] = 0
        completion = await client.completions.create(
            model=self._settings.model,
            prompt=ids,
            max_tokens=max_tokens or self._settings.max_tokens - len(prefix),
            extra_body=body,
            **self._settings.sampling(asked.seed),
        )
        choice, seen = only_choice(completion), count_of(completion.usage, "prompt_tokens")
        if seen != len(ids):
            raise EndpointError(
                f"{len(ids)} token ids were sent and the server says that its prompt had {seen}: it does not take them "
                "as they are. Leave --tokenizer out to ask by chat"
            )
        text = choice.text or ""
        if prefix:
            text = self._prompts.modes[self._prompts.modes.index_of(asked.asked_mode)].prefix + text
        score = score_of(_prefix_logprobs(choice, prefix), self._prompts)
        n_tokens = len(prefix) + count_of(completion.usage, "completion_tokens")
        return Reply(text, n_tokens, choice.finish_reason == "length", score)


class ByChat:
    """Messages; a mode is forced by an assistant message to be continued, and there are no log-probs."""

    def __init__(self, settings: EndpointSettings, modes: Modes, template_kwargs: Mapping[str, Any], free_only: bool):
        self._settings, self._modes, self._free_only = settings, modes, free_only
        self._extra: dict[str, Any] = {}
        self._template = {"chat_template_kwargs": dict(template_kwargs)} if template_kwargs else {}
        self._prefix_tokens: dict[str, int] = {FREE: 0}
        self.found: dict[str, Any] = {}

    async def prepare(self, client: Any, asked: Asked) -> None:
        self._extra = dict(PLAIN)
        try:
            free = await self._prompt_tokens(client, asked)
        except _refusals():
            self._extra = {}
            free = await self._prompt_tokens(client, asked)
        if not self._free_only:
            for mode in self._modes:
                self._prefix_tokens[mode.name] = await self._check_forcing(client, asked, mode, free)
        self.found = {"way": BY_CHAT, "sent": self._extra, "prefix_tokens": self._prefix_tokens}

    async def ask(self, client: Any, asked: Asked) -> Reply:
        forced = None if asked.asked_mode == FREE else asked.asked_mode
        prefix_tokens = self._prefix_tokens[asked.asked_mode]
        limit = self._settings.max_tokens - prefix_tokens
        completion = await self._create(client, asked, forced, limit, asked.seed)
        choice = only_choice(completion)
        _check_not_taken(choice.message, self._modes)
        found = read_message(choice.message, forced, modes=self._modes)
        if forced is not None and found.mode != forced:
            raise EndpointError(f"{forced} was forced, and the server's reasoning parser says {found.mode!r}")
        text = found.text
        if found.mode in self._modes.names:
            text = self._modes[self._modes.index_of(found.mode)].prefix + text
        n_tokens = prefix_tokens + count_of(completion.usage, "completion_tokens")
        return Reply(text, n_tokens, choice.finish_reason == "length")

    async def _check_forcing(self, client: Any, asked: Asked, mode: Mode, free: int) -> int:
        """Number of the prefix's tokens; EndpointError unless the server lets the model continue the message.

        A server that takes the message for a finished one puts the end of its turn, and the start of another, behind
        it: then the first tag lengthens the prompt by more than a second one does.
        """
        tag = mode.tag
        try:
            one = await self._prompt_tokens(client, asked, mode, tag)
            two = min(
                [await self._prompt_tokens(client, asked, mode, text) for text in (f"{tag} {tag}", f"{tag}\n{tag}")]
            )
            prefix = await self._prompt_tokens(client, asked, mode, mode.prefix)
        except _refusals() as error:
            said = message_of(error)
            raise EndpointError(f"it refuses to continue an assistant message ({said}). {CANT_FORCE}") from error
        first, second = one - free, two - one
        if not 0 < first <= second:
            raise EndpointError(
                f"it does not seem to continue an assistant message: {tag} adds {first} tokens to the prompt, a second "
                f"one {second}. {CANT_FORCE}"
            )
        return prefix - free

    async def _prompt_tokens(self, client: Any, asked: Asked, mode: Mode | None = None, text: str = "") -> int:
        """How long the server says that the prompt is, with ``text`` as the message to be continued."""
        completion = await self._create(client, asked, mode.name if mode else None, 1, None, text)
        content = completion.choices[0].message.content if completion.choices else None
        if text and (content or "").startswith(text):
            raise EndpointError(f"it repeats the message that it continues in its answer. {CANT_FORCE}")
        return count_of(completion.usage, "prompt_tokens")

    async def _create(
        self, client: Any, asked: Asked, forced: str | None, max_tokens: int, seed: int | None, text: str = ""
    ) -> Any:
        body = {**self._extra, **self._template}
        request = chat_request(asked.item.prompt, forced, modes=self._modes, extra_body=body)
        if text:
            request["messages"][-1]["content"] = text
        return await client.chat.completions.create(
            model=self._settings.model, max_tokens=max_tokens, **request, **self._settings.sampling(seed)
        )


def _refusals() -> tuple[type[Exception], ...]:
    """What the client raises where a server doesn't take a request as it is."""
    import openai

    return openai.BadRequestError, openai.UnprocessableEntityError


def _check_not_taken(message: Any, modes: Modes) -> None:
    """EndpointError where a reasoning parser has put the answer elsewhere."""
    taken = getattr(message, "reasoning", None) or getattr(message, "reasoning_content", None)
    if not message.content and taken and taken not in (*modes.names, INVALID):
        raise EndpointError("the server's reasoning parser has taken the answer away; serve without it, or with ours")


def _prefix_logprobs(choice: Any, prefix: list[int]) -> list[float]:
    """vLLM's log-probs of the last prompt tokens, by their ids; empty where the server gives none."""
    given = getattr(choice, "prompt_logprobs", None)
    if not prefix or not isinstance(given, list) or len(given) < len(prefix):
        return []
    found = []
    for position, token in zip(given[-len(prefix) :], prefix, strict=True):
        entry = position.get(str(token)) if isinstance(position, Mapping) else None
        logprob = entry.get("logprob") if isinstance(entry, Mapping) else None
        if not isinstance(logprob, int | float):
            return []
        found.append(max(float(logprob), LEAST_LOGPROB))
    return found
