"""Generation rows for the tests of ``report.html``: several models, conditions and modes, and text that means harm."""

import json
import math
from pathlib import Path

from personadual.evaluation.columns import FIELDS

RIGHT = {
    "none": "general",
    "unaligned": "general",
    "conflicting": "general",
    "aligned": "personalized",
    "personal": "personalized",
    "ambiguous": None,
}
TAGS = {"general": "[General_mode]", "personalized": "[Personalized_mode]"}

# What would run, load or hide something if it were read as markup; each marks the window if it ever runs.
HOSTILE = (
    "<script>window.harmed = 1</script></script></style></title></textarea>"
    '<img src=x onerror="window.harmed = 1"><svg onload=window.harmed=1></svg>'
    "<a href=\"javascript:window.harmed=1\">x</a><iframe srcdoc='<script>top.harmed=1</script>'></iframe>"
    '" onmouseover=window.harmed=1 autofocus onfocus=window.harmed=1 x="\' {{ 7 * 7 }} {% raw %} ${1} <!-- --> ]]>'
    "\u202etxet desrever\u202c \u200bhidden\u0000\u0007\x1b[31m \u2028 &lt;b&gt; \u0645\u0631\u062d\u0628\u0627"
)


def row(model, item, condition, asked, mode, right_answer, response=None, **more):
    """One row with every column."""
    values = {
        "model": model, "seed": 0, "item": item, "question_id": f"q{item // len(RIGHT)}", "data_source": "facts",
        "source": None, "condition": condition, "right_mode": RIGHT[condition], "asked_mode": asked,
        "persona": "" if condition == "none" else f"Persona {item}.", "question": f"Question {item}?",
        "ground_truth": "Rome", "response": f"{TAGS.get(mode, '')}\nRome" if response is None else response,
        "mode": mode, "acc": float(right_answer), "format": 1.0, "score": float(right_answer), "tag_logprob": None,
        "deciding_logprob": None, "n_tokens": 7, "truncated": False, "sample": 0, "temperature": 0.0,
        "base_item": None, **more,
    }  # fmt: skip
    return {field.name: values[field.name] for field in FIELDS}


def answers(model, skill, questions=8, conditions=tuple(RIGHT), **more):
    """Rows of ``model``: of every 10 items it chooses the right mode for the first ``skill``, and is right in it."""
    rows = []
    for item in range(questions * len(RIGHT)):
        condition = list(RIGHT)[item % len(RIGHT)]
        if condition not in conditions:
            continue
        best = RIGHT[condition] or "general"
        worse = next(mode for mode in TAGS if mode != best)
        good = (item // len(RIGHT)) % 10 < skill
        chosen = best if good else worse
        rows.append(row(model, item, condition, "free", chosen, good, **more))
        for mode in TAGS:
            p = 0.9 if (mode == best) == good else 0.1
            logprob = math.log(p)
            rows.append(
                row(model, item, condition, mode, mode, mode == best,
                    **{"tag_logprob": logprob, "deciding_logprob": logprob, **more})
            )  # fmt: skip
    return rows


def write_rows(path: Path, rows) -> Path:
    """A file of generations."""
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows), encoding="utf-8")
    return path


# Fields of the items of a test set that means harm.
HOSTILE_TEXTS = dict.fromkeys(("persona", "question", "ground_truth", "data_source"), HOSTILE)


def hostile_rows(model="<b>bold</b><script>window.harmed = 1</script>\u202emodel"):
    """A model whose every text is hostile, its label too."""
    return answers(model, 2, questions=3, response=HOSTILE, **HOSTILE_TEXTS)
