"""All checks over files: each file's schema, every row, then what takes several rows or files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from personadual import schema
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.template_checks import template_problems
from personadual.data_prep.validation.balance import Balance
from personadual.data_prep.validation.columns import RL, kind_of, schema_differences, usable_columns
from personadual.data_prep.validation.findings import Findings, Problem
from personadual.data_prep.validation.ledger import Ledger, leaks, no_baseline
from personadual.data_prep.validation.lengths import Lengths
from personadual.data_prep.validation.markers import Markers
from personadual.data_prep.validation.reading import Row, UnreadableError, batches, open_parquet
from personadual.data_prep.validation.rl import RLRows
from personadual.data_prep.validation.sft import SFTRows
from personadual.modes import Modes
from personadual.reward_fns.graders import KNOWN_SOURCES
from personadual.reward_fns.settings import Settings

TOKENIZER = "tokenizer"
"""Stands for the file in findings about the tokenizer."""


@dataclass(frozen=True)
class Options:
    """What the files are checked against. Without a tokenizer nothing is said of lengths and templates."""

    modes: Modes
    graders: Mapping[str, str] = field(default_factory=dict)
    tokenizer: Any = None
    max_prompt_length: int | None = None
    max_response_length: int | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class FileReport:
    """What one file holds: ``kind`` "rl", "sft" or None where it is neither."""

    file: str
    kind: str | None = None
    rows: int = 0
    balance: Balance = field(default_factory=Balance)


@dataclass
class Report:
    files: list[FileReport]
    findings: Findings


class Validator:
    """Checks files one after the other; ``report`` after the last also has what lies between them."""

    def __init__(self, options: Options):
        self._options = options
        modes = options.modes
        self.findings = Findings(
            {
                "modes": ", ".join(modes.names),
                "tags": ", ".join(mode.tag for mode in modes),
                "conditions": ", ".join(schema.CONDITIONS),
                "splits": ", ".join(SPLITS),
                "sources": ", ".join([*KNOWN_SOURCES, f"{schema.QUICKSTART_SOURCE_PREFIX}*", *options.graders]),
                "max_prompt_length": options.max_prompt_length,
                "max_response_length": options.max_response_length,
            }
        )
        markers = Markers(modes, options.tokenizer)
        self._rl = RLRows(Settings(modes=modes, graders=options.graders), markers)
        self._sft = SFTRows(markers)
        self._lengths = self._measure() if options.tokenizer is not None else None
        self._ledgers: list[Ledger] = []
        self._schemas: dict[str, tuple[str, pa.Schema]] = {}
        self._split_names: list[str] = []
        self._files: list[FileReport] = []

    def check(self, path: Path) -> FileReport:
        """Check the file. What is wrong with it is a finding, never an exception."""
        report = FileReport(str(path))
        self._files.append(report)
        try:
            self._check(path, report)
        except UnreadableError as error:
            self.findings.add(report.file, Problem("unreadable", str(error)))
        return report

    def report(self) -> Report:
        for file, row, problem in leaks(self._ledgers):
            self.findings.add(file, problem, row)
        for file, problem in no_baseline(self._ledgers):
            self.findings.add(file, problem)
        return Report(self._files, self.findings)

    def _measure(self) -> Lengths | None:
        options = self._options
        sound = True
        for problem in template_problems(options.tokenizer, options.modes, **options.template_kwargs):
            self.findings.add(TOKENIZER, problem)
            sound &= problem.check not in ("no-chat-template", "tag-not-kept", "template-fails")
        if not sound:
            return None
        return Lengths(
            options.tokenizer,
            options.modes,
            options.max_prompt_length,
            options.max_response_length,
            options.template_kwargs,
        )

    def _check(self, path: Path, report: FileReport) -> None:
        file = open_parquet(path)
        report.kind, report.rows = kind_of(file.schema_arrow), file.metadata.num_rows
        if report.kind is None:
            self.findings.add(report.file, Problem("unknown-kind", ", ".join(file.schema_arrow.names)))
            return
        usable = usable_columns(file.schema_arrow, report.kind)
        for problem in usable.problems:
            self.findings.add(report.file, problem)
        self._compare_schema(report, file.schema_arrow)
        if not report.rows:
            self.findings.add(report.file, Problem("no-rows", "0 rows"))
            return
        ledger = Ledger(report.file, report.kind, self._split_names)
        self._ledgers.append(ledger)
        done = 0
        for batch in batches(file, usable.columns):
            self._check_batch(report, ledger, batch, done)
            done += len(batch)
        for number, problem in ledger.problems():
            self.findings.add(report.file, problem, number)
        balanced = report.balance.rl_problems if report.kind == RL else report.balance.sft_problems
        for problem in balanced(self._options.modes) if usable.columns else ():
            self.findings.add(report.file, problem)

    def _check_batch(self, report: FileReport, ledger: Ledger, batch: Sequence[Row | None], done: int) -> None:
        for number, row in enumerate(batch, start=done + 1):
            if row is None:
                self.findings.add(report.file, Problem("not-utf8", "bytes that are not UTF-8"), number)
                ledger.add(None, None)
                continue
            for problem in self._row_problems(report, row):
                self.findings.add(report.file, problem, number)
            ledger.add(row, _count(report, row, self._sft))
        if self._lengths is not None:
            for place, problem in self._lengths.problems([row or {} for row in batch]):
                self.findings.add(report.file, problem, done + place + 1)

    def _row_problems(self, report: FileReport, row: Row) -> Iterator[Problem]:
        return self._rl.problems(row) if report.kind == RL else self._sft.problems(row)

    def _compare_schema(self, report: FileReport, found: pa.Schema) -> None:
        assert report.kind is not None
        first, wanted = self._schemas.setdefault(report.kind, (report.file, found))
        for name in schema_differences(wanted, found):
            self.findings.add(report.file, Problem("schemas-differ", f"not as in {first}", name))


def _count(report: FileReport, row: Row, sft: SFTRows) -> str | None:
    """Count the row's mode and condition; the mode asked for or shown."""
    info = (row.get(schema.EXTRA_INFO) or {}) if report.kind == RL else row
    counts: tuple[tuple[Counter[str], Any], ...]
    if report.kind == RL:
        variant = info.get(schema.ASKED_MODE) or schema.FREE
        counts = ((report.balance.right_modes, info.get(schema.RIGHT_MODE)),)
    else:
        variant = sft.mode_of(row)
        counts = ((report.balance.modes, variant),)
    for counter, value in (*counts, (report.balance.conditions, info.get(schema.CONDITION))):
        # A column of other texts than the known ones must not fill the memory.
        if value is not None and (value in counter or len(counter) < 100):
            counter[value] += 1
    return variant
