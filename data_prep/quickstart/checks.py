"""What must hold of the samples before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from personadual import schema
from personadual.data_prep.quickstart.facts import mentions, plain
from personadual.data_prep.quickstart.samples import FROM_FACTS, FROM_PROFILE, Sample

_SHOWN = 5


def check_disjoint(samples_by_split: Mapping[str, Iterable[Sample]]) -> None:
    """Refuses splits that share a fact, a value of a profile, or a wording of a question, a claim or a profile.

    Raises:
        ValueError: naming the splits and what they share.
    """
    samples = {split: list(of_split) for split, of_split in samples_by_split.items()}
    for one, other in combinations(samples, 2):
        for what in ("facts", "values", "templates"):
            used = [
                {plain(name): name for sample in samples[s] for name in getattr(sample, what)} for s in (one, other)
            ]
            shared = sorted(used[0][name] for name in used[0].keys() & used[1].keys())
            if shared:
                more = f" and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
                raise ValueError(f"{one} and {other} share {what}: {', '.join(map(repr, shared[:_SHOWN]))}{more}")


def check_conditions(samples: Sequence[Sample]) -> None:
    """Refuses samples whose profile is not what their condition says.

    Raises:
        ValueError: with the question, the condition and what is wrong.
    """
    for sample in samples:
        item = sample.item
        problem = _problem(sample)
        if problem:
            raise ValueError(
                f"{item.question_id} ({item.split}, {item.condition}): {problem}; profile: {item.persona!r}"
            )


def _problem(sample: Sample) -> str | None:
    item, false = sample.item, sample.false_answer
    held = [answer for answer in item.answers if mentions(item.persona, answer)]
    from_facts, from_profile = item.mode_answers[FROM_FACTS], item.mode_answers[FROM_PROFILE]
    right = {plain(answer) for answer in item.answers}
    if item.condition == schema.NONE and item.persona:
        return "there should be no profile"
    if item.condition != schema.NONE and not item.persona:
        return "the profile is empty"
    if item.condition == schema.UNALIGNED and held:
        return f"the profile holds the answer {held[0]!r}"
    if item.condition in (schema.ALIGNED, schema.PERSONAL) and item.truth not in held:
        return f"the profile lacks the answer {item.truth!r}"
    if item.condition == schema.CONFLICTING:
        if held:
            return f"the profile holds the answer {held[0]!r}"
        if false is None or not mentions(item.persona, false):
            return f"the profile lacks its false claim {false!r}"
        if plain(false) in right:
            return f"its false claim {false!r} is right"
    if item.condition == schema.AMBIGUOUS and not {plain(from_facts), plain(from_profile)} <= right:
        return "one of its two answers does not count as right"
    if item.condition == schema.PERSONAL and plain(from_facts) in right:
        return "the default answer is right"
    if item.condition == schema.PERSONAL and mentions(item.persona, from_facts):
        return f"the profile holds the default answer {from_facts!r}"
    if any(mentions(item.question, answer) for answer in item.answers):
        return "the question holds the answer"
    return None
