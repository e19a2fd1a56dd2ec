"""Builds verl's files from question sources: read, clean, group, split, attach, write.

First pass: every chunk of raw rows becomes records, with a few numbers each (``pipeline.reading``). Between the passes
the plan is made for all records at once (``pipeline.plan``), and a served model is asked if one is configured. Second
pass: every chunk of records becomes rows (``pipeline.finishing``). Both passes stream; what stays in memory is about
250 bytes per record (320 where most share a template), most of it while near-duplicates are searched.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from personadual import files, schema
from personadual.data_prep import readers, sources
from personadual.data_prep.attach import PersonaPool, check_pool
from personadual.data_prep.build_config import RIGHT, BuildConfig, Input, Personas
from personadual.data_prep.chunks import Chunk
from personadual.data_prep.columns import SPLITS, TEST
from personadual.data_prep.engine import LOCAL, map_chunks, started
from personadual.data_prep.hygiene import Hygiene
from personadual.data_prep.manifest import MANIFEST
from personadual.data_prep.pipeline.finishing import (
    RL_FILES,
    SFT_FILES,
    CountKey,
    FinishChunk,
    ServedTexts,
    Work,
)
from personadual.data_prep.pipeline.parquet import ParquetFile, ParquetFiles
from personadual.data_prep.pipeline.plan import Plan, make_plan
from personadual.data_prep.pipeline.pool import EMPTY, REPEATED, PersonaReader
from personadual.data_prep.pipeline.reading import ReadChunk
from personadual.data_prep.pipeline.rejects import REJECTS, RejectLog
from personadual.data_prep.pipeline.spool import Spool
from personadual.data_prep.pipeline.staging import check_replaceable, publish, staging
from personadual.data_prep.pipeline.summary import manifest_of
from personadual.data_prep.record import Rejected
from personadual.data_prep.sources.base import (
    About,
    ChecksColumns,
    OwnRows,
    PersonaSource,
    QuestionSource,
    ReadsBeside,
)
from personadual.modes import Modes

CHUNK_ROWS = 1024


def build(
    config: BuildConfig,
    out: Path,
    *,
    engine: str = LOCAL,
    workers: int = 1,
    strict: bool = False,
    answers: Path | None = None,
    progress: bool = False,
) -> Mapping[str, Any]:
    """Build what ``config`` says into ``out`` and return the manifest.

    The same configuration, inputs and package versions give the same bytes, whatever the engine and the workers.
    ``answers`` is the cache of the served model's answers, by default beside ``out``: it outlives a build that is cut
    off. Everything else is made in a temporary folder and moved to ``out`` once it is whole.

    Raises:
        ValueError: an input that is missing or unreadable, an impossible configuration, an ``out`` that can't be
            written to, or with ``strict`` the first malformed row. Nothing is written then.
    """
    out = Path(os.path.abspath(out))  # "." and ".." have no name to put anything beside
    answers = answers or out.with_name(f"{out.name}-answers.jsonl")
    out = out.resolve()  # of a link, the folder that the files go to
    own = [*file_names(config), REJECTS]
    check_replaceable(out, own, [*SFT_FILES.values(), *RL_FILES.values(), REJECTS])
    with staging(out) as folder, started(engine, workers):
        run = _Build(config, folder, engine, workers, strict)
        run.read()
        run.finish(run.ask(answers, progress))
        manifest = run.manifest()
        files.write_json(folder / MANIFEST, manifest)
        publish(folder, out, list(manifest["files"]), own)
    return manifest


def file_names(config: BuildConfig) -> list[str]:
    """The parquet files that the build can write; one without any row is left out."""
    sft = SFT_FILES if config.sft else {}
    rl = RL_FILES if config.rl else {TEST: RL_FILES[TEST]}
    filled = [split for split, share in zip(SPLITS, config.splits.shares, strict=True) if share > 0]
    return [name for names in (sft, rl) for split, name in names.items() if split in filled]


@dataclass
class _Build:
    """The state of a build, from pass to pass."""

    config: BuildConfig
    folder: Path
    engine: str
    workers: int
    strict: bool
    pool: PersonaPool = EMPTY
    rows_read: Counter[str] = field(default_factory=Counter)
    escaped: dict[str, Counter[str]] = field(default_factory=dict)
    repeated_personas: Counter[tuple[str, str]] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    prompts: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.modes = Modes.from_config(self.config.modes)
        self.hygiene = Hygiene(self.modes, self.config.hygiene)
        self.sources: list[QuestionSource] = [
            sources.question_source(entry.name, entry.mapping, self.modes, entry.settings)
            for entry in self.config.sources
        ]
        self.persona_source = self._persona_source()
        self.log = RejectLog(self.folder / REJECTS, self.strict)
        self.spool = Spool(self.folder, self.config.near_duplicates.num_perm)
        self.map = partial(map_chunks, engine=self.engine, workers=self.workers)

    def read(self) -> None:
        """First pass, and the plan."""
        config = self.config
        for number, (entry, source) in enumerate(zip(config.sources, self.sources, strict=True)):
            name = source.about.name
            function = ReadChunk(source, config.seed, self.hygiene, config.near_duplicates)
            for result in self.map(function, raw_chunks(entry, source)):
                self.rows_read[name] += result.rows
                self.escaped.setdefault(name, Counter()).update(result.escaped)
                self.log.add(result.rejects)
                self.spool.add(number, result.records, result.keys, result.signatures)
        self.spool.finish()
        self._read_personas()
        self.plan: Plan = make_plan(config, self.spool, [source.about.name for source in self.sources])
        self.plan.dropped.update(self.repeated_personas)

    def ask(self, answers: Path, progress: bool) -> ServedTexts:
        """What a served model writes, if one is configured."""
        if self.config.served is None:
            return ServedTexts()
        from personadual.data_prep.pipeline.asking import Asking

        asking = Asking(self.config, self.modes, self.spool, self.plan, self.pool)
        served = asking.run(answers, progress)
        self.asked, self.prompts = asking.counts, asking.prompts
        return served

    def finish(self, served: ServedTexts) -> None:
        """Second pass."""
        config = self.config
        sft_modes = config.sft.modes if config.sft else RIGHT
        function = FinishChunk(self.modes, config.seed, self.pool, served, sft_modes)
        outputs = ParquetFiles(self.folder)
        self.counts: Counter[CountKey] = Counter()
        for result in self.map(function, self._work()):
            self.counts.update(result.counts)
            self.log.add(result.rejects)
            for name, (packed, items) in result.tables.items():
                outputs.add(name, packed, items)
        outputs.close()
        self.log.close()
        self.written: list[ParquetFile] = list(outputs.files.values())

    def manifest(self) -> dict[str, Any]:
        if not self.written:
            dropped = sum((self.log.counts + self.plan.dropped).values())
            raise ValueError(f"no row is left of {sum(self.rows_read.values())}; {dropped} were dropped: {self._why()}")
        abouts: list[About] = [source.about for source in self.sources]
        if self.persona_source is not None:
            abouts.append(self.persona_source.about)
        return manifest_of(
            self.config,
            self.modes,
            abouts,
            self.rows_read,
            self.escaped,
            self.log.counts,
            self.counts,
            self.plan,
            self.written,
            self.folder / REJECTS,
            self.asked,
            self.prompts,
        )

    def _why(self) -> str:
        reasons = (self.log.counts + self.plan.dropped).most_common(3)
        return "; ".join(f"{source}: {reason} ({number})" for (source, reason), number in reasons) or "nothing was read"

    def _persona_source(self) -> PersonaSource | None:
        personas = self.config.personas
        if personas is None or not personas.shares.get(schema.UNALIGNED):
            return None
        assert personas.source is not None
        return sources.persona_source(personas.source)

    def _read_personas(self) -> None:
        personas, source = self.config.personas, self.persona_source
        if personas is None or source is None:
            return
        reader = PersonaReader(source, self.hygiene, personas.limit, self.config.seed)
        reader.read(raw_chunks(personas, source), self.log)
        name = source.about.name
        self.rows_read[name] += reader.rows
        self.escaped[name] = reader.escaped
        if reader.repeated:
            self.repeated_personas[name, REPEATED] = reader.repeated
        self.pool = reader.pool(self.config.splits, self.config.seed, self.spool.keys().persona)
        rejected = {reason: number for (of, reason), number in self.log.counts.items() if of == name}
        check_pool(self.pool, personas.shares, self.config.splits.shares, rejected)

    def _work(self) -> Iterator[Work]:
        plan = self.plan
        for source, rows, blob in self.spool.blobs():
            if plan.files[rows].any():
                name = self.sources[source].about.name
                parts = (plan.split[rows], plan.conditions[rows], plan.files[rows], plan.shared_id[rows])
                yield Work(name, blob, *parts)


def raw_chunks(entry: Input | Personas, source: QuestionSource | PersonaSource) -> Iterator[Chunk]:
    """Chunks of an input of the configuration; a hub id is loaded only where the configuration names it.

    Raises:
        ValueError: there is no input, or as ``readers.raw_chunks``.
    """
    if entry.input is not None:
        read = source.look_beside(entry.input, entry.split) if isinstance(source, ReadsBeside) else entry.input
        split = entry.split if read == entry.input else None
        chunks = readers.raw_chunks(read, CHUNK_ROWS, split=split, config=entry.config, allow_hub=True)
        return _checked(chunks, source) if isinstance(source, ChecksColumns) else chunks
    about = source.about
    if isinstance(source, OwnRows):
        return readers.stream_chunks(source.rows(), about.name, CHUNK_ROWS)
    hub = f", for example the hub's {about.hub_id}" if about.hub_id else ""
    raise ValueError(f"source {about.name}: input is missing; name a file, a folder or a hub id{hub}")


def _checked(chunks: Iterator[Chunk], source: ChecksColumns) -> Iterator[Chunk]:
    """The chunks, once the columns of each file's first row are known to be there."""
    file = None
    for chunk in chunks:
        if chunk.file != file:
            first = next((row for _, row in chunk.decode() if not isinstance(row, Rejected)), None)
            if first is not None:
                source.check_columns(first)
                file = chunk.file
        yield chunk
