"""What the page's template is filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from personadual.evaluation.columns import ALL, MODEL, SEED, in_order
from personadual.evaluation.fingerprint import version_of
from personadual.evaluation.html.origin import origin
from personadual.evaluation.html.samples import sample_cards
from personadual.evaluation.html.sections import sections
from personadual.evaluation.html.words import sentence_parts
from personadual.evaluation.summary import FACTUAL, GROUPS
from personadual.evaluation.text import foreign, number
from personadual.schema import (
    ALIGNED,
    AMBIGUOUS,
    CONDITION,
    CONFLICTING,
    ITEM,
    NONE,
    ORDERS_GENERAL,
    ORDERS_PERSONALIZED,
    PERSONAL,
    QUESTION_ID,
    SHUFFLED,
    UNALIGNED,
)

if TYPE_CHECKING:
    from personadual.evaluation.report import Report

CONDITION_WORDS = {
    NONE: "no persona",
    UNALIGNED: "an unrelated one",
    ALIGNED: "it helps",
    CONFLICTING: "it asserts something false",
    PERSONAL: "it alone holds the answer",
    AMBIGUOUS: "the question can be meant either way",
    SHUFFLED: "another item’s persona",
    ORDERS_GENERAL: "it orders the general mode",
    ORDERS_PERSONALIZED: "it orders the personalized mode",
}


def contents(report: Report, command: str) -> dict[str, Any]:
    """Everything that the template fills in, beside the page's own style and script."""
    rows = report.rows
    models = [str(name) for name in pd.unique(rows[MODEL])]
    cards = sample_cards(rows, report.modes)
    parts = sections(report)
    verdicts = _verdicts(report)
    links = [("verdicts", "Verdicts")] if verdicts else []
    links += [("reading", "How to read this"), *((part.id, part.title) for part in parts[:1])]
    links += [("shows", "What this shows")] if report.shows else []
    links += [(part.id, part.title) for part in parts[1:]]
    links += [("samples", "Samples"), ("origin", "How it was made")]
    return {
        "counts": _counts(rows),
        "contents": links,
        "verdicts": verdicts,
        "margin": number(report.verdicts[0]["margin"]) if verdicts else "",
        "condition_words": ", ".join(
            f"{name} ({CONDITION_WORDS[name]})" if name in CONDITION_WORDS else name
            for name in in_order(rows[CONDITION])
        ),
        "groups": f"“{FACTUAL}” pools {', '.join(GROUPS[FACTUAL])}; “{ALL}” every item of the data’s own conditions.",
        "shows": [sentence_parts(sentence) for sentence in report.shows],
        "limits": [sentence_parts(sentence) for sentence in report.limits],
        "sections": parts,
        "cards": cards,
        "card_conditions": in_order(card.condition for card in cards),
        "models": models,
        "origin": origin(report.models, report.statistics.as_json(), report.extras, command),
        "version": f"Written by {version_of('personadual')}.",
    }


def _verdicts(report: Report) -> list[dict[str, Any]]:
    """Each model's verdict, its sentence without the beginning that repeats them."""
    return [
        {
            "model": found[MODEL],
            "verdict": found["verdict"],
            "kind": found["verdict"].replace(" ", "-"),
            "sentence": sentence_parts(
                found["sentence"].removeprefix(f"{foreign(found[MODEL])}: {found['verdict']}. ")
            ),
        }
        for found in report.verdicts
    ]


def _counts(rows: pd.DataFrame) -> dict[str, str]:
    seeds = rows.groupby(MODEL, sort=False)[SEED].nunique()
    if seeds.max() == 1:
        told = "one training seed each" if len(seeds) > 1 else "one training seed"
    else:
        told = (
            f"{seeds.min()} training seeds each"
            if seeds.min() == seeds.max()
            else "training seeds: " + ", ".join(f"{model} {count}" for model, count in seeds.items())
        )
    return {
        "model": _plural(len(seeds), "model"),
        "item": _plural(rows[ITEM].nunique(), "item"),
        "question": _plural(rows[QUESTION_ID].nunique(), "question"),
        "condition": _plural(rows[CONDITION].nunique(), "condition"),
        "answer": _plural(len(rows), "answer"),
        "seed": told,
    }


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
