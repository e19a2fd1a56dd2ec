"""Tokens of the data under the model's tokenizer, over a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from personadual import schema
from personadual.data_prep.chat_tokens import training_ids
from personadual.data_prep.validation.chats import plain
from personadual.data_prep.validation.lengths import Lengths
from personadual.preflight.findings import ERROR, WARNING, Finding, judged, ok, refused
from personadual.preflight.setup import RL, Setup


def row_length_findings(setup: Setup, key: str, path: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if setup.kind == RL:
        yield prompt_length_finding(setup, key, path, rows)
        return
    limit = setup.number("data.max_length", 1024)
    lengths = list(_sequence_lengths(setup, rows))
    if lengths:
        cuts = setup.get("data.truncation", "error") != "error"
        yield judged(
            f"{key} tokens",
            max(lengths) <= limit,
            f"at most data.max_length={limit} tokens of prompt and response",
            f"up to {max(lengths)} in {len(lengths)} rows of {path}",
            f"data.max_length={max(lengths)} or more, or leave long rows out",
            WARNING if cuts else ERROR,
        )


def prompt_length_finding(setup: Setup, key: str, path: str, rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Prompts under the tokenizer, by the validator's own measure."""
    limit = setup.number("data.max_prompt_length", 512)
    filtered = bool(setup.get("data.filter_overlong_prompts", False))
    try:
        lengths = Lengths(setup.model.tokenizer, setup.settings.modes, limit, None, setup.template_kwargs)
    except ValueError as error:  # a template that does not keep what it is given
        return refused(f"{key} prompts", error)
    problems = [problem for _, problem in lengths.problems(rows)]
    failing = [problem for problem in problems if problem.check == "template-fails"]
    if failing:
        text = f"the chat template refuses {len(failing)} of {len(rows)}: {failing[0].found}"
        return refused(f"{key} prompts", ValueError(text))
    if not problems:
        return ok(f"{key} prompts", f"none of {len(rows)} sampled prompts is longer than {limit} tokens")
    left_out = "verl leaves them out" if filtered else "nothing leaves them out"
    switch = "" if filtered else ", or data.filter_overlong_prompts=True"
    return judged(
        f"{key} prompts",
        False,
        f"at most data.max_prompt_length={limit} tokens after the chat template",
        f"{len(problems)} of {len(rows)} sampled prompts are longer; {left_out} ({path})",
        f"a larger data.max_prompt_length (the first has {problems[0].found}){switch}",
        WARNING if filtered and len(problems) < len(rows) else ERROR,
    )


def _sequence_lengths(setup: Setup, rows: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """Tokens of whole SFT rows as our data set builds them; rows that it refuses are the validator's findings."""
    for row in rows:
        try:
            ids = training_ids(
                setup.model.tokenizer, plain(row[schema.MESSAGES]), setup.settings.modes, **setup.template_kwargs
            )
        except Exception:  # a template may raise anything
            continue
        yield len(ids.prompt) + len(ids.response)
