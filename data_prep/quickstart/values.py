"""What profiles are made of: first names, and for each kind of attribute its values and a generic default.

All of it was written for this project. A value is in lower case, starts with a consonant where an article can stand
before it, and neither is nor contains a country, a nationality, a language or another value, so that no profile holds
the answer to another question by accident. The default is what an answer that ignores the profile gives. It is never
a profile's value.

``split_values`` deals each list out to the splits by the seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from personadual.data_prep.columns import SPLITS


@dataclass(frozen=True)
class Kind:
    """A kind of attribute. ``default`` answers a question about it without the profile.

    ``forms`` are further ways to say a value that count as right.
    """

    name: str
    default: str
    values: tuple[str, ...]
    forms: tuple[str, ...]

    def accept(self, value: str) -> tuple[str, ...]:
        return tuple(form.format(value) for form in self.forms)


def _kind(name: str, default: str, values: str, *forms: str) -> Kind:
    return Kind(name, default, tuple(value.strip() for value in values.split(",")), forms)


KINDS = (
    _kind(
        "drink",
        "water",
        "mint tea, lemonade, hot cocoa, cider, ginger beer, root beer, milk, oat milk shake, cold brew, sherry, "
        "kombucha, tomato juice, buttermilk, espresso, rooibos, champagne",
    ),
    _kind(
        "dish",
        "pasta",
        "lasagna, sushi, tacos, paella, ramen, pizza, falafel, goulash, risotto, fried rice, meatloaf, dumplings, "
        "gumbo, moussaka, ratatouille, chili",
    ),
    _kind(
        "hobby",
        "reading",
        "knitting, pottery, gardening, chess, painting, baking, woodworking, stargazing, photography, calligraphy, "
        "birdwatching, beekeeping, origami, juggling, quilting, fishing",
    ),
    _kind(
        "music",
        "pop",
        "jazz, blues, reggae, opera, techno, folk, gospel, punk, salsa, swing, metal, disco, ska, bluegrass, "
        "flamenco, ambient",
        "{} music",
    ),
    _kind(
        "books",
        "novels",
        "poetry, mysteries, fantasy, westerns, biographies, romances, thrillers, comics, science fiction, ghost "
        "stories, memoirs, fables, plays, cookbooks, travelogues, fairy tales",
    ),
    _kind(
        "pet",
        "dog",
        "cat, parrot, rabbit, hamster, goldfish, ferret, lizard, tortoise, canary, snake, gecko, pony, hedgehog, "
        "chinchilla, tarantula, duck",
        "a {}",
    ),
    _kind(
        "sport",
        "football",
        "tennis, rowing, fencing, judo, surfing, hockey, golf, climbing, boxing, sailing, badminton, volleyball, "
        "karate, cricket, snowboarding, rugby",
    ),
    _kind(
        "colour",
        "blue",
        "purple, crimson, turquoise, yellow, beige, lavender, teal, scarlet, maroon, green, pink, silver, magenta, "
        "navy, peach, black",
    ),
    _kind(
        "instrument",
        "piano",
        "cello, flute, drum kit, harp, trumpet, banjo, clarinet, violin, tuba, saxophone, bassoon, mandolin, "
        "ukulele, fiddle, trombone, harmonica",
        "the {}",
        "a {}",
    ),
    _kind(
        "job",
        "manager",
        "baker, nurse, plumber, dentist, pilot, farmer, lawyer, carpenter, librarian, chemist, tailor, journalist, "
        "vet, firefighter, translator, beautician",
        "a {}",
    ),
)

NAMES = (
    "Amara, Ben, Chloe, Diego, Elif, Felix, Grace, Hugo, Ines, Jonas, Kira, Liam, Maya, Noah, Olga, Priya, Quinn, "
    "Rosa, Sam, Tara, Umar, Vera, Wei, Yara, Zoe, Anton, Bella, Carlos, Dana, Emil, Fatima, Gus, Hana, Ivan, Julia, "
    "Kofi, Lena, Milo, Nina, Oscar, Petra, Ravi, Stella, Tomas, Ursula, Vikram, Wanda, Xena, Yusuf, Zara"
).split(", ")


def deal(values: Sequence[str], shares: Mapping[str, float], rng: random.Random) -> dict[str, list[str]]:
    """``values`` in the order of ``rng``, cut into one part per split; each part has at least two."""
    shuffled = rng.sample(list(values), len(values))
    parts: dict[str, list[str]] = {}
    start, total = 0, 0.0
    for split in SPLITS:
        total += shares[split]
        end = len(shuffled) if split == SPLITS[-1] else round(total * len(shuffled))
        parts[split] = shuffled[start:end]
        start = end
        if len(parts[split]) < 2:
            raise ValueError(
                f"split_shares: {split} would get {len(parts[split])} of {len(shuffled)} values, 2 are needed"
            )
    return parts


@dataclass(frozen=True)
class SplitValues:
    """What the profiles of one split may hold."""

    names: tuple[str, ...]
    by_kind: Mapping[str, tuple[str, ...]]

    @property
    def all(self) -> set[str]:
        return {*self.names, *(value for values in self.by_kind.values() for value in values)}


def split_values(seed: int, shares: Mapping[str, float]) -> dict[str, SplitValues]:
    """Names and attribute values of each split; the splits share none."""
    names = deal(NAMES, shares, random.Random(f"{seed}/names"))
    kinds = {kind.name: deal(kind.values, shares, random.Random(f"{seed}/{kind.name}")) for kind in KINDS}
    return {
        split: SplitValues(tuple(names[split]), {name: tuple(parts[split]) for name, parts in kinds.items()})
        for split in SPLITS
    }
