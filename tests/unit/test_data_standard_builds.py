"""Standard sets built for evaluation: one at a time, the whole suite, and checked against training files."""

import json
import re
from collections import Counter

import pyarrow.parquet as pq
import pytest
from published_rows import gsm8k, mmlu, personas, write_lines
from standard_rows import ASKED, gpqa, write_personamem
from test_data_sources import preference

from personadual import schema
from personadual.cli import main
from personadual.data_prep.sources import prefeval, question_source


def build(*arguments, task="eval"):
    return main(["data", "build", *map(str, arguments), *(["--task", task] if task else []), "--workers", "1"])


def rows_of(folder):
    return pq.read_table(folder / "test.parquet").to_pylist()


def test_a_set_to_evaluate_on_goes_to_the_test_file_whole(tmp_path, capsys):
    source = write_lines(tmp_path / "m.jsonl", mmlu(40))
    people = write_lines(tmp_path / "persona.jsonl", personas(30))
    assert build("--source", "mmlu", "--input", source, "--personas", people, "--out", tmp_path / "out") == 0
    assert "not written" not in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "rejects.jsonl",
        "test.parquet",
    ]
    rows = rows_of(tmp_path / "out")
    by_question: dict[str, set[str]] = {}
    for row in rows:
        extra = row[schema.EXTRA_INFO]
        by_question.setdefault(extra[schema.QUESTION_ID], set()).add(extra[schema.CONDITION])
        assert extra[schema.SPLIT] == "test" and extra[schema.RIGHT_MODE] == "general"
        assert bool(extra[schema.PERSONA]) == (extra[schema.CONDITION] == schema.UNALIGNED)
    assert len(rows) == 80 and list(by_question.values()) == [{schema.NONE, schema.UNALIGNED}] * 40


def test_every_standard_set_in_one_build(tmp_path, capsys):
    sets = tmp_path / "sets"
    sets.mkdir()
    write_lines(sets / "mmlu.jsonl", mmlu(12))
    write_lines(sets / "gsm8k.jsonl", gsm8k(12))
    write_lines(sets / "medqa.jsonl", [ASKED])
    write_lines(sets / "gpqa.jsonl", [gpqa(number) for number in range(5)])
    write_lines(sets / "alignx_test.jsonl", [preference()])
    write_lines(sets / "prefeval.jsonl", [{"preference": "I hate noise.", "question": "Where to?"}])
    write_lines(sets / "personahub.jsonl", personas(30))
    write_personamem(_made(sets / "personamem"))
    assert build("--preset", "standard", "--local", sets, "--out", tmp_path / "out", task=None) == 0
    printed = capsys.readouterr().out
    assert "show no row of these in plain text, as their authors ask: gpqa" in printed
    assert f"prefeval: {prefeval.NO_CHOICES}" in printed
    rows = rows_of(tmp_path / "out")
    found = Counter((row[schema.DATA_SOURCE], row[schema.EXTRA_INFO][schema.CONDITION]) for row in rows)
    assert found == {
        **{(name, condition): count for name, count in OBJECTIVE_ROWS.items() for condition in ("none", "unaligned")},
        ("alignx_test", "personal"): 1,
        ("personamem", "personal"): 2,
    }
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [name for name, about in manifest["sources"].items() if about["private"]] == ["gpqa"]
    assert str(tmp_path) not in json.dumps(manifest)
    assert main(["data", "validate", str(tmp_path / "out" / "test.parquet")]) == 0


OBJECTIVE_ROWS = {"mmlu": 12, "gsm8k": 12, "medqa": 1, "gpqa": 5}


def _made(folder):
    folder.mkdir()
    return folder


def test_only_the_sets_that_are_there_are_built(tmp_path, capsys):
    sets = _made(tmp_path / "sets")
    write_lines(sets / "gsm8k.jsonl", gsm8k(4))
    (sets / ".mmlu.jsonl").write_text("{}")
    assert build("--preset", "standard", "--local", sets, "--out", tmp_path / "out", task=None) == 0
    assert [row[schema.DATA_SOURCE] for row in rows_of(tmp_path / "out")] == ["gsm8k"] * 4
    assert "split" not in capsys.readouterr().err
    (sets / "gsm8k.jsonl").unlink()
    assert build("--preset", "standard", "--local", sets, "--out", tmp_path / "none", task=None) == 2
    assert "there is none of mmlu, medqa, gpqa, gsm8k" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["", "main"])
