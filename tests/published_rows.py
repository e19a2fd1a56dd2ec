"""Small inputs in the sets' own published formats, for tests of the whole build."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WORDS = [
    f"{first}{last}" for first in ("bar", "cor", "del", "fen", "gal", "hin") for last in ("ta", "mi", "so", "ruk", "ve")
]


def prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    """JSONL; a text among the rows is a line as it is."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def alignx(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(f"alignx {seed}")
    return [
        {
            "prompt": prose(rng, 30),
            "chosen": prose(rng, 12),
            "rejected": prose(rng, 12),
            "Preference Direction": [0.5] * 90,
            "Demographic Information": f"User {number} who likes {prose(rng, 5)}",
            "User-Generated Content": [
                {"prompt": prose(rng, 8), "comment": prose(rng, 8), "Preference Direction": [1] * 90}
            ],
            "Pair-wise Comparative Feedback": [],
        }
        for number in range(count)
    ]


def ultramedical(count: int, seed: int = 0, subset: str = "MedQA") -> list[dict[str, Any]]:
    rng = random.Random(f"ultramedical {seed} {subset}")
    rows = []
    for number in range(count):
        options = "\n".join(f"{letter}. {prose(rng, 2)} {number}{letter}" for letter in "ABCD")
        question = f"A patient with {prose(rng, 20)} has which of these?\n{options}"
        rows.append(
            {
                "id": f"{subset},{number}",
                "type": "Exam",
                "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": "So it is."}],
                "answer": rng.choice("ABCD"),
                "score": "5",
            }
        )
    return rows


def flan(count: int, seed: int = 0, task: str = "boolq") -> list[dict[str, Any]]:
    rng = random.Random(f"flan {seed} {task}")
    return [
        {
            "inputs": f"{prose(rng, 25)}. Is that so?\n\nOPTIONS:\n- yes\n- no",
            "targets": rng.choice(["yes", "no"]),
            "task": f"{task}_10templates",
        }
        for _ in range(count)
    ]


def personas(count: int) -> list[dict[str, str]]:
    trades = ("baker", "nurse", "pilot", "teacher", "farmer", "lawyer", "painter", "plumber")
    places = ("a small town by the sea", "the old centre of the city", "a village in the mountains", "a quiet suburb")
    hobbies = ("reads history books", "plays the piano", "collects old maps", "grows tomatoes", "runs every morning")
    rng = random.Random("personas")
    return [
        {
            "persona": f"A {rng.choice(trades)} who lives in {rng.choice(places)}, {rng.choice(hobbies)} "
            f"and has worked for {number + 2} years"
        }
        for number in range(count)
    ]


def mmlu(count: int) -> list[dict[str, Any]]:
    rng = random.Random("mmlu")
    return [
        {
            "question": f"{prose(rng, 12)}?",
            "subject": "anatomy",
            "choices": [f"{prose(rng, 2)} {letter}" for letter in "abcd"],
            "answer": number % 4,
        }
        for number in range(count)
    ]


def arc(count: int) -> list[dict[str, Any]]:
    rng = random.Random("arc")
    return [
        {
            "id": f"Mercury_{number}",
            "question": f"{prose(rng, 12)}?",
            "choices": {"text": [f"{prose(rng, 2)} {letter}" for letter in "abcd"], "label": list("ABCD")},
            "answerKey": "ABCD"[number % 4],
        }
        for number in range(count)
    ]


def gsm8k(count: int) -> list[dict[str, Any]]:
    rng = random.Random("gsm8k")
    return [
        {"question": f"{prose(rng, 15)}?", "answer": f"{prose(rng, 8)} <<6*7=42>>42.\n#### {number + 40}"}
        for number in range(count)
    ]


def csv(count: int) -> str:
    """A file of one's own: header ``id,question,a,b,c,right``."""
    rng = random.Random("csv")
    lines = [f"{i},{prose(rng, 9)}?,{prose(rng, 2)} x,{prose(rng, 2)} y,{prose(rng, 2)} z,c" for i in range(count)]
    return "\n".join(["id,question,a,b,c,right", *lines]) + "\n"
