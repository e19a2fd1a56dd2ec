"""How the page calls what the frames hold."""

from __future__ import annotations

from collections.abc import Sequence

from personadual.evaluation import effects, measures, orders, verdict
from personadual.schema import FREE, ORDERS_PREFIX

EFFECTS = {
    effects.INTERFERENCE: "interference",
    effects.ALIGNED_GAIN: "aligned gain",
    effects.KEPT_GAIN: "kept gain",
    effects.ORDER_OBEYED: "order obeyed",
    verdict.OVER_PERSONALIZATION_COST: "cost of over-personalization",
    **{effect: family.replace("_", " ") for family, effect in orders.OBEYED.items()},
}


def asked_name(mode: str) -> str:
    return FREE if mode == FREE else f"forced {mode}"


def measure_names(modes: Sequence[str]) -> dict[str, str]:
    """Short names of the measures, in reading order."""
    asked = (FREE, *modes)
    return {
        measures.SELECTION_ERROR: "selection error",
        measures.CHOICE_ERROR: "selection error given a valid tag",
        measures.GREEDY_ERROR: "greedy selection error",
        measures.OVER_PERSONALIZED: "over-personalization",
        measures.TAG_VALIDITY: "valid tags",
        **{measures.acc(mode): f"accuracy, {asked_name(mode)}" for mode in asked},
        measures.HYBRID: "Hybrid Accuracy",
        measures.REGRET: "regret",
        measures.TRUNCATED: "ended by the length limit",
        measures.BOTH_TAGS: "tags of two modes",
        **{measures.tokens(mode): f"length in tokens, {asked_name(mode)}" for mode in asked},
        **{measures.prob(mode): f"P({mode})" for mode in modes},
        **{measures.choice(mode): f"P({mode}) given a valid tag" for mode in modes},
        **{measures.share(mode): f"share of answers in {mode}" for mode in modes},
    }


def effect_name(effect: str, condition: str) -> str:
    """An effect with the condition that it is about, where it exists under several."""
    name = EFFECTS.get(effect, effect)
    if effect in (effects.INTERFERENCE, effects.ORDER_OBEYED) or effect not in EFFECTS:
        return f"{name}, {condition.removeprefix(ORDERS_PREFIX)}"
    return name
