"""Generation rows for the tests of the report's numbers: items answered as the test says, and planted models."""

import json
import math

import pandas as pd

from personadual.evaluation.columns import FIELDS

MODES = ["general", "personalized"]
TAGS = {"general": "[General_mode]", "personalized": "[Personalized_mode]"}
RIGHT = {
    "none": "general",
    "unaligned": "general",
    "conflicting": "general",
    "aligned": "personalized",
    "personal": "personalized",
}


def answers(item, question, condition, right, free=None, forced=None, model="m", seed=0, **more):
    """Rows of one item: ``free`` = (mode, acc), ``forced`` = {mode: (acc, probability of the tag)}."""

    def row(asked, mode, acc, prob=None, **fields):
        logprob = None if prob is None else math.log(prob)
        values = {
            "model": model, "seed": seed, "item": item, "question_id": question, "data_source": "d", "source": None,
            "condition": condition, "right_mode": right, "asked_mode": asked, "persona": "", "question": "?",
            "ground_truth": "x", "response": f"{TAGS.get(mode, 'none')}\nx", "mode": mode, "acc": float(acc),
            "format": 1.0, "score": float(acc), "tag_logprob": logprob, "deciding_logprob": logprob, "n_tokens": 3,
            "truncated": False, "sample": 0, "temperature": 0.0, "base_item": None, **more, **fields,
        }  # fmt: skip
        return {field.name: values[field.name] for field in FIELDS}

    rows = [row("free", *free)] if free else []
    return rows + [row(mode, mode, acc, prob) for mode, (acc, prob) in (forced or {}).items()]


def sampled(rows, sample, temperature=0.7, **fields):
    """The rows again as another sample."""
    return [{**row, "sample": sample, "temperature": temperature, **fields} for row in rows]


def table(*items):
    return pd.DataFrame([row for rows in items for row in rows])


def planted(model, choose, questions=60, seed=0, general=0.8, personalized=0.1, conditions=tuple(RIGHT)):
    """A model that answers ``questions`` under every condition and takes the mode that ``choose(condition)`` says.

    Forced into the plain mode it is right on the share ``general`` of the questions, the same under every condition
    but "personal", where it is never; forced into the personalized one it is right where the persona holds the answer,
    and elsewhere on the share ``personalized``.
    """
    rows = []
    for question in range(questions):
        for place, condition in enumerate(conditions):
            helped = RIGHT[condition] == "personalized"
            right = {"general": question < general * questions and condition != "personal"}
            right["personalized"] = helped or question < personalized * questions
            mode = choose(condition)
            forced = {m: (right[m], 0.9 if m == mode else 0.1) for m in MODES}
            item = question * len(conditions) + place
            rows += answers(
                item, f"q{question}", condition, RIGHT[condition], (mode, right[mode]), forced, model=model, seed=seed
            )
    return rows


def always_personalized(condition):
    return "personalized"


def right_choice(condition):
    return RIGHT[condition]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
