"""What a served model is asked between the two passes: personas first, then traces for the SFT items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from personadual import schema
from personadual.data_prep.attach import ATTACHED, SERVED, PersonaPool, attach, conditions_of, right_mode
from personadual.data_prep.build_config import ALL, BuildConfig
from personadual.data_prep.columns import SPLITS
from personadual.data_prep.items import FACT, PREFERENCE
from personadual.data_prep.pipeline.answers import AnswerPools
from personadual.data_prep.pipeline.finishing import BodyKey, ServedTexts, default_mode
from personadual.data_prep.pipeline.plan import SFT, Plan
from personadual.data_prep.pipeline.reading import told_apart
from personadual.data_prep.pipeline.records import unpack
from personadual.data_prep.pipeline.spool import Spool
from personadual.data_prep.record import Record, Rejected
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.personas import PersonaJob, make_personas, persona_job
from personadual.data_prep.served.prompts import TRACE_FILTER, TRACE_GENERAL, TRACE_PERSONALIZED
from personadual.data_prep.served.service import Service, open_service
from personadual.data_prep.served.traces import TraceJob, make_traces, needs_filter, passed_filter
from personadual.modes import Modes
from personadual.reward_fns.graders import KNOWN_SOURCES, OBJECTIVE, PERSONALIZED
from personadual.reward_fns.settings import Settings


@dataclass
class Asking:
    """One round of questions to the served model.

    What can't be used is counted by reason; ``prompts`` are digests of the templates, by block of the configuration.
    """

    config: BuildConfig
    modes: Modes
    spool: Spool
    plan: Plan
    pool: PersonaPool
    counts: Counter[str] = field(default_factory=Counter)
    prompts: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self, cache: Path, progress: bool = True) -> ServedTexts:
        """Personas and traces; answers that ``cache`` has are not asked for again. Held in memory until the end.

        Raises:
            ValueError, served.ServedError: as ``served.open_service`` and ``served.ask_all``, and for requests that the
                server has not answered.
        """
        assert self.config.served is not None
        with ExitStack() as stack:
            service = stack.enter_context(open_service(ServedConfig.from_mapping(self.config.served), cache, progress))
            judge = None
            if self.config.judge is not None:
                judge = stack.enter_context(
                    open_service(
                        ServedConfig.from_mapping(self.config.judge), cache.with_name(f"judge-{cache.name}"), progress
                    )
                )
            self.prompts = {"served": service.prompts.digests()} | ({"judge": judge.prompts.digests()} if judge else {})
            personas = {
                (job.record.question_id, job.condition): text
                for job, text in make_personas(self._persona_jobs(), service, self.counts, modes=self.modes)
            }
            bodies = {} if self.config.sft is None else self._bodies(personas, service, judge)
            for asked in (service, judge):
                if asked is not None:
                    asked.check_answered()
            return ServedTexts(personas, bodies, traced=self.config.sft is not None)

    def _persona_jobs(self) -> Iterator[PersonaJob]:
        answers = AnswerPools(record for record, _, _ in self._records()) if self._misleads() else AnswerPools()
        for record, place, _ in self._records():
            for condition in conditions_of(int(self.plan.conditions[place])):
                if condition in SERVED:
                    try:
                        yield persona_job(record, condition, self.config.seed, answers.of(record))
                    except Rejected as error:
                        self.counts[error.reason] += 1

    def _misleads(self) -> bool:
        """Whether any question is to be asked under a conflicting persona."""
        bit = np.uint8(1 << ATTACHED.index(schema.CONFLICTING))
        return bool((self.plan.conditions[self.plan.files > 0] & bit).any())

    def _bodies(
        self, personas: dict[tuple[str, str], str], service: Service, judge: Service | None
    ) -> dict[BodyKey, str]:
        settings = Settings(modes=self.modes, graders=self._graders())
        filters = (job for job in self._trace_jobs(personas, None) if job.prompt == TRACE_FILTER)
        passed = passed_filter(filters, service, settings, self.counts)
        jobs = self._trace_jobs(personas, passed)
        return {
            (trace.job.record.question_id, trace.job.condition, trace.job.persona, trace.job.mode.name): trace.body
            for trace in make_traces(jobs, service, settings, self.counts, judge=judge)
        }

    def _trace_jobs(self, personas: dict[tuple[str, str], str], passed: set[str] | None) -> Iterator[TraceJob]:
        """Jobs of the SFT items. Facts get a personalized trace under an aligned persona only, and if ``passed``.

        With ``passed`` None, the filter's jobs stand in for those that need it.
        """
        for record, place, split in self._records():
            if not self.plan.files[place] & SFT:
                continue
            for condition in conditions_of(int(self.plan.conditions[place])):
                try:
                    asked = attach(record, condition, split, self.pool, personas, self.config.seed)
                except Rejected:
                    continue  # counted in the second pass
                for mode_index in self._modes_of(asked):
                    mode = self.modes[mode_index]
                    prompt = TRACE_GENERAL
                    if mode_index > 0:
                        if not asked.persona or (asked.ability == FACT and asked.condition != schema.ALIGNED):
                            continue
                        prompt = TRACE_PERSONALIZED
                        if needs_filter(asked):
                            if passed is None:
                                prompt = TRACE_FILTER
                            elif record.question_id not in passed:
                                continue
                    yield TraceJob(asked, asked.persona, asked.condition, mode, prompt)

    def _graders(self) -> dict[str, str]:
        """How traces of data sources of the user's own are graded: which grader is right follows from the ability."""
        abilities = {record.data_source: record.ability for record, _, _ in self._records()}
        return {
            name: PERSONALIZED if ability == PREFERENCE else OBJECTIVE
            for name, ability in abilities.items()
            if name not in KNOWN_SOURCES
        }

    def _modes_of(self, record: Record) -> tuple[int, ...]:
        assert self.config.sft is not None
        if self.config.sft.modes == ALL:
            return tuple(range(len(self.modes)))
        return (default_mode(right_mode(record, self.modes), record.ability),)

    def _records(self) -> Iterator[tuple[Record, int, str]]:
        """Each record that goes into a file, with its place in the plan and its split."""
        for _, rows, blob in self.spool.blobs():
            if self.plan.files[rows].any():
                for place, record in enumerate(unpack(blob), start=rows.start):
                    if self.plan.files[place]:
                        asked = told_apart(record) if self.plan.shared_id[place] else record
                        yield asked, place, SPLITS[self.plan.split[place]]
