"""Tokens of the data under the model's tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from personadual import schema
from personadual.data_prep.chat_tokens import encode, render, split_response, turn_end
from personadual.data_prep.validation.chats import plain
from personadual.data_prep.validation.lengths import Lengths
from personadual.modes import encode_prefixes
from personadual.preflight.data_files import each_row, rows_of, sampled
from personadual.preflight.findings import ERROR, WARNING, Finding, judged, ok, refused
from personadual.preflight.setup import RL, Setup


def measured_rows(setup: Setup, key: str, path: str, name: str, column: str) -> Iterator[dict[str, Any]]:
    """The rows of a file whose tokens are counted, with ``column`` under ``name``.

    A sample; but of SFT's rows all that training will read, where one that is too long would end it (truncation
    "error"), which it does only when that row's turn comes.
    """
    if setup.kind == RL or setup.get("data.truncation", "error") != "error":
        rows: Iterable[dict[str, Any]] = sampled(path, [column])
    else:
        rows = each_row(path, [column])
        most = setup.number(key.replace("_files", "_max_samples"), -1)
        if most > 0 and not setup.get("data.shuffle", False):
            paths = setup.paths(key)
            before = sum(rows_of(other) or 0 for other in paths[: paths.index(path)])
            rows = islice(rows, max(most - before, 0))
    return ({name: row[column]} for row in rows)


def row_length_findings(setup: Setup, key: str, path: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """``rows`` as ``measured_rows`` gives them."""
    if setup.kind == RL:
        yield prompt_length_finding(setup, key, path, list(rows))
        return
    limit = setup.number("data.max_length", 1024)
    cuts = setup.get("data.truncation", "error") != "error"
    counted = longest = too_long = first = 0
    for number, length in enumerate(sequence_lengths(setup, rows), start=1):
        if length is None:
            continue
        counted, longest = counted + 1, max(longest, length)
        if length > limit:
            too_long += 1
            first = first or number
    if not counted:
        return
    found = f"up to {longest} in {counted} rows of {path}"
    if too_long:
        # Numbers within a sample are not those of the file.
        found += f"; {too_long} longer" + ("" if cuts else f", the first is row {first}")
    yield judged(
        f"{key} tokens",
        not too_long,
        f"at most data.max_length={limit} tokens of prompt and response",
        found,
        f"data.max_length={longest} or more, or leave long rows out",
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


def sequence_lengths(setup: Setup, rows: Iterable[Mapping[str, Any]], batch: int = 1024) -> Iterator[int | None]:
    """Tokens of each whole SFT row as our data set builds it; None where it refuses the row, as the validator says.

    ``batch`` rows are tokenised at once, which is what makes a tokenizer fast.
    """
    tokenizer, modes = setup.model.tokenizer, setup.settings.modes
    try:
        prefixes = encode_prefixes(tokenizer, modes)
        end = len(encode(tokenizer, turn_end(tokenizer, **setup.template_kwargs)))
    except Exception:  # a template may raise anything; its own checks say so
        return
    rows = iter(rows)
    while part := list(islice(rows, batch)):
        lengths: list[int | None] = [None] * len(part)
        texts: list[str] = []
        for place, row in enumerate(part):
            try:
                messages = plain(row[schema.MESSAGES])
                index, body = split_response(messages[-1]["content"], modes)
                texts += [render(tokenizer, messages[:-1], generate=True, **setup.template_kwargs), body]
            except Exception:  # a template may raise anything
                continue
            lengths[place] = len(prefixes[index]) + end
        encoded = iter(tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else ())
        for length in lengths:
            yield None if length is None else length + len(next(encoded)) + len(next(encoded))
