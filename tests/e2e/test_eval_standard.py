"""Standard sets from their published formats through ``data build``, ``eval`` with real vLLM, and ``report``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import published_rows as published
import pyarrow.parquet as pq
import pytest
import standard_rows as standard
from harness import running
from published_rows import write_lines
from test_eval_endpoint import teach
from tiny_model import build_tiny_model

from personadual import schema
from personadual.cli import main
from personadual.evaluation.load import read_generations
from personadual.modes import DEFAULT_MODES
from personadual.reward_fns.compose import compute_score

ASKED = (schema.FREE, *DEFAULT_MODES.names)
SOURCES = {"mmlu", "gsm8k", "medqa", "gpqa", "alignx_test", "personamem"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standard")
    sets = folder / "sets"
    (sets / "personamem").mkdir(parents=True)
    write_lines(sets / "mmlu.jsonl", published.mmlu(3))
    write_lines(sets / "gsm8k.jsonl", published.gsm8k(3))
    write_lines(sets / "medqa.jsonl", [standard.ASKED])
    write_lines(sets / "gpqa.jsonl", [standard.gpqa(1)])
    write_lines(sets / "alignx_test.jsonl", published.alignx(2))
    write_lines(sets / "personahub.jsonl", published.personas(30))
    standard.write_personamem(sets / "personamem")
    build = ["data", "build", "--preset", "standard", "--local", str(sets), "--out", str(folder / "data")]
    assert main([*build, "--workers", "1"]) == 0
    build_tiny_model(folder / "tiny")
    teach(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def answers(work: Path) -> pd.DataFrame:
    command = [sys.executable, "-m", "personadual.cli", "eval", str(work / "tiny"), "--max-tokens", "32"]
    command += ["--data", str(work / "data" / "test.parquet"), "--out", str(work / "answers.jsonl")]
    with running(command, work / "eval.log", {"VERL_PLATFORM": ""}) as run:
        assert run.wait(400) == 0, run.tail()
    return read_generations([work / "answers.jsonl"])


def test_every_set_is_asked_freely_and_in_each_mode_and_graded_as_in_training(
    work: Path, answers: pd.DataFrame
) -> None:
    rows = {row[schema.EXTRA_INFO][schema.ITEM]: row for row in pq.read_table(work / "data/test.parquet").to_pylist()}
    assert {row[schema.DATA_SOURCE] for row in rows.values()} == SOURCES
    assert Counter(zip(answers["item"], answers["asked_mode"], strict=True)) == {
        (item, asked): 1 for item in rows for asked in ASKED
    }
    for answer in answers.to_dict("records"):
        row = rows[answer["item"]]
        truth = row[schema.REWARD_MODEL][schema.GROUND_TRUTH]
        graded = compute_score(row[schema.DATA_SOURCE], answer["response"], truth, row[schema.EXTRA_INFO])
        assert (answer["acc"], answer["score"]) == (graded["acc"], graded["score"])
        assert answer["asked_mode"] in (schema.FREE, answer["mode"])  # a forced mode is the answer's


def test_the_report_has_every_set_and_shows_no_text_of_a_private_one(work: Path, answers: pd.DataFrame) -> None:
    assert main(["report", str(work / "answers.jsonl"), "--out", str(work / "report")]) == 0
    found = json.loads((work / "report" / "report.json").read_text())
    told = {(entry["source"], entry["condition"]) for entry in found["sources"] if entry["measure"] == "acc_free"}
    named = dict(zip(answers["data_source"], answers["source"], strict=True))
    assert named.keys() == SOURCES and {source for source, _ in told} == set(named.values())
    assert {(named["mmlu"], "none"), (named["mmlu"], "unaligned"), (named["personamem"], "personal")} <= told
    question = standard.gpqa(1)["Question"]
    assert answers["question"].str.contains(question, regex=False).any()
    for page in ("report.md", "report.html", "report.json"):
        assert question not in (work / "report" / page).read_text(encoding="utf-8")
