"""Which samples go into which file, and in which order."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice, zip_longest
from typing import TypeVar

from personadual import schema
from personadual.data_prep.columns import SPLITS, TEST, TRAIN, VAL
from personadual.data_prep.quickstart.cities import city_choices
from personadual.data_prep.quickstart.config import OBJECTIVE_CONDITIONS, QuickstartConfig
from personadual.data_prep.quickstart.facts import Fact, available, false_answers, split_countries
from personadual.data_prep.quickstart.samples import Bench, Sample
from personadual.data_prep.quickstart.values import split_values

T = TypeVar("T")


def make_benches(config: QuickstartConfig) -> dict[str, Bench]:
    """Facts, cities and values of each split, each in the order in which they are used."""
    countries = split_countries(config.min_population, config.split_shares, config.seed)
    values = split_values(config.seed, config.split_shares)
    cities = city_choices(countries)
    benches = {}
    for split in SPLITS:
        rng = random.Random(f"{config.seed}/{split}/order")
        of_split = available(countries, split)
        facts = [fact for fact in of_split if false_answers(fact, of_split)]
        by_relation = [[fact for fact in facts if fact.relation == relation] for relation in config.relations]
        by_kind = [[(kind, value) for value in held] for kind, held in values[split].by_kind.items()]
        benches[split] = Bench(
            split=split,
            seed=config.seed,
            facts=tuple(_take_turns(by_relation, rng)),
            cities=tuple(cities[split]),
            values=values[split],
            sentences=config.attributes_per_profile,
            attributes=tuple(_take_turns(by_kind, rng)),
            doubtful_false_claims=config.doubtful_false_claims,
        )
    return benches


def _take_turns(lists: Sequence[Sequence[T]], rng: random.Random) -> Iterator[T]:
    """One of each list in turn, each list shuffled, so that any first part holds about the same of each."""
    shuffled = [rng.sample(list(part), len(part)) for part in lists]
    for turn in zip_longest(*shuffled):
        yield from (entry for entry in turn if entry is not None)


def sft_sizes(items: int, conflicting: int) -> tuple[int, int]:
    """How many items each condition gets ("conflicting" ``conflicting`` times as many), and how many are ambiguous (the
    rest, about 1 in 20)."""
    each = (items * 19 // 20) // (4 + conflicting)
    return each, items - (4 + conflicting) * each


def even_samples(
    bench: Bench,
    facts: Sequence[Fact],
    each: int,
    ambiguous: int,
    rng: random.Random,
    conflicting: int = 1,
    known: Collection[Fact] | None = None,
) -> list[Sample]:
    """Every fact under its four conditions (``conflicting`` times under that one), ``each`` personal samples,
    ``ambiguous`` ambiguous ones. With ``known`` facts, those have two false claims and the others two true ones."""
    conditions = (*OBJECTIVE_CONDITIONS, *[schema.CONFLICTING] * (conflicting - 1))
    samples = [
        bench.fact_sample(fact, condition, rng)
        for fact in facts
        for condition in (conditions if known is None else _conditions_by_knowledge(fact in known))
    ]
    samples += [bench.personal_sample(*attribute, rng) for attribute in islice(cycle(bench.attributes), each)]
    return samples + [bench.ambiguous_sample(choice, rng) for choice in islice(cycle(bench.cities), ambiguous)]


def _conditions_by_knowledge(known: bool) -> tuple[str, ...]:
    claims = schema.CONFLICTING if known else schema.ALIGNED
    return (schema.NONE, schema.UNALIGNED, claims, claims)


def draw_known(files: Sequence[Sequence[Fact]], share: float, rng: random.Random) -> list[Fact]:
    """``share`` of each relation's facts of every file: those that SFT shows, so that the model is to know them."""
    known = []
    for facts in files:
        for relation in dict.fromkeys(fact.relation for fact in facts):
            of_relation = [fact for fact in facts if fact.relation == relation]
            known += rng.sample(of_relation, round(share * len(of_relation)))
    return known


def lessons(bench: Bench, known: Sequence[Fact], rng: random.Random, conflicting: int = 1) -> list[Sample]:
    """``known`` facts under their conditions as SFT shows them. They are shared with later files on purpose, so the
    samples don't count them as theirs.
    """
    return [
        replace(sample, facts=frozenset(), values=sample.values - {sample.item.truth})
        for sample in even_samples(bench, known, 0, 0, rng, conflicting)
    ]


