"""Rows of standard sets in their own published formats."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from published_rows import write_lines

ASKED = {
    "question": "A man has chest pain. What is next?",
    "answer": "ECG",
    "options": {"A": "Rest", "B": "ECG", "C": "Surgery", "D": "Nothing"},
    "meta_info": "step2&3",
    "answer_idx": "B",
    "metamap_phrases": ["man", "chest pain"],
}
ASKED_HF = {
    "id": "train-00001",
    "sent1": ASKED["question"],
    "sent2": "",
    "ending0": "Rest",
    "ending1": "ECG",
    "ending2": "Surgery",
    "ending3": "Nothing",
    "label": 1,
}


def gpqa(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "Question": f"What is the {number}th line?",
        "Correct Answer": "right ",
        "Incorrect Answer 1": "wrong one",
        "Incorrect Answer 2": "\nwrong two",
        "Incorrect Answer 3": "wrong three",
        "Record ID": f"rec{number}",
        "High-level domain": "Physics",
        "Canary String": "do not train on this",
        **fields,
    }


MESSAGES = [
    {"role": "system", "content": "Current user persona: Name: Kanoa, a software engineer"},
    {"role": "user", "content": "User: I took up gardening."},
    {"role": "assistant", "content": "How nice!"},
    {"role": "user", "content": "I gave it up again."},
]
REPLIES = ["It's good that you garden.", 'You "said" no more gardening.\nTry music.', "Nothing", "Sure"]
OPTIONS = [f"({label}) {reply}" for label, reply in zip("abcd", REPLIES, strict=True)]


def asked(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "persona_id": 0,
        "question_id": f"q-{number}",
        "question_type": "track_full_preference_evolution",
        "topic": "therapy",
        "user_question_or_message": f"What should I do on weekend {number}?",
        "correct_answer": "(b)",
        "all_options": repr(OPTIONS),
        "shared_context_id": "c1",
        "end_index_in_shared_context": 3,
        **fields,
    }


def write_personamem(folder: Path) -> Path:
    """PersonaMem in ``folder`` as it is published: two questions as CSV, conversations beside them."""
    second = asked(1, all_options=json.dumps(OPTIONS), correct_answer="(d)", end_index_in_shared_context=4)
    with (folder / "questions_32k.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(second))
        writer.writeheader()
        writer.writerows([asked(), second])
    write_lines(folder / "shared_contexts_32k.jsonl", [{"c0": MESSAGES[:1]}, {"c1": MESSAGES}])
    return folder
