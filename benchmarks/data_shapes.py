"""Rows in the shape of two sets, and the pandas script that one would write for each."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEAD = """
import random, sys
import pandas as pd

frame = pd.read_json(sys.argv[1], lines=True)
"""
_TAIL = """
rows = pd.DataFrame(list(frame.apply(convert, axis=1)))
held_out = rows.sample(frac=0.1, random_state=1)
rows.drop(held_out.index).to_parquet(sys.argv[2] + "/train.parquet", compression="zstd")
held_out.to_parquet(sys.argv[2] + "/val.parquet", compression="zstd")
"""
_ALIGNX = """
def persona(row):
    lines = [row["Demographic Information"], "Comments by this user:"]
    lines += [f'- On "{e["prompt"][:160]}": "{e["comment"][:280]}"' for e in row["User-Generated Content"][:2]]
    lines += ["Responses that this user preferred:"]
    for e in row["Pair-wise Comparative Feedback"][:2]:
        lines.append(f'- On "{e["prompt"][:160]}": "{e["chosen"][:280]}" rather than "{e["rejected"][:280]}"')
    return "\\n".join(lines)

def convert(row):
    pair = [row["chosen"], row["rejected"]]
    swapped = random.random() < 0.5
    pair = pair[::-1] if swapped else pair
    question = row["prompt"] + "\\n\\nWhich of these two responses would I prefer?"
    told = persona(row)
    asked = f"{question}\\n\\nA. {pair[0]}\\n\\nB. {pair[1]}\\nAnswer in JSON."
    return {
        "prompt": [{"role": "system", "content": "User profile: " + told}, {"role": "user", "content": asked}],
        "data_source": "AlignX",
        "ability": "preference",
        "reward_model": {"style": "rule", "ground_truth": "B" if swapped else "A"},
        "extra_info": {"index": int(row.name), "persona": told, "question": question, "options": pair},
    }
"""
_ULTRAMEDICAL = """
def convert(row):
    asked = row["conversations"][0]["value"]
    question, *options = asked.split("\\n")
    return {
        "prompt": [{"role": "user", "content": asked + "\\nAnswer in JSON."}],
        "data_source": "UltraMedical",
        "ability": "medicine",
        "reward_model": {"style": "rule", "ground_truth": row["answer"]},
        "extra_info": {"index": int(row.name), "persona": "", "question": question,
                       "options": [option[3:] for option in options]},
    }
"""


def _words(rng: random.Random) -> Callable[[int], str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choice(letters) for _ in range(rng.randint(2, 10))) for _ in range(20_000)]
    return lambda length: " ".join(rng.choices(words, k=length))


def _alignx(number: int, text: Callable[[int], str]) -> dict[str, Any]:
    """About 6 KB."""
    direction = [0.5] * 90
    return {
        "prompt": text(60),
        "chosen": text(50),
        "rejected": text(50),
        "Preference Direction": direction,
        "Demographic Information": f"User {number}. {text(20)}",
        "User-Generated Content": [
            {"prompt": text(30), "comment": text(30), "Preference Direction": direction} for _ in range(2)
        ],
        "Pair-wise Comparative Feedback": [
            {"prompt": text(30), "chosen": text(30), "rejected": text(30), "Preference Direction": direction}
            for _ in range(2)
        ],
    }


def _ultramedical(number: int, text: Callable[[int], str]) -> dict[str, Any]:
    """About 1 KB."""
    asked = "\n".join([text(80) + "?", *(f"{letter}. {text(4)}" for letter in "ABCD")])
    return {
        "id": f"MedQA,{number}",
        "type": "Exam",
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": text(40)}],
        "answer": "ABCD"[number % 4],
        "score": "5",
    }


@dataclass(frozen=True)
class Shape:
    """``row`` makes one of ``source``'s rows; ``script`` is pandas' conversion of a file of them."""

    source: str
    row: Callable[[int, Callable[[int], str]], dict[str, Any]]
    script: str
    pandas_mib: float  # per thousand rows, about: what pandas needs to hold them

    def write(self, path: Path, count: int) -> None:
        text = _words(random.Random(1))
        with path.open("w") as stream:
            for number in range(count):
                stream.write(json.dumps(self.row(number, text)) + "\n")


SHAPES = (
    Shape("alignx", _alignx, _HEAD + _ALIGNX + _TAIL, 50.0),
    Shape("ultramedical", _ultramedical, _HEAD + _ULTRAMEDICAL + _TAIL, 8.0),
)
