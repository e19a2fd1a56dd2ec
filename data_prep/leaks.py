"""Questions of prepared files that also stand in benchmark files, word for word or nearly.

``personadual data leaks FILE... --against NAME=FILE...`` prints a table and ends with exit status 1 where there are
any, so that it can guard a pipeline. Files are verl parquet of either kind, or anything that ``readers`` reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from personadual import schema

LEAKS_HELP = "questions of prepared files that stand in benchmark files too; exit status 1 if there are any"

EXACT, NEAR = "exact", "near"
_SHOWN = 100
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
    """The distinct questions of a file, each with the row in which it first stands, and their signatures."""

    texts: list[str]
    rows: list[int]
    signatures: Any


def find_leaks(
    files: Sequence[Path], against: Mapping[str, Path], settings: Any = None, column: str | None = None
) -> list[Leak]:
    """All leaks, by file and row. ``column`` names the benchmarks' question column where it is none of the usual.

    Raises:
        ValueError: a file that is missing or unreadable, or has no question.
    """
    from personadual.data_prep.neardup import NearDuplicates, matches, words

    settings = settings or NearDuplicates()
    benchmarks = {name: _load(path, column, settings) for name, path in against.items()}
    plain = {
        name: {" ".join(words(text)): row for text, row in zip(reversed(found.texts), reversed(found.rows), strict=True)}
        for name, found in benchmarks.items()
    }
    leaks = []
    for path in files:
        mine = _load(path, None, settings)
        for name, theirs in benchmarks.items():
            near = {row: (other, similar) for row, other, similar in matches(mine.signatures, theirs.signatures, settings)}
            for place, text in enumerate(mine.texts):
                exact = plain[name].get(" ".join(words(text)))
                if exact is not None:
                    kind, other, similar = EXACT, exact, 1.0
                elif place in near:
                    kind, other, similar = NEAR, theirs.rows[near[place][0]], round(near[place][1], 3)
                else:
                    continue
                leaks.append(Leak(path.name, mine.rows[place], name, other, kind, similar, _short(text)))
    return leaks


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
    for key, role, text in (
        (schema.MESSAGES, "role", "content"),
        (schema.PROMPT, "role", "content"),
        ("conversations", "from", "value"),
    ):
        turns = row.get(key)
        if isinstance(turns, Sequence) and not isinstance(turns, str):
            asked = [turn[text] for turn in turns if isinstance(turn, Mapping) and turn.get(role) in ("user", "human")]
            if asked and isinstance(asked[0], str):
                return _without_instruction(asked[0])
    return next((row[name] for name in _QUESTION_COLUMNS if isinstance(row.get(name), str)), "")


def _without_instruction(text: str) -> str:
    from personadual.data_prep.chat import ANSWER_INSTRUCTION
    from personadual.data_prep.options import parse_lettered

    text = text.removesuffix(ANSWER_INSTRUCTION).rstrip()
    found = parse_lettered(text)
    return found[0] if found and found[0] else text


def _load(path: Path, column: str | None, settings: Any) -> Questions:
    import numpy as np

    from personadual.data_prep.neardup import signatures

    texts, rows = [], []
    seen: set[str] = set()
    for row, text in _questions(path, column):
        if text and text not in seen:
            seen.add(text)
            texts.append(text)
            rows.append(row)
    if not texts:
        raise ValueError(f"{path}: no question was found; name its column with --column (any of {_QUESTION_COLUMNS})")
    parts = [signatures(texts[start : start + 1024], settings) for start in range(0, len(texts), 1024)]
    return Questions(texts, rows, np.concatenate(parts))


def _questions(path: Path, column: str | None) -> Iterator[tuple[int, str]]:
    from personadual.data_prep import readers

    for where, row in readers.rows(str(path)):
        if isinstance(row, Mapping):
            yield where.row, question_of(row, column).strip()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="prepared files (or any other)")
    parser.add_argument(
        "--against", action="append", required=True, metavar="NAME=FILE", help="benchmark file; may be given several times"
    )
    parser.add_argument("--column", help="question column of the benchmark files, where it is none of the usual")
    parser.add_argument("--threshold", type=float, default=0.8, help="similarity that counts as nearly (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the leaks as one JSON list")


def run(args: argparse.Namespace) -> int:
    """0: no leak; 1: leaks, printed; 2: refused, one line on stderr."""
    from personadual.data_prep.neardup import NearDuplicates

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


def table(leaks: Sequence[Leak]) -> str:
    if not leaks:
        return "no leak found"
    lines = [f"{'file':<22}{'row':>8}  {'benchmark':<16}{'row':>8}  {'kind':<6}{'alike':>6}  question"]
    for leak in leaks:
        lines.append(
            f"{leak.file:<22}{leak.row:>8}  {leak.benchmark:<16}{leak.benchmark_row:>8}  {leak.kind:<6}"
            f"{leak.similarity:>6.2f}  {leak.question}"
        )
    return "\n".join([*lines, f"{len(leaks)} leaks"])
