"""What a tokenizer's chat template does to the modes' tags, and whether SFT can train on what rollouts see.

Pure functions on a tokenizer and the modes, for ``personadual data validate`` and for checks before a training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from personadual.data_prep import chat
from personadual.data_prep.chat_tokens import Messages, encode, render, render_ids, response_ids, turn_end
from personadual.data_prep.validation.findings import Problem
from personadual.modes import Modes, encode_prefixes
from personadual.reward_fns.answer_block import THOUGHTS

PROBE_PERSONA, PROBE_QUESTION, PROBE_ANSWER = "I am a nurse from Lyon.", "Which city is it?", "Paris"


def probe_messages(modes: Modes, mode_index: int = 0) -> list[dict[str, str]]:
    """A whole conversation in the project's own format."""
    response = chat.response(modes[mode_index], PROBE_ANSWER)
    prompt = chat.prompt_messages(PROBE_PERSONA, PROBE_QUESTION)
    return [*prompt, {"role": "assistant", "content": response}]


def template_problems(tokenizer: Any, modes: Modes, **template_kwargs: Any) -> Iterator[Problem]:
    """All checks of a tokenizer: those that concern rollouts, then those that concern SFT."""
    if not getattr(tokenizer, "chat_template", None):
        yield Problem("no-chat-template", "none")
        return
    try:
        encode_prefixes(tokenizer, modes)
    except ValueError as error:
        yield Problem("tag-not-kept", str(error))
        return
    messages = probe_messages(modes)
    try:
        render(tokenizer, messages, generate=False, **template_kwargs)
        render(tokenizer, messages[:-1], generate=True, **template_kwargs)
    except Exception as error:  # a template may raise anything
        yield Problem("template-fails", f"{type(error).__name__}: {error}", "chat template")
        return
    yield from generation_prompt_problems(tokenizer, modes, messages[:-1], **template_kwargs)
    yield from sft_problems(tokenizer, modes, **template_kwargs)


def generation_prompt(tokenizer: Any, prompt: Messages, **template_kwargs: Any) -> str:
    """What the template adds for the model to go on from."""
    without = render(tokenizer, prompt, generate=False, **template_kwargs)
    whole = render(tokenizer, prompt, generate=True, **template_kwargs)
    return whole[len(without) :] if whole.startswith(without) else whole


def generation_prompt_problems(
    tokenizer: Any, modes: Modes, prompt: Messages, **template_kwargs: Any
) -> Iterator[Problem]:
    """A think block that is left open, a tag that is there already, a tag that tokenises differently behind it."""
    added = generation_prompt(tokenizer, prompt, **template_kwargs)
    for opening, closing in THOUGHTS:
        if added.rfind(opening) > added.rfind(closing):
            yield Problem("opens-thinking", f"it ends with {added[-40:]!r}")
    for mode in modes:
        if mode.tag in added:
            yield Problem("tag-in-generation-prompt", f"{mode.tag!r} in {added[-80:]!r}")
    text = render(tokenizer, prompt, generate=True, **template_kwargs)
    ids = encode(tokenizer, text)
    for mode, prefix in zip(modes, encode_prefixes(tokenizer, modes), strict=True):
        joined = encode(tokenizer, text + mode.prefix)
        if joined != ids + prefix:
            start = next((at for at, (a, b) in enumerate(zip(joined, ids, strict=False)) if a != b), len(ids))
            tail = [tokenizer.decode([token]) for token in joined[start:]]
            yield Problem("prefix-boundary", f"mode {mode.name}: {tail} behind the prompt")


def sft_problems(tokenizer: Any, modes: Modes, **template_kwargs: Any) -> Iterator[Problem]:
    """Whether the template of the whole conversation is the RL prompt and the response, and turns can stand alone."""
    try:
        end = turn_end(tokenizer, **template_kwargs)
    except ValueError as error:
        yield Problem("template-changes-turn", str(error))
        return
    end_ids = encode(tokenizer, end)
    if tokenizer.eos_token_id not in end_ids:
        yield Problem("turn-end", f"{end!r}, without {tokenizer.eos_token!r}")
    for index, mode in enumerate(modes):
        messages = probe_messages(modes, index)
        whole = render_ids(tokenizer, messages, generate=False, **template_kwargs)
        prompt = render_ids(tokenizer, messages[:-1], generate=True, **template_kwargs)
        wanted = prompt + response_ids(tokenizer, messages[-1]["content"], modes, end)
        if whole != wanted:
            at = next((at for at, (a, b) in enumerate(zip(whole, wanted, strict=False)) if a != b), len(wanted))
            found = f"mode {mode.name}: {tokenizer.decode(whole[at : at + 8])!r} for "
            yield Problem("template-changes-turn", found + repr(tokenizer.decode(wanted[at : at + 8])))
            return
    apart = turns_apart(tokenizer, messages, **template_kwargs)
    if apart is None or apart != whole:
        found = "the template refuses some of them" if apart is None else f"{len(apart)} tokens, not {len(whole)}"
        yield Problem("turns-apart", found)


def turns_apart(tokenizer: Any, messages: Messages, **template_kwargs: Any) -> list[int] | None:
    """Ids of the messages templated one by one, a default system message counted once; None where that fails.

    Which is how verl's MultiTurnSFTDataset builds a sequence (verl/utils/dataset/multiturn_sft_dataset.py).
    """
    empty = {"role": "user", "content": ""}
    try:
        one = render_ids(tokenizer, [empty], generate=False, **template_kwargs)
        two = render_ids(tokenizer, [empty, empty], generate=False, **template_kwargs)
        default_system = 2 * len(one) - len(two)
        ids: list[int] = []
        for place, message in enumerate(messages):
            turn = render_ids(tokenizer, [message], generate=False, **template_kwargs)
            ids += turn[default_system if place and message["role"] != "system" else 0 :]
    except Exception:  # a template may raise anything
        return None
    return ids


def training_row_problems(
    tokenizer: Any,
    modes: Modes,
    messages: Messages,
    row: Mapping[str, Sequence[int]],
    **template_kwargs: Any,
) -> Iterator[str]:
    """What keeps an SFT data set's row from being the RL prompt without loss and the whole response with loss.

    Args:
        messages: the conversation that the row was made of.
        row: ``input_ids`` and ``loss_mask`` as lists, without padding.
    """
    ids, mask = list(row["input_ids"]), list(row["loss_mask"])
    prompt = render_ids(tokenizer, messages[:-1], generate=True, **template_kwargs)
    response = response_ids(tokenizer, messages[-1]["content"], modes, turn_end(tokenizer, **template_kwargs))
    if ids[: len(prompt)] != prompt:
        yield f"the sequence does not begin with the RL prompt: {tokenizer.decode(ids[: len(prompt)])!r}"
    elif ids[len(prompt) :] != response:
        yield f"the response is {tokenizer.decode(ids[len(prompt) :])!r}, not {tokenizer.decode(response)!r}"
    start = mask.index(1) if 1 in mask else len(mask)
    if start != len(prompt) or not all(mask[start:]):
        shown = tokenizer.decode([token for token, counts in zip(ids, mask, strict=True) if counts])
        yield f"the loss is on {shown!r}, not on {tokenizer.decode(response)!r}"
