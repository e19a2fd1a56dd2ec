"""Items of the quickstart: a fact, an attribute or a city choice, put as a question under a condition.

What SFT shows in each mode, in the order (from facts, from the profile):

    condition     from facts         from the profile
    none          the fact           "no profile"
    unaligned     the fact           the user's name: it answers from the profile where that has nothing to say
    aligned       the fact           the fact, as the profile has it
    conflicting   the fact           what the profile wrongly claims
    personal      a generic default  the user's attribute
    ambiguous     the capital        the user's favourite city

So each condition but the last has a mode that is clearly better. In aligned it is the profile's, since what a model
knows by heart is only sometimes right; for an ambiguous question both answers count.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from personadual import schema
from personadual.data_prep.items import FACT, PREFERENCE, Item
from personadual.data_prep.quickstart import facts as fact_module
from personadual.data_prep.quickstart.cities import CityChoice
from personadual.data_prep.quickstart.fact_templates import (
    CAPITAL,
    CITY_QUESTIONS,
    CLAIMS,
    DOUBTFUL_CLAIMS,
    FACT_QUESTIONS,
    FAVOURITE_CITIES,
)
from personadual.data_prep.quickstart.facts import Fact
from personadual.data_prep.quickstart.profile_templates import QUESTIONS
from personadual.data_prep.quickstart.profiles import Claim, Profile, make_profile
from personadual.data_prep.quickstart.values import KINDS, SplitValues

FROM_FACTS, FROM_PROFILE = 0, 1
"""Which mode (by index) answers how."""
NO_PROFILE = "no profile"
GENERATED = "generated"
GENERATED_LICENCE = "Apache-2.0"

_KINDS = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Sample:
    """An item and what it was made of, for the checks.

    ``pattern`` is the wording of its question, ``false_answer`` the answer that its profile claims.
    """

    item: Item
    pattern: str
    facts: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    templates: frozenset[str] = frozenset()
    false_answer: str | None = None


@dataclass(frozen=True)
class Bench:
    """What the samples of one split are made from."""

    split: str
    seed: int
    facts: tuple[Fact, ...]
    cities: tuple[CityChoice, ...]
    values: SplitValues
    sentences: int
    attributes: tuple[tuple[str, str], ...] = field(default=())
    doubtful_false_claims: bool = False

    def fact_sample(self, fact: Fact, condition: str, rng: random.Random) -> Sample:
        """``fact`` asked under one of the four objective conditions; its wording is the same under all of them."""
        asked = FACT_QUESTIONS[fact.relation][self.split]
        template = random.Random(f"{self.seed}/wording/{fact.key}").choice(asked)
        claim, false_answer, from_profile, profile = None, None, NO_PROFILE, Profile()
        if condition in (schema.ALIGNED, schema.CONFLICTING):
            if condition == schema.CONFLICTING:
                false_answer = rng.choice(fact_module.false_answers(fact, self.facts))
            from_profile = false_answer or fact.answer
            wordings = DOUBTFUL_CLAIMS if false_answer and self.doubtful_false_claims else CLAIMS
            claim = Claim(rng.choice(wordings[fact.relation][self.split]), fact.country, from_profile)
        if condition != schema.NONE:
            profile = make_profile(self.split, self.values, self.sentences, rng, claim=claim)
        if condition == schema.UNALIGNED:
            from_profile = profile.name
        item = Item(
            question_id=f"{fact.relation}-{fact.iso}",
            condition=condition,
            question=template.format(country=fact.country),
            persona=profile.text,
            truth=fact.answer,
            accept=fact.aliases,
            mode_answers=(fact.answer, from_profile),
            right_mode=FROM_PROFILE if condition == schema.ALIGNED else FROM_FACTS,
            ability=FACT,
            split=self.split,
            source=fact_module.SOURCE,
            licence=fact_module.LICENCE,
        )
        # Capitals belong to one country each, so that even a false claim may name none of another split.
        cities = {city for city in (fact.answer, false_answer) if city} if fact.relation == CAPITAL else set()
        return Sample(
            item,
            template,
            frozenset({f"{fact.relation} of {fact.country}"}),
            frozenset(profile.values) | cities,
            frozenset({template, *profile.templates}),
            false_answer,
        )

    def personal_sample(self, kind: str, value: str, rng: random.Random) -> Sample:
        """A question about the user's own ``kind``, in whose profile ``value`` stands among other attributes."""
        template = rng.choice(QUESTIONS[kind][self.split])
        profile = make_profile(self.split, self.values, self.sentences, rng, attribute=(kind, value))
        item = Item(
            question_id=f"{kind}-{value.replace(' ', '_')}",
            condition=schema.PERSONAL,
            question=template,
            persona=profile.text,
            truth=value,
            accept=_KINDS[kind].accept(value),
            mode_answers=(_KINDS[kind].default, value),
            right_mode=FROM_PROFILE,
            ability=PREFERENCE,
            split=self.split,
            source=GENERATED,
            licence=GENERATED_LICENCE,
        )
        return Sample(
            item, template, values=frozenset(profile.values), templates=frozenset({template, *profile.templates})
        )

    def ambiguous_sample(self, choice: CityChoice, rng: random.Random) -> Sample:
        """A question that a fact and a taste both answer."""
        template = rng.choice(CITY_QUESTIONS[self.split])
        claim = Claim(rng.choice(FAVOURITE_CITIES[self.split]), choice.country, choice.favourite)
        profile = make_profile(self.split, self.values, self.sentences, rng, claim=claim)
        capital, *others = choice.leading
        item = Item(
            question_id=f"city-{choice.iso}",
            condition=schema.AMBIGUOUS,
            question=template.format(country=choice.country),
            persona=profile.text,
            truth=capital,
            accept=(*others, choice.favourite),
            mode_answers=(capital, choice.favourite),
            right_mode=None,
            ability=PREFERENCE,
            split=self.split,
            source=fact_module.SOURCE,
            licence=fact_module.LICENCE,
        )
        return Sample(
            item,
            template,
            frozenset({f"cities of {choice.country}"}),
            frozenset({*profile.values, capital, choice.favourite}),
            frozenset({template, *profile.templates}),
        )
