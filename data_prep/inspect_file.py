"""``personadual data inspect FILE...``: what is in verl parquet, and rows of it as the model will see them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from personadual import schema
from personadual.data_prep.chat_tokens import stop_length
from personadual.data_prep.inspection.counts import Counts, histogram
from personadual.data_prep.inspection.samples import Samples, View
from personadual.data_prep.validate import add_model_arguments, load_tokenizer
from personadual.data_prep.validation.columns import RL, kind_of, usable_columns
from personadual.data_prep.validation.markers import Markers
from personadual.data_prep.validation.reading import batches, open_parquet
from personadual.data_prep.validation.sft import SFTRows, response_of
from personadual.evaluation.text import visible
from personadual.modes import Modes

HELP = "counts, length histograms and sample rows of verl parquet, as the model will see them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="RL or SFT parquet, told by its columns")
    add_model_arguments(parser)
    parser.add_argument("--rows", type=_count, default=3, metavar="N", help="sample rows of each file (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed shows other rows (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Print each file. A refusal is one line on stderr and exit status 2."""
    try:
        tokenizer = None if args.tokenizer is None else load_tokenizer(args.tokenizer)
        view = View(Modes.from_config(args.modes), tokenizer, args.chat_template_kwargs)
        if tokenizer is not None and not tokenizer.chat_template:
            raise ValueError(f"--tokenizer {args.tokenizer}: it has no chat template; take the instruct model's folder")
        for path in args.files:
            print(describe(path, view, args.rows, args.seed))
    except ValueError as error:
        print(f"personadual data inspect: {visible(str(error))}", file=sys.stderr)
        return 2
    return 0


def describe(path: Path, view: View, rows: int, seed: int) -> str:
    """The file as text.

    Raises:
        ValueError: it can't be read, or is neither an RL nor an SFT file.
    """
    try:
        file = open_parquet(path)
        kind = kind_of(file.schema_arrow)
        if kind is None:
            raise ValueError(f"neither RL (prompt) nor SFT (messages); found {', '.join(file.schema_arrow.names)}")
        usable = usable_columns(file.schema_arrow, kind)
        counts, samples = Counts(kind), Samples(rows, seed, path.name)
        tags = SFTRows(Markers(view.modes))
        total, unread = 0, 0
        for batch in batches(file, usable.columns):
            for number, row in enumerate(batch, start=total + 1):
                if row is None:
                    unread += 1
                    continue
                asked = (row.get(schema.EXTRA_INFO) or {}).get(schema.ASKED_MODE) or schema.FREE
                counts.add(row, asked if kind == RL else tags.mode_of(row))
                samples.add(number, row)
            total += len(batch)
            _measure([row for row in batch if row is not None], counts, view)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    unit = "characters" if view.tokenizer is None else "tokens"
    parts = [f"{visible(str(path))}: {kind}, {total} rows", counts.table(), counts.mode_table()]
    if unread:
        parts.append(f"{unread} rows are not UTF-8 and left out")
    parts.append(histogram(counts.lengths, f"{unit} of the prompt"))
    if kind != RL:
        parts.append(histogram(counts.responses, f"{unit} of the response"))
    parts += [view.sample(place, row, kind) for place, row in samples.rows()]
    return "\n\n".join(parts) + "\n"


def _measure(rows: list[dict[str, Any]], counts: Counts, view: View) -> None:
    """Lengths of the rows that are chats."""
    prompts = []
    for row in rows:
        try:
            prompts.append(view.prompt(row))
        except ValueError:
            continue
    counts.lengths.extend(_lengths(prompts, view))
    responses = [text for row in rows if (text := response_of(row)) is not None]
    end = 0 if view.tokenizer is None else stop_length(view.tokenizer, **view.template_kwargs)
    counts.responses.extend(length + end for length in _lengths(responses, view))


def _lengths(texts: list[str], view: View) -> list[int]:
    if view.tokenizer is None or not texts:
        return [len(text) for text in texts]
    return [len(ids) for ids in view.tokenizer(texts, add_special_tokens=False)["input_ids"]]


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number is needed, found {text!r}")
    return int(text)