def test_of_a_folder_with_several_splits_the_test_set_takes_its_own(tmp_path, capsys, place):
    folder = _made(tmp_path / "sets") / "gsm8k"
    (folder / place).mkdir(parents=True)
    rows = gsm8k(30)
    write_lines(folder / place / "train-00000.jsonl", rows[:20])
    test = write_lines(folder / place / "test-00000.jsonl", rows[20:])
    if place:
        write_lines(_made(folder / "socratic") / "test.jsonl", gsm8k(40)[30:])  # another configuration
    (tmp_path / "build.yaml").write_text(GSM8K)
    local = ("--preset", "standard", "--local", tmp_path / "sets")
    named = ("--config", tmp_path / "build.yaml", "--input", f"gsm8k={folder}")
    alone = ("--source", "gsm8k", "--task", "eval", "--input", folder)
    for name, flags in (("local", local), ("named", named), ("alone", alone)):
        assert build(*flags, "--out", tmp_path / name, task=None) == 0
        asked = {row[schema.EXTRA_INFO][schema.QUESTION] for row in rows_of(tmp_path / name)}
        assert asked == {row["question"] for row in rows[20:]}
    test.unlink()
    for flags in (local, alone):
        assert build(*flags, "--out", tmp_path / "none", task=None) == 2
        assert "'test' is the split to be read, but there are only files of train;" in capsys.readouterr().err


GSM8K = """
sources: [{name: gsm8k, input: openai/gsm8k, config: main, split: test}]
splits: {train: 0, val: 0, test: 1}
rl: {}
"""


def test_a_folder_whose_files_name_no_split_is_read_whole(tmp_path):
    folder = _made(_made(tmp_path / "sets") / "gsm8k")
    for number in (0, 2):
        write_lines(folder / f"part{number}.jsonl", gsm8k(4)[number : number + 2])
    assert build("--preset", "standard", "--local", tmp_path / "sets", "--out", tmp_path / "out", task=None) == 0
    assert len(rows_of(tmp_path / "out")) == 4


def test_another_copy_on_the_hub_is_read_in_the_same_split(capsys):
    flags = ("--preset", "standard", "--input", "mmlu=someone/mmlu", "--dry-run")
    assert build(*flags, task=None) == 0
    assert "- name: mmlu\n  input: someone/mmlu\n  split: test\n  config: null\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "gsm8k", "--input", "x.jsonl"], "--task: sft, rl, both or eval is needed"),
        (["--source", "gsm8k", "--local", "sets", "--task", "eval"], "--local goes with --config or --preset"),
        (["--preset", "standard", "--local", "no/such"], "--local no/such: a folder is needed"),
    ],
)
def test_arguments_that_do_not_go_together(capsys, arguments, words):
    assert build(*arguments, "--out", "out", task=None) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mmlu", "medqa", "gpqa", "gsm8k", "alignx_test", "personamem", "prefeval"])
def test_a_hub_id_is_read_in_its_test_split(capsys, name):
    about = question_source(name).about
    assert about.hub_id and about.test_split
    assert build("--source", name, "--input", about.hub_id, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert f"input: {about.hub_id}\n" in shown and f"split: {about.test_split}\n" in shown
    assert f"config: {about.hub_config or 'null'}\n" in shown and "test: 1.0\n" in shown


def test_the_preset_takes_each_set_as_its_source_says(capsys):
    assert build("--preset", "standard", "--dry-run", task=None) == 0
    shown = capsys.readouterr().out
    for name in ("mmlu", "medqa", "gpqa", "gsm8k", "alignx_test", "personamem", "prefeval"):
        about = question_source(name).about
        entry = f"- name: {name}\n  input: {about.hub_id}\n  split: {about.test_split}\n"
        assert entry + f"  config: {about.hub_config or 'null'}\n" in shown


def test_a_standard_set_that_was_trained_on_is_found(tmp_path, capsys):
    rows = write_lines(tmp_path / "m.jsonl", mmlu(60))
    held = write_lines(tmp_path / "held.jsonl", mmlu(3))
    assert build("--source", "mmlu", "--input", rows, "--out", tmp_path / "train", task="rl") == 0
    assert build("--source", "mmlu", "--input", held, "--out", tmp_path / "eval") == 0
    capsys.readouterr()
    test = f"mmlu={tmp_path / 'eval' / 'test.parquet'}"
    assert main(["data", "leaks", *map(str, (tmp_path / "train").glob("*.parquet")), "--against", test]) == 1
    assert "3 leaks: mmlu exact 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (lambda folder: (folder / "shared_contexts_32k.jsonl").unlink(), "shared_contexts_32k.jsonl: missing"),
        (lambda folder: write_lines(folder / "shared_contexts_32k.jsonl", ["{"]), "jsonl:1: {id: .messages.}"),
        (
            lambda folder: write_lines(folder / "shared_contexts_32k.jsonl", [{"c1": ["x"]}]),
            "jsonl:1: {id: .messages.}",
        ),
        (
            lambda folder: (folder / "questions_1M.csv").write_text("x\n"),
            "found questions_1M.csv, questions_32k.csv",
        ),
    ],
)
def test_personamem_needs_both_files(tmp_path, capsys, arrange, words):
    arrange(write_personamem(tmp_path))
    assert build("--source", "personamem", "--input", tmp_path, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and re.search(words, error)