def mixed_samples(
    bench: Bench,
    facts: Sequence[Fact],
    config: QuickstartConfig,
    rng: random.Random,
    known: Collection[Fact] | None = None,
) -> list[Sample]:
    """The training mix, round by round: each round holds every condition as often as its weight says, shuffled.

    Over all rounds every fact comes up under each objective condition, ``weight`` times with different profiles, and
    within a round every question is another one, so that a batch is mixed without shuffling the file. With ``known``
    facts, false claims are about those and true ones about the others.
    """
    slots = [condition for condition in OBJECTIVE_CONDITIONS for _ in range(config.rl_weights.get(condition, 0))]
    pools = {condition: list(facts) for condition in OBJECTIVE_CONDITIONS}
    if known is not None:
        pools[schema.ALIGNED] = [fact for fact in facts if fact not in known]
        pools[schema.CONFLICTING] = [fact for fact in facts if fact in known]
    for condition in set(slots):
        if config.rl_rounds and not pools[condition]:
            raise ValueError(
                f"claims_by_knowledge: no fact of RL is left for {condition} claims with rl_rounds={config.rl_rounds} "
                f"and sft_known_share={config.sft_known_share}; ask for more rounds"
            )
    attributes, cities = cycle(bench.attributes), cycle(bench.cities)
    samples = []
    for number in range(config.rl_rounds):
        window: list[Sample] = []
        asked: set[Fact] = set()
        for slot, condition in enumerate(slots):
            pool = pools[condition]
            first = number + slot * max(1, len(pool) // max(1, len(slots)))
            turn = [pool[(first + k) % len(pool)] for k in range(len(pool))]
            fact = next((fact for fact in turn if fact not in asked), turn[0])
            asked.add(fact)
            window.append(bench.fact_sample(fact, condition, rng))
        for _ in range(config.rl_weights.get(schema.PERSONAL, 0)):
            window.append(bench.personal_sample(*next(attributes), rng))
        for _ in range(config.rl_weights.get(schema.AMBIGUOUS, 0)):
            window.append(bench.ambiguous_sample(next(cities), rng))
        rng.shuffle(window)
        samples += window
    return samples


def reassign_modes(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """The memorisation control: what is right no longer depends on the profile.

    One of the two modes is drawn for each wording of a question, and what that mode answers becomes the truth. Where
    both give the same answer (aligned) it stays.
    """
    drawn = {
        pattern: random.Random(f"{seed}/right mode/{pattern}").randrange(2) for pattern in {s.pattern for s in samples}
    }
    return [
        replace(
            sample,
            item=replace(sample.item, truth=sample.item.mode_answers[mode], accept=(), right_mode=mode),
        )
        for sample in samples
        for mode in [drawn[sample.pattern]]
    ]


SFT_TRAIN, SFT_VAL, RL_TRAIN, RL_VAL, TEST_FILE = "sft_train", "sft_val", "rl_train", "rl_val", "test"
FILES = (SFT_TRAIN, SFT_VAL, RL_TRAIN, RL_VAL, TEST_FILE)


def plan_samples(config: QuickstartConfig) -> dict[str, list[Sample]]:
    """Samples of each file. SFT and RL use different facts of the train split.

    Raises:
        ValueError: a size needs more facts than there are.
    """
    benches = make_benches(config)
    train, val, test = (benches[split] for split in (TRAIN, VAL, TEST))
    sft_each, sft_ambiguous = sft_sizes(config.sft_items, config.sft_conflicting)
    val_each, val_ambiguous = sft_sizes(config.sft_val_items, config.sft_conflicting)
    _enough(train, sft_each, f"sft_items={config.sft_items}")
    _enough(train, sft_each + config.rl_rounds, f"sft_items={config.sft_items} and rl_rounds={config.rl_rounds}")
    _enough(val, val_each, f"sft_val_items={config.sft_val_items}")
    _enough(val, config.val_items_per_condition, f"val_items_per_condition={config.val_items_per_condition}")
    _enough(test, config.test_items_per_condition, f"test_items_per_condition={config.test_items_per_condition}")

    def rng(name: str) -> random.Random:
        return random.Random(f"{config.seed}/{name}")

    n_val, n_test = config.val_items_per_condition, config.test_items_per_condition
    rl_facts = train.facts[sft_each : sft_each + config.rl_rounds]
    lesson_rng = rng("known")
    shown = draw_known((rl_facts, val.facts[:n_val], test.facts[:n_test]), config.sft_known_share, lesson_rng)
    known = frozenset(shown) if config.claims_by_knowledge else None
    sft_facts = train.facts[:sft_each]
    sft, sft_val = (replace(bench, doubtful_false_claims=False) for bench in (train, val))
    return {
        SFT_TRAIN: [
            *even_samples(sft, sft_facts, sft_each, sft_ambiguous, rng(SFT_TRAIN), config.sft_conflicting),
            *lessons(sft, shown, lesson_rng, config.sft_conflicting),
        ],
        SFT_VAL: even_samples(
            sft_val, val.facts[:val_each], val_each, val_ambiguous, rng(SFT_VAL), config.sft_conflicting
        ),
        RL_TRAIN: mixed_samples(train, rl_facts, config, rng(RL_TRAIN), known),
        RL_VAL: even_samples(val, val.facts[:n_val], n_val, n_val, rng(RL_VAL), known=known),
        TEST_FILE: even_samples(test, test.facts[:n_test], n_test, n_test, rng(TEST_FILE), known=known),
    }


def _enough(bench: Bench, needed: int, sizes: str) -> None:
    if needed > len(bench.facts):
        raise ValueError(
            f"{sizes}: {needed} facts are needed, but the {bench.split} split has {len(bench.facts)}; "
            "ask for less, or lower min_population"
        )
    if not bench.cities:
        raise ValueError(f"the {bench.split} split has no country with two large cities; lower min_population")
