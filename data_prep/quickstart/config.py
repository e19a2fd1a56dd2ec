"""Sizes and seed of the quickstart bed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from personadual import schema
from personadual.data_prep.columns import SPLITS, TEST, TRAIN, VAL
from personadual.data_prep.quickstart.fact_templates import CAPITAL, CONTINENT, LANGUAGE, RELATIONS

OBJECTIVE_CONDITIONS = (schema.NONE, schema.UNALIGNED, schema.ALIGNED, schema.CONFLICTING)

# Relations asked about by default. A model of the quickstart's size hardly knows currencies: such groups are wrong in
# either mode and teach no choice.
DEFAULT_RELATIONS = (CAPITAL, CONTINENT, LANGUAGE)

DEFAULT_RL_WEIGHTS = {
    schema.NONE: 1,
    schema.UNALIGNED: 1,
    schema.ALIGNED: 1,
    schema.CONFLICTING: 1,
    schema.PERSONAL: 1,
    schema.AMBIGUOUS: 0,
}


@dataclass(frozen=True)
class QuickstartConfig:
    """What to build.

    ``sft_items`` and ``sft_val_items`` count (question, profile) pairs; each becomes one row per mode.
    ``sft_conflicting`` is how often SFT shows a fact under a conflicting profile (each time with a new claim) for
    once under each other condition: above 1, most claims about facts are false, so general mode learns to leave them
    aside, the true ones of aligned profiles too. ``sft_known_share`` is the share of each relation's facts in RL,
    validation and test that SFT shows as well, in wordings and with profiles of its own: then the model knows some
    facts of every relation and not others, and neither a relation nor a country tells which mode is right.
    ``claims_by_knowledge`` has profiles in RL, validation and test claim what is false of facts that SFT showed and
    what is true of the others, two claims for every fact: then the right mode is also the one that is right more often,
    whatever the model has learnt by heart. ``doubtful_false_claims`` words what is false in RL, validation and
    test as a guess, hearsay or a joke, and what is true as before: then a profile's wording says whether to trust it,
    where otherwise only knowledge does. SFT words both alike, so that general mode learns to leave every claim aside.
    ``rl_rounds`` counts the repeats of the training mix: one round is as
    many prompts as ``rl_weights`` sums to, and has each condition as often as its weight says.
    ``reassign_modes`` makes the training mix of the memorisation control: a prompt's right mode does not depend on its
    profile, but was drawn once for the wording of its question.
    ``val_items_per_condition`` pairs become one free row and one forced row per mode each,
    ``test_items_per_condition`` pairs one free row each.
    """

    seed: int = 1
    sft_items: int = 320
    sft_val_items: int = 40
    sft_conflicting: int = 2
    sft_known_share: float = 0.0
    claims_by_knowledge: bool = False
    doubtful_false_claims: bool = False
    rl_rounds: int = 80
    rl_weights: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_RL_WEIGHTS))
    reassign_modes: bool = False
    val_items_per_condition: int = 8
    test_items_per_condition: int = 40
    attributes_per_profile: int = 2
    min_population: int = 8_000_000
    relations: tuple[str, ...] = DEFAULT_RELATIONS
    split_shares: Mapping[str, float] = field(default_factory=lambda: {TRAIN: 0.6, VAL: 0.15, TEST: 0.25})

    def __post_init__(self) -> None:
        sizes = ("seed", "sft_items", "sft_val_items", "sft_conflicting", "rl_rounds", "val_items_per_condition")
        for name in (*sizes, "test_items_per_condition", "min_population"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name}: a whole number of 0 or more is needed, found {value!r}")
        if self.sft_conflicting < 1:
            raise ValueError(f"sft_conflicting: 1 or more is needed, found {self.sft_conflicting!r}")
        if not isinstance(self.sft_known_share, int | float) or not 0 <= self.sft_known_share <= 1:
            raise ValueError(f"sft_known_share: a number from 0 to 1 is needed, found {self.sft_known_share!r}")
        if self.claims_by_knowledge and self.sft_known_share in (0, 1):
            raise ValueError(
                "claims_by_knowledge: sft_known_share between 0 and 1 is needed, so that there are facts of both kinds"
            )
        if self.attributes_per_profile not in range(2, 6):
            raise ValueError(f"attributes_per_profile: 2 to 5, found {self.attributes_per_profile!r}")
        unknown = set(self.rl_weights) - set(schema.CONDITIONS)
        if unknown or any(not isinstance(weight, int) or weight < 0 for weight in self.rl_weights.values()):
            known = ", ".join(schema.CONDITIONS)
            raise ValueError(f"rl_weights: whole numbers of 0 or more for {known}, found {dict(self.rl_weights)}")
        if self.rl_rounds and not sum(self.rl_weights.values()):
            raise ValueError("rl_weights: all are 0, so a round of the training mix would be empty")
        if not self.relations or len(set(self.relations)) < len(self.relations) or set(self.relations) - set(RELATIONS):
            raise ValueError(f"relations: one or more of {', '.join(RELATIONS)}, each once, found {self.relations!r}")
        shares = [self.split_shares.get(split, 0.0) for split in SPLITS]
        if set(self.split_shares) != set(SPLITS) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"split_shares: positive shares of {', '.join(SPLITS)} that sum to 1 are needed")

    @property
    def round_size(self) -> int:
        return sum(self.rl_weights.values())
