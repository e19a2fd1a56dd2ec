"""The experiment's scripts: how fast an arm learns to choose, and what is published of its cells."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from eval_rows import always_personalized, planted, right_choice, write_rows

from personadual.evaluation.options import Statistics
from personadual.evaluation.report import read_report, write_report

SCRIPTS = Path(__file__).parents[2] / "examples/experiment"


def run(script, *arguments):
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def log_file(folder, number, steps, kind="prob"):
    """A run's metrics: P(personalized) by condition for each step."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"step": step, "data": {f"dual_grpo/quickstart_{c}/{kind}_personalized/mean": p for c, p in choice.items()}}
        for step, choice in steps.items()
    ]
    (folder / f"{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def choice(general, personalized):
    return {**dict.fromkeys(("none", "unaligned", "conflicting"), general),
            **dict.fromkeys(("aligned", "personal"), personalized)}  # fmt: skip


def test_learning_joins_attempts_smooths_and_says_when_an_error_was_reached(tmp_path):
    start, good = choice(0.5, 0.5), choice(0.0, 1.0)
    runs = tmp_path / "runs"
    # The second attempt repeats step 2, and replaces it.
    log_file(runs / "mine_s1/metrics", 9, {1: start, 2: choice(1.0, 0.0)})
    log_file(runs / "mine_s1/metrics", 10, {2: start, **{step: good for step in range(3, 13)}})
    log_file(runs / "grpo_s2/metrics", 1, {step: choice(0.0, 0.0) for step in range(1, 4)}, kind="share")
    (runs / "sft_s1").mkdir()
    done = run("learning.py", runs, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out/learning.csv").set_index(["arm", "seed", "step"])["error"]
    assert table["mine", 1].round(3).tolist() == pytest.approx([0.5, 0.5, 0.333, 0.25, 0.2, 0.1] + [0.0] * 6)
    assert table["grpo", 2].tolist() == pytest.approx([0.4] * 3)
    lines = (tmp_path / "out/learning.md").read_text().splitlines()
    assert lines[2].startswith("| `grpo` | 2 | – |") and lines[2].endswith("| – | – | – |")
    assert lines[3].endswith("| 4 | 5 | 6 |")
    assert (tmp_path / "out/learning.png").stat().st_size > 1000


def test_learning_says_what_is_missing(tmp_path):
    (tmp_path / "runs/sft_s1").mkdir(parents=True)
    done = run("learning.py", tmp_path / "runs", "--out", tmp_path / "out")
    assert done.returncode == 1 and "no folder ARM_sSEED/metrics" in done.stderr
    log_file(tmp_path / "runs/mine_s1/metrics", 1, {1: {"none": 0.5}})
    done = run("learning.py", tmp_path / "runs", "--out", tmp_path / "out")
    assert done.returncode == 1 and "under unaligned" in done.stderr


def test_what_is_published_can_be_restored(tmp_path):
    made, results, other = tmp_path / "made", tmp_path / "results", tmp_path / "other"
    log_file(made / "runs/mine_s1/metrics", 9, {1: choice(0.5, 0.25)})
    log_file(made / "runs/late_s1/metrics", 9, {1: choice(0.5, 0.25)})
    for name, finished in (("mine_s1", True), ("late_s1", False)):
        path = made / f"generations/val/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, planted(name, right_choice, questions=2))
        path.with_suffix(".meta.json").write_text(json.dumps({"settings": {"label": name, "at": f"{Path.cwd()}/x"}}))
        (made / "stages").mkdir(exist_ok=True)
        if finished:
            (made / f"stages/val_{name}").write_text("7\n")
    for _ in range(2):
        done = run("archive.py", "publish", made, results)
        assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted(results.glob("answers/val/*"))] == ["mine_s1.jsonl.gz", "mine_s1.meta.json"]
    assert json.loads((results / "answers/val/mine_s1.meta.json").read_text())["settings"]["at"] == "x"

    assert [path.name for path in sorted(results.glob("training/*"))] == ["mine_s1.jsonl.gz"]

    (other / "stages").mkdir(parents=True)
    # A restore that was stopped before the answers, which come last, is made good.
    (other / "generations/val").mkdir(parents=True)
    (other / "generations/val/mine_s1.meta.json").write_text("{}")
    done = run("archive.py", "restore", other, results)
    assert done.returncode == 0, done.stderr
    same = "generations/val/mine_s1.jsonl"
    assert (other / same).read_bytes() == (made / same).read_bytes()
    assert (other / "stages/val_mine_s1").read_text() == "7\n" and not (other / "stages/val_late_s1").exists()
    assert json.loads((other / "runs/mine_s1/metrics/0.jsonl").read_text())["step"] == 1
    # A cell made anew is not overwritten by what was published before.
    (other / same).write_text("mine")
    assert run("archive.py", "restore", other, results).returncode == 0
    assert (other / same).read_text() == "mine"


def test_tables_judge_the_goals_by_a_report(tmp_path):
    models = {"sft": always_personalized, "grpo_free": always_personalized, "mine": right_choice}
    files = [write_rows(tmp_path / f"{name}.jsonl", planted(name, choose)) for name, choose in models.items()]
    pairs = Statistics(compare=[("sft", "mine"), ("grpo_free", "mine")])
    write_report(read_report(files, "t", statistics=pairs), tmp_path)
    done = run("tables.py", tmp_path / "report.json", "--judge", "mine")
    assert done.returncode == 0, done.stderr
    choice = next(line for line in done.stdout.splitlines() if line.startswith("| `mine` |")).split(" | ")
    # The tag that is chosen has 0.9: what the rest went to is an error. Every mode that is chosen is the better one.
    assert choice[3].startswith("0.10 ") and choice[4].startswith("1.00 ") and choice[5] == "1.00"
    goals = [line for line in done.stdout.splitlines() if line.endswith(("| yes |", "| no |"))]
    assert [line.split("|")[3].strip() for line in goals] == ["yes", "yes", "no", "yes", "yes", "yes", "yes"]
    done = run("tables.py", tmp_path / "report.json", "--judge", "mine", "--grpo", "grpo_free", "--sft", "nobody")
    assert "not compared" in done.stdout
