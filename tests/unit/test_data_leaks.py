"""Questions of prepared files that stand in benchmark files too."""

import json

import published_rows as published
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published_rows import write_lines

from personadual import cli
from personadual.data_prep import leaks
from personadual.data_prep.build import build
from personadual.data_prep.build_config import BuildConfig
from personadual.data_prep.config_reading import read

QUESTION = "Which of the rivers of northern Italy flows through the city of Turin before it reaches the Adriatic Sea"


def run(*arguments):
    return cli.main(["data", "leaks", *map(str, arguments)])


@pytest.fixture
def prepared(tmp_path):
    """A prepared folder of 40 UltraMedical questions, and the questions."""
    rows = published.ultramedical(40)
    path = write_lines(tmp_path / "medical.jsonl", rows)
    content = {"sources": [{"name": "ultramedical", "input": str(path)}], "splits": {"train": 1, "val": 0, "test": 0}}
    build(read(BuildConfig, {**content, "rl": {}, "sft": {}}), tmp_path / "out")
    return tmp_path / "out", [row["conversations"][0]["value"].split("\n")[0] for row in rows]


def write_benchmark(path, questions):
    return write_lines(path, [{"question": question, "answer": "A"} for question in questions])


def test_exact_and_near_matches_are_found_in_both_kinds_of_files(prepared, tmp_path):
    folder, questions = prepared
    changed = questions[3].split()
    changed[0] = "Some"
    others = ["What is the capital of Peru?", "How far is the moon from the earth on an average day of the year?"]
    path = write_benchmark(tmp_path / "bench.jsonl", [*others, questions[7].upper(), " ".join(changed)])
    files = [folder / "rl_train.parquet", folder / "sft_train.parquet"]
    found = leaks.find_leaks(files, {"bench": path})
    assert [(leak.file, leak.kind, leak.benchmark_row) for leak in sorted(found, key=lambda x: (x.file, x.kind))] == [
        ("rl_train.parquet", "exact", 3),
        ("rl_train.parquet", "near", 4),
        ("sft_train.parquet", "exact", 3),
        ("sft_train.parquet", "near", 4),
    ]
    for leak in found:
        row = pq.read_table(folder / leak.file).to_pylist()[leak.row - 1]
        assert leak.question[:40] in str(row)
        assert leak.similarity == 1 if leak.kind == "exact" else 0.8 <= leak.similarity < 1


def test_exit_status_table_and_json(prepared, tmp_path, capsys):
    folder, questions = prepared
    clean = write_benchmark(tmp_path / "clean.jsonl", [QUESTION])
    dirty = write_benchmark(tmp_path / "dirty.jsonl", [QUESTION, questions[0]])
    file = folder / "rl_train.parquet"
    assert run(file, "--against", f"clean={clean}") == 0
    assert "no leak found" in capsys.readouterr().out
    assert run(file, "--against", f"clean={clean}", "--against", f"dirty={dirty}") == 1
    assert "dirty" in (printed := capsys.readouterr().out) and "1 leak" in printed
    assert run(file, "--against", f"dirty={dirty}", "--json") == 1
    assert [leak["benchmark"] for leak in json.loads(capsys.readouterr().out)] == ["dirty"]


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"extra_info": {"question": "From verl?"}, "prompt": [{"role": "user", "content": "x"}]}, "From verl?"),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Asked? Answer in JSON."}]},
            "Asked?",
        ),
        ({"prompt": [{"role": "user", "content": "Which?\nA. one\nB. two\nAnswer in JSON."}]}, "Which?"),
        ({"conversations": [{"from": "human", "value": "Which?\nA. one\nB. two"}]}, "Which?"),
        ({"question": "Plain?", "prompt": "other"}, "Plain?"),
        ({"inputs": "Flan?"}, "Flan?"),
        ({"id": 3}, ""),
    ],
)
def test_the_question_of_a_row_of_any_kind(row, question):
    assert leaks.question_of(row) == question


def test_a_column_of_ones_own_and_parquet_benchmarks(tmp_path):
    pq.write_table(pa.table({"stem": [QUESTION], "question": ["something else entirely"]}), tmp_path / "bench.parquet")
    mine = write_benchmark(tmp_path / "mine.jsonl", [QUESTION])
    assert not leaks.find_leaks([mine], {"b": tmp_path / "bench.parquet"})
    assert len(leaks.find_leaks([mine], {"b": tmp_path / "bench.parquet"}, column="stem")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{mine}", "--against", "{mine}"], "NAME=FILE is needed"),
        (["{mine}", "--against", "b=/nowhere/b.jsonl"], "no such file"),
        (["{mine}", "--against", "b={empty}"], "no question was found"),
        (["{mine}", "--against", "b={mine}", "--threshold", "2"], "threshold"),
    ],
)
def test_refusals(tmp_path, capsys, arguments, message):
    mine = write_benchmark(tmp_path / "mine.jsonl", [QUESTION])
    empty = write_lines(tmp_path / "empty.jsonl", [{"id": 1}])
    assert run(*(a.replace("{mine}", str(mine)).replace("{empty}", str(empty)) for a in arguments)) == 2
    assert message in capsys.readouterr().err


def test_a_long_table_is_cut_and_still_says_how_many():
    found = [leaks.Leak("f.parquet", row, "bench", row, "near", 0.9, "Which?") for row in range(1, 8)]
    printed = leaks.table(found, shown=3).splitlines()
    assert len(printed) == 1 + 3 + 1 + 1
    assert "4 more" in printed[-2] and printed[-1] == "7 leaks: bench near 7"
