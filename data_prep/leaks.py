"""Questions of prepared files that also stand in benchmark files, word for word or nearly.

``personadual data leaks FILE... --against NAME=FILE...`` prints a table and ends with exit status 1 where there are
any, so that it can guard a pipeline. Files are verl parquet of either kind, or anything that ``readers`` reads. Rows
that were not compared are counted on stderr; with a broken one among them no leak is no pass (exit status 2).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from personadual.data_prep.leak_questions import Asked, Places, Questions, Reading
from personadual.data_prep.neardup import NearDuplicates, Signatures, matches, words

EXACT, NEAR = "exact", "near"
_SHOWN = 100
_DEFAULTS = NearDuplicates()


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


class Comparison(NamedTuple):
    """``leaks`` by file and row; ``unread``: the files of which not every row was compared."""

    leaks: list[Leak]
    unread: list[Reading]


@dataclass(frozen=True)
class Benchmark:
    """Questions, and the first row of each by the words that are compared, and of those with options by their text."""

    name: str
    questions: Questions
    by_words: Mapping[str, int]
    by_stem: Mapping[str, int]

    @classmethod
    def of(cls, name: str, questions: Questions) -> Benchmark:
        by_words: dict[str, int] = {}
        by_stem: dict[str, int] = {}
        for asked in questions.asked:
            by_words.setdefault(_words(asked.compared), asked.row)
            if not asked.bare:
                by_stem.setdefault(_words(asked.text), asked.row)
        return cls(name, questions, by_words, by_stem)

    def exact(self, asked: Asked) -> int | None:
        """The row of the same question. Where only one of the two has options, the text alone decides."""
        found = self.by_words.get(_words(asked.compared))
        if found is None:
            stem = _words(asked.text)
            found = self.by_stem.get(stem) if asked.bare else self.by_words.get(stem)
        return found

    def near(self, mine: Questions, settings: NearDuplicates) -> dict[int, tuple[int, float]]:
        """Place in ``mine`` -> row of the most similar question, and the similarity. Options count as in ``exact``."""
        theirs, best = self.questions, dict[int, tuple[int, float]]()
        bare, optioned = mine.places(bare=True), mine.places(bare=False)
        their_bare, their_optioned = theirs.places(bare=True), theirs.places(bare=False)
        pairs: list[tuple[Signatures, Places, Signatures, Places]] = [
            (mine.signatures, _all(mine), theirs.signatures, _all(theirs))
        ]
        if len(optioned) and len(their_bare):
            pairs.append((mine.stems, optioned, theirs.signatures[their_bare], their_bare))
        if len(bare) and len(their_optioned):
            pairs.append((mine.signatures[bare], bare, theirs.stems, their_optioned))
        for ours, places, others, their_places in pairs:
            for one, other, similar in matches(ours, others, settings):
                place, row = int(places[one]), theirs.asked[their_places[other]].row
                if place not in best or similar > best[place][1]:
                    best[place] = row, similar
        return best


def _all(questions: Questions) -> Places:
    return np.arange(len(questions.asked), dtype=np.intp)


def find_leaks(
    files: Sequence[Path], against: Mapping[str, Path], settings: NearDuplicates = _DEFAULTS, column: str | None = None
) -> Comparison:
    """All leaks, and what was not compared. The benchmarks are held in memory, the files are read in chunks.

    ``column`` names the benchmarks' question column where it is none of the usual.

    Raises:
        ValueError: a file that is missing or unreadable, or has no question.
    """
    readings = [Reading(path, column) for path in against.values()]
    benchmarks = [
        Benchmark.of(name, Questions.joined(list(reading.parts(settings))))
        for name, reading in zip(against, readings, strict=True)
    ]
    leaks: list[Leak] = []
    for path in files:
        readings.append(Reading(path))
        for mine in readings[-1].parts(settings):
            for benchmark in benchmarks:
                leaks += _leaks_of(mine, path.name, benchmark, settings)
    return Comparison(leaks, [reading for reading in readings if reading.broken or reading.empty])


def _leaks_of(mine: Questions, file: str, benchmark: Benchmark, settings: NearDuplicates) -> Iterator[Leak]:
    near = benchmark.near(mine, settings)
    for place, asked in enumerate(mine.asked):
        exact = benchmark.exact(asked)
        if exact is not None:
            yield Leak(file, asked.row, benchmark.name, exact, EXACT, 1.0, _short(asked.text))
        elif place in near:
            row, similar = near[place]
            yield Leak(file, asked.row, benchmark.name, row, NEAR, round(similar, 3), _short(asked.text))


def _words(text: str) -> str:
    return " ".join(words(text))


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
        help="benchmark file or folder; may be given several times, each under its own name",
    )
    parser.add_argument("--column", help="question column of the benchmark files, where it is none of the usual")
    parser.add_argument("--threshold", type=float, default=0.8, help="similarity that counts as nearly (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the leaks as one JSON list")


def run(args: argparse.Namespace) -> int:
    """0: no leak; 1: leaks, printed; 2: refused, or no leak found but not every row could be read; said on stderr."""
    try:
        against = {}
        for setting in args.against:
            name, separator, path = setting.partition("=")
            if not separator or not name or not path:
                raise ValueError(f"--against {setting!r}: NAME=FILE is needed")
            if name in against:
                raise ValueError(f"--against: {name!r} is given twice; give each file a name of its own")
            against[name] = Path(path)
        leaks, unread = find_leaks(args.files, against, NearDuplicates(threshold=args.threshold), args.column)
    except ValueError as error:
        print(f"personadual data leaks: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps([asdict(leak) for leak in leaks], indent=2, ensure_ascii=False))
    else:
        print(table(leaks))
    for file in unread:
        print(f"personadual data leaks: {file}", file=sys.stderr)
    if leaks:
        return 1
    return 2 if any(file.broken for file in unread) else 0


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
