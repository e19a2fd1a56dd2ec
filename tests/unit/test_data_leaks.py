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
from personadual.data_prep.leak_questions import question_of
from personadual.data_prep.neardup import NearDuplicates

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
    found, unread = leaks.find_leaks(files, {"bench": path})
    assert unread == []
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
        (
            {"extra_info": {"question": "From verl?", "options": ["x", "y"]}, "prompt": [{"role": "user"}]},
            ("From verl?", ("x", "y")),
        ),
        (
            {"extra_info": {"question": "Open?", "options": None}, "prompt": [{"role": "user", "content": "x"}]},
            ("Open?", ()),
        ),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Asked? Answer in JSON."}]},
            ("Asked?", ()),
        ),
        (
            {"prompt": [{"role": "user", "content": "Which?\nA. one\nB. two\nAnswer in JSON."}]},
            ("Which?", ("one", "two")),
        ),
        ({"conversations": [{"from": "human", "value": "Which?\nA. one\nB. two"}]}, ("Which?", ("one", "two"))),
        ({"question": "Plain?", "prompt": "other"}, ("Plain?", ())),
        ({"question": "Mapped?", "options": {"A": "one", "B": "two"}}, ("Mapped?", ("one", "two"))),
        ({"question": "ARC?", "choices": {"text": ["one", "two"], "label": ["1", "2"]}}, ("ARC?", ("one", "two"))),
        ({"question": "Odd?", "options": [{"key": "A"}], "choices": 5}, ("Odd?", ())),
        ({"inputs": "Flan?"}, ("Flan?", ())),
        ({"id": 3}, ("", ())),
    ],
)
def test_the_question_of_a_row_of_any_kind(row, question):
    assert question_of(row) == question


STEM = "Which of the following statements is true?"
OPTIONS = ["cells divide", "cells never divide", "cells are stars", "cells are numbers"]
OTHERS = ["kings are elected", "a treaty was signed", "Rome fell", "the war was lost"]


@pytest.mark.parametrize(
    ("mine", "theirs", "kind"),
    [
        (OPTIONS, [OTHERS], None),
        (OPTIONS, [OTHERS, OPTIONS], "exact"),
        (OPTIONS, [OTHERS, OPTIONS[::-1]], "exact"),  # in another order
        (OPTIONS, [OTHERS, None], "exact"),  # options that can't be seen may be these
        (None, [OPTIONS], "exact"),
        (None, [None], "exact"),
    ],
)
def test_a_short_question_is_the_same_with_the_same_options(tmp_path, mine, theirs, kind):
    benchmark = write_lines(tmp_path / "bench.jsonl", [{"question": STEM, "choices": options} for options in theirs])
    file = write_lines(tmp_path / "mine.jsonl", [{"question": STEM, "options": mine}])
    found, _ = leaks.find_leaks([file], {"bench": benchmark})
    assert [(leak.kind, leak.benchmark_row) for leak in found] == ([] if kind is None else [(kind, len(theirs))])
    assert run(file, "--against", f"bench={benchmark}") == (kind is not None)


def test_a_short_question_nearly_the_same_is_found_whichever_side_shows_options(tmp_path):
    near = STEM.replace("?", "") + " today"
    for mine, theirs in ((OPTIONS, None), (None, OPTIONS), (OPTIONS, OPTIONS)):
        benchmark = write_lines(tmp_path / "bench.jsonl", [{"question": STEM, "choices": theirs}])
        file = write_lines(tmp_path / "mine.jsonl", [{"question": near, "options": mine}])
        (leak,), _ = leaks.find_leaks([file], {"bench": benchmark}, NearDuplicates(threshold=0.6))
        assert leak.kind == "near" and leak.benchmark_row == 1


def test_a_long_question_is_the_same_with_any_options(tmp_path):
    benchmark = write_lines(tmp_path / "bench.jsonl", [{"question": QUESTION, "choices": OTHERS}])
    file = write_lines(tmp_path / "mine.jsonl", [{"question": QUESTION, "options": OPTIONS}])
    assert run(file, "--against", f"bench={benchmark}") == 1


def test_rows_that_cannot_be_read_are_no_pass(tmp_path, capsys):
    mine = write_benchmark(tmp_path / "mine.jsonl", [QUESTION])
    broken = json.dumps({"question": QUESTION, "answer": float("nan")})
    benchmark = write_lines(tmp_path / "bench.jsonl", [{"question": "Another?"}, {"question": ""}, broken])
    assert run(mine, "--against", f"b={benchmark}") == 2
    said = capsys.readouterr().err
    assert "bench.jsonl: 2 of 3 rows were not compared (1 can't be read, 1 have no question)" in said
    # As in the files themselves; and leaks are told as before.
    assert run(benchmark, "--against", f"b={mine}") == 2
    also = write_benchmark(tmp_path / "also.jsonl", [QUESTION])
    assert run(mine, "--against", f"b={benchmark}", "--against", f"c={also}") == 1
    # Rows without a question are said, and are nothing to compare.
    empty = write_lines(tmp_path / "empty.jsonl", [{"question": "Another?"}, {"question": None}])
    capsys.readouterr()
    assert run(mine, "--against", f"b={empty}") == 0
    assert "1 of 2 rows were not compared" in capsys.readouterr().err


def test_a_column_of_ones_own_and_parquet_benchmarks(tmp_path):
    pq.write_table(pa.table({"stem": [QUESTION], "question": ["something else entirely"]}), tmp_path / "bench.parquet")
    mine = write_benchmark(tmp_path / "mine.jsonl", [QUESTION])
    assert not leaks.find_leaks([mine], {"b": tmp_path / "bench.parquet"}).leaks
    assert len(leaks.find_leaks([mine], {"b": tmp_path / "bench.parquet"}, column="stem").leaks) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{mine}", "--against", "{mine}"], "NAME=FILE is needed"),
        (["{mine}", "--against", "b=/nowhere/b.jsonl"], "no such file"),
        (["{mine}", "--against", "b={empty}"], "no question was found"),
        (["{mine}", "--against", "b={mine}", "--threshold", "2"], "threshold"),
        (["{mine}", "--against", "b={mine}", "--against", "b={mine}"], "'b' is given twice"),
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
