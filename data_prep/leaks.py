"""Questions of prepared files that also stand in benchmark files, word for word or nearly.

``personadual data leaks FILE... --against NAME=FILE...`` prints a table and ends with exit status 1 where there are
any, so that it can guard a pipeline. Files are verl parquet of either kind, or anything that ``readers`` reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personadual import schema
from personadual.data_prep import readers
from personadual.data_prep.chat import ANSWER_INSTRUCTION
from personadual.data_prep.hashing import key
from personadual.data_prep.neardup import NearDuplicates, Signatures, matches, signatures, words
from personadual.data_prep.options import parse_lettered

EXACT, NEAR = "exact", "near"
_SHOWN = 100
_AT_ONCE = 4096
_DEFAULTS = NearDuplicates()
_QUESTION_COLUMNS = ("question", "Question", "input", "inputs", "query", "problem", "text", "prompt")


@dataclass(frozen=True)
class Leak:
    """A question of ``file`` (row from 1) that is, or is nearly, one of ``benchmark``."""

    file: str
    row: int
    benchmark: str
    benchmark_row: int
    kind: str
    similarity: float
    question: str


@dataclass(frozen=True)
class Questions:
    """Distinct questions, each with the row in which it first stands, and their signatures."""

    texts: list[str]
    rows: list[int]
    signatures: Signatures


def find_leaks(
    files: Sequence[Path], against: Mapping[str, Path], settings: NearDuplicates = _DEFAULTS, column: str | None = None
) -> list[Leak]:
    """All leaks, by file and row. ``column`` names the benchmarks' question column where it is none of the usual.

    The benchmarks are held in memory, the files are read in chunks.

    Raises:
        ValueError: a file that is missing or unreadable, or has no question.
    """
    benchmarks = {}
    for name, path in against.items():
        parts = list(_chunks(path, column, settings))
        benchmarks[name] = Questions(
            [text for part in parts for text in part.texts],
            [row for part in parts for row in part.rows],
            np.concatenate([part.signatures for part in parts]),
        )
    plain = {name: _by_words(found) for name, found in benchmarks.items()}
    leaks: list[Leak] = []
    for path in files:
        for mine in _chunks(path, None, settings):
            for name, theirs in benchmarks.items():
                leaks += _leaks_of(mine, path.name, theirs, name, plain[name], settings)
    return leaks


def _leaks_of(
    mine: Questions, file: str, theirs: Questions, benchmark: str, plain: Mapping[str, int], settings: NearDuplicates
) -> Iterator[Leak]:
    near = {row: (other, similar) for row, other, similar in matches(mine.signatures, theirs.signatures, settings)}
    for place, (text, row) in enumerate(zip(mine.texts, mine.rows, strict=True)):
        exact = plain.get(" ".join(words(text)))
        if exact is not None:
            yield Leak(file, row, benchmark, exact, EXACT, 1.0, _short(text))
        elif place in near:
            other, similar = near[place]
            yield Leak(file, row, benchmark, theirs.rows[other], NEAR, round(similar, 3), _short(text))


def _by_words(found: Questions) -> dict[str, int]:
    """First row of each question, by its words."""
    rows: dict[str, int] = {}
    for text, row in zip(found.texts, found.rows, strict=True):
        rows.setdefault(" ".join(words(text)), row)
    return rows


def question_of(row: Mapping[str, Any], column: str | None = None) -> str:
    """The question of a row of any kind: verl's RL columns, SFT messages, UltraMedical's conversations, or a column.

    "" where there is none.
    """
    if column is not None:
        value = row.get(column)
        return value if isinstance(value, str) else ""
    extra = row.get(schema.EXTRA_INFO)
    if isinstance(extra, Mapping) and isinstance(extra.get(schema.QUESTION), str):
        return extra[schema.QUESTION]
    for name, role, text in (
        (schema.MESSAGES, "role", "content"),
        (schema.PROMPT, "role", "content"),
        ("conversations", "from", "value"),
    ):
        turns = row.get(name)
        if isinstance(turns, Sequence) and not isinstance(turns, str):
            asked = [turn[text] for turn in turns if isinstance(turn, Mapping) and turn.get(role) in ("user", "human")]
            if asked and isinstance(asked[0], str):
                return _without_instruction(asked[0])
    return next((row[name] for name in _QUESTION_COLUMNS if isinstance(row.get(name), str)), "")


def _without_instruction(text: str) -> str:
    text = text.removesuffix(ANSWER_INSTRUCTION).rstrip()
    found = parse_lettered(text)
    return found[0] if found and found[0] else text


def _chunks(path: Path, column: str | None, settings: NearDuplicates) -> Iterator[Questions]:
    """The distinct questions of a file, some at a time."""
    texts: list[str] = []
    rows: list[int] = []
    seen: set[int] = set()
    for row, text in _questions(path, column):
        digest = key(text)
        if text and digest not in seen:
            seen.add(digest)
            texts.append(text)
            rows.append(row)
            if len(texts) == _AT_ONCE:
                yield Questions(texts, rows, signatures(texts, settings))
                texts, rows = [], []
    if not seen:
        usual = ", ".join(_QUESTION_COLUMNS)
        raise ValueError(f"{path}: no question was found; name its column with --column (the usual are {usual})")
    if texts:
        yield Questions(texts, rows, signatures(texts, settings))


def _questions(path: Path, column: str | None) -> Iterator[tuple[int, str]]:
    for where, row in readers.rows(str(path)):
        if isinstance(row, Mapping):
            yield where.row, question_of(row, column).strip()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="prepared files (or any other)")
    parser.add_argument(
        "--against",
        action="append",
        required=True,
        metavar="NAME=FILE",
        help="benchmark file; may be given several times",
    )
    parser.add_argument("--column", help="question column of the benchmark files, where it is none of the usual")
    parser.add_argument("--threshold", type=float, default=0.8, help="similarity that counts as nearly (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the leaks as one JSON list")


def run(args: argparse.Namespace) -> int:
    """0: no leak; 1: leaks, printed; 2: refused, one line on stderr."""
    try:
        against = {}
        for setting in args.against:
            name, separator, path = setting.partition("=")
            if not separator or not name or not path:
                raise ValueError(f"--against {setting!r}: NAME=FILE is needed")
            against[name] = Path(path)
        leaks = find_leaks(args.files, against, NearDuplicates(threshold=args.threshold), args.column)
    except ValueError as error:
        print(f"personadual data leaks: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps([asdict(leak) for leak in leaks], indent=2, ensure_ascii=False))
    else:
        print(table(leaks))
    return 1 if leaks else 0


def table(leaks: Sequence[Leak], shown: int = 50) -> str:
    """The first ``shown`` leaks, and how many there are of each benchmark and kind."""
    if not leaks:
        return "no leak found"
    lines = [f"{'file':<22}{'row':>8}  {'benchmark':<16}{'row':>8}  {'kind':<6}{'alike':>6}  question"]
    for leak in leaks[:shown]:
        lines.append(
            f"{leak.file:<22}{leak.row:>8}  {leak.benchmark:<16}{leak.benchmark_row:>8}  {leak.kind:<6}"
            f"{leak.similarity:>6.2f}  {leak.question}"
        )
    if len(leaks) > shown:
        lines.append(f"... and {len(leaks) - shown} more (--json lists all)")
    counts = Counter((leak.benchmark, leak.kind) for leak in leaks)
    total = ", ".join(f"{name} {kind} {count}" for (name, kind), count in counts.items())
    return "\n".join([*lines, f"{len(leaks)} leak{'s' * (len(leaks) > 1)}: {total}"])
