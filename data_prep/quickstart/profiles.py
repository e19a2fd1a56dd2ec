"""Profiles: a few sentences in which a made-up user says who they are."""

from __future__ import annotations

import random
from dataclasses import dataclass

from personadual.data_prep.quickstart.profile_templates import INTRODUCTIONS, SENTENCES
from personadual.data_prep.quickstart.values import SplitValues


@dataclass(frozen=True)
class Profile:
    """``text`` as shown to the model; ``values`` and ``templates`` are what it was made of, for the leak check."""

    text: str = ""
    values: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence about the world that a profile holds beside the attributes."""

    template: str
    country: str
    answer: str

    @property
    def text(self) -> str:
        return self.template.format(country=self.country, answer=self.answer)


def make_profile(
    split: str,
    values: SplitValues,
    sentences: int,
    rng: random.Random,
    claim: Claim | None = None,
    attribute: tuple[str, str] | None = None,
) -> Profile:
    """A profile of one introduction and ``sentences`` sentences in random order.

    All of them are about attributes of different kinds, but for ``claim``, which takes the place of one, so that a
    profile with a claim is as long as one without. ``attribute`` is a (kind, value) that must be among them.
    """
    name = rng.choice(values.names)
    introduction = rng.choice(INTRODUCTIONS[split])
    attributes = [attribute] if attribute else []
    others = sorted(set(values.by_kind) - {kind for kind, _ in attributes})
    for kind in rng.sample(others, sentences - len(attributes) - (claim is not None)):
        attributes.append((kind, rng.choice(values.by_kind[kind])))
    templates = [rng.choice(SENTENCES[kind][split]) for kind, _ in attributes]
    texts = [template.format(value=value) for template, (_, value) in zip(templates, attributes, strict=True)]
    if claim is not None:
        texts.append(claim.text)
        templates.append(claim.template)
    rng.shuffle(texts)
    return Profile(
        text=" ".join([introduction.format(name=name), *texts]),
        values=(name, *(value for _, value in attributes)),
        templates=(introduction, *templates),
        name=name,
    )
