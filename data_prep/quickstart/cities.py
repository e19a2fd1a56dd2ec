"""Cities for the ambiguous questions, which can be read as asking for a rank or for a taste. Source: see ``facts``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personadual.data_prep.quickstart.fact_templates import CAPITAL
from personadual.data_prep.quickstart.facts import facts_of, geonames, plain, shown_name

_MIN_POPULATION = 100_000


@dataclass(frozen=True)
class CityChoice:
    """An ambiguous question's two answers: the city that leads a country by rank, and one to prefer by taste."""

    iso: str
    country: str
    leading: tuple[str, ...]
    favourite: str


def city_choices(by_split: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[CityChoice]]:
    """City choices of each split, from the largest cities; names that stand in two countries are left out."""
    _, cities = geonames()
    used = [country for part in by_split.values() for country in part]
    candidates = {country["iso"]: _provincial_cities(country, cities.get(country["iso"], [])) for country in used}
    homes: dict[str, set[str]] = defaultdict(set)
    for country in used:
        for city in cities.get(country["iso"], []):
            homes[plain(city["name"])].add(country["iso"])
        homes[plain(country["capital"])].add(country["iso"])
    for country in geonames()[0].values():  # Liberia is a city, too
        homes[plain(country["name"])].update((country["iso"], ""))
    choices: dict[str, list[CityChoice]] = {}
    for split, part in by_split.items():
        choices[split] = []
        for rank in range(2):  # first one city of every country, then a second one
            for country in part:
                names = [name for name in candidates[country["iso"]] if len(homes[plain(name)]) == 1]
                capital = next((fact for fact in facts_of(country) if fact.relation == CAPITAL), None)
                if capital is not None and rank < len(names):
                    largest = cities[country["iso"]][0]["name"]
                    known = {plain(answer) for answer in capital.answers}
                    leading = (*capital.answers, *([] if plain(largest) in known else [largest]))
                    choices[split].append(CityChoice(country["iso"], shown_name(country), leading, names[rank]))
    return choices


def _provincial_cities(country: Mapping[str, Any], cities: Sequence[Mapping[str, Any]]) -> list[str]:
    """Large cities that are no suburbs: one for each province but those of the capital and of the largest city."""
    seen = {cities[0]["admin1code"]} if cities else set()
    seen |= {city["admin1code"] for city in cities if plain(city["name"]) == plain(country["capital"])}
    names = []
    for city in cities[1:20]:
        if city["population"] < _MIN_POPULATION:
            break
        if (
            city["admin1code"] not in seen
            and city["name"].replace(" ", "").isalpha()
            and city["name"].isascii()
            and len(city["name"].split()) < 3
        ):
            seen.add(city["admin1code"])
            names.append(city["name"])
    return names
