"""``data build``: rows and configurations that are refused, strictness, and what a failed build leaves behind."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import published_rows as published
import pytest
from build_inputs import RL_NAMES, SFT_NAMES, config, hashes, rows_of, run, write_inputs
from published_rows import write_lines

from personadual import schema
from personadual.data_prep.build import build
from personadual.data_prep.build_config import BuildConfig
from personadual.data_prep.config_reading import read


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


BROKEN = [
    {"prompt": "no more than this"},
    "{not json",
    [1, 2],
    {**published.alignx(1)[0], "chosen": 3},
    '{"prompt": "half',
]


def test_malformed_rows_are_named_by_file_line_field_and_reason(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [*published.alignx(40), *BROKEN, *published.alignx(40, seed=1)])
    manifest = build(config(sources=[{"name": "alignx", "input": str(path)}], rl={}), tmp_path / "out")
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [reject["row"] for reject in rejects] == [41, 42, 43, 44, 45]
    assert all(reject["malformed"] and reject["reason"] and reject["file"] == "rows.jsonl" for reject in rejects)
    assert rejects[3]["field"] == "chosen"
    assert sum(manifest["dropped"]["alignx"].values()) == 5 and manifest["rows_read"]["alignx"] == 85


def test_details_of_rejected_rows_are_bounded(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [*published.alignx(40), '{"prompt": ' + "x" * 100_000])
    build(config(sources=[{"name": "alignx", "input": str(path)}], rl={}), tmp_path / "out")
    assert (tmp_path / "out" / "rejects.jsonl").stat().st_size < 1000


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_stops_at_the_first_malformed_row_and_writes_nothing(tmp_path, capsys, workers):
    path = write_lines(tmp_path / "rows.jsonl", [*published.alignx(40), *BROKEN])
    out = tmp_path / "out"
    assert (
        run("--source", "alignx", "--input", path, "--task", "rl", "--out", out, "--strict", "--workers", workers) == 2
    )
    assert "rows.jsonl:41: " in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [path]


def test_strict_lets_unfit_rows_pass(inputs, tmp_path):
    flan = inputs / "flan.jsonl"
    assert (
        run("--source", "flan", "--input", flan, "--task", "sft", "--out", tmp_path / "out", "--strict", "--workers", 1)
        == 0
    )


def test_markers_in_questions_and_personas_are_escaped_or_dropped_and_counted(tmp_path):
    rows = published.flan(30)
    rows[0]["inputs"] = "[General_mode] " + rows[0]["inputs"]
    rows[1]["inputs"] = "<|im_end|> " + rows[1]["inputs"]
    path = write_lines(tmp_path / "flan.jsonl", rows)
    people = write_lines(
        tmp_path / "persona.jsonl", [*published.personas(30), {"persona": "A nurse who writes <answer>"}]
    )
    content = {
        "sources": [{"name": "flan", "input": str(path)}],
        "personas": {"input": str(people), "shares": {"unaligned": 1}},
        "splits": {"train": 1, "val": 0, "test": 0},
        "rl": {},
    }
    escaped = build(config(**content), tmp_path / "escaped")
    assert escaped["escaped_markers"] == {"flan": {"question": 2}, "personahub": {"persona": 1}}
    dropped = build(config(**content, hygiene={"question": "drop", "persona": "drop"}), tmp_path / "dropped")
    assert sum(dropped["dropped"]["flan"].values()) == 2 and sum(dropped["dropped"]["personahub"].values()) == 1
    for out in ("escaped", "dropped"):
        prompts = str([row[schema.PROMPT] for row in rows_of(tmp_path / out, "rl_train.parquet")])
        assert not any(marker in prompts for marker in ("[General_mode]", "<|im_end|>", "<answer>"))


def test_a_failure_on_the_way_leaves_the_old_files_alone(inputs, tmp_path, monkeypatch):
    from personadual.data_prep.pipeline import parquet

    out = tmp_path / "out"
    arguments = {"sources": [{"name": "flan", "input": str(inputs / "flan.jsonl")}], "rl": {}}
    before = hashes(build(config(**arguments), out))

    def fail(self):
        raise OSError("disk full")

    monkeypatch.setattr(parquet.ParquetFile, "close", fail)
    with pytest.raises(OSError, match="disk full"):
        build(config(**arguments, seed=2), out)
    assert hashes(json.loads((out / "manifest.json").read_text())) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_build_leaves_nothing(tmp_path, workers):
    pipe = tmp_path / "rows.jsonl"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "personadual.cli", "data", "build", "--source", "alignx", "--input", str(pipe)]
    process = subprocess.Popen(
        [*command, "--task", "rl", "--out", str(tmp_path / "out"), "--workers", str(workers)],
        stderr=subprocess.PIPE,
        # A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with pipe.open("w") as stream:  # opens once the build reads
        stream.writelines(json.dumps(row) + "\n" for row in published.alignx(3000))
        stream.flush()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and b"nothing written" in error and b"Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_files_of_another_build_are_not_left_beside_new_ones(inputs, tmp_path, capsys):
    common = ("--source", "flan", "--input", inputs / "flan.jsonl", "--out", tmp_path / "out", "--workers", 1)
    assert run(*common, "--task", "sft") == 0
    assert run(*common, "--task", "rl") == 2
    assert "sft_train.parquet" in capsys.readouterr().err
    assert run(*common, "--task", "sft", "--seed", 2) == 0


def test_an_earlier_builds_files_go_where_no_row_falls_to_them(tmp_path):
    out, path = tmp_path / "out", tmp_path / "flan.jsonl"
    arguments = {"sources": [{"name": "flan", "input": str(path)}], "rl": {}}
    write_lines(path, published.flan(200))
    build(config(**arguments), out)
    (out / "notes.txt").write_text("mine")
    assert set(RL_NAMES) < {file.name for file in out.iterdir()}
    write_lines(path, published.flan(4))
    manifest = build(config(**{**arguments, "seed": 7}), out)
    assert not set(RL_NAMES) <= set(manifest["files"])
    assert {file.name for file in out.iterdir()} == {*manifest["files"], "manifest.json", "notes.txt"}


def test_a_build_that_was_killed_while_it_moved_its_files_leaves_no_others_behind(inputs, tmp_path):
    out = tmp_path / "out"
    arguments = {"sources": [{"name": "flan", "input": str(inputs / "flan.jsonl")}]}
    build(config(**arguments, sft={}, rl={}), out)
    (out / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"sft_train\.parquet, sft_val\.parquet of another build"):
        build(config(**arguments, rl={}), out)
    for name in SFT_NAMES:
        (out / name).unlink()
    build(config(**arguments, rl={}), out)


def test_removing_what_another_build_left_is_enough(inputs, tmp_path):
    out = tmp_path / "out"
    arguments = {"sources": [{"name": "flan", "input": str(inputs / "flan.jsonl")}]}
    build(config(**arguments, sft={}), out)
    for name in SFT_NAMES:
        (out / name).unlink()
    assert "rl_train.parquet" in build(config(**arguments, rl={}), out)["files"]


@pytest.mark.parametrize("out", [".", "../here"])
def test_the_output_may_be_the_folder_that_one_is_in(inputs, tmp_path, monkeypatch, out):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    flags = ("--source", "flan", "--input", inputs / "flan.jsonl", "--task", "rl", "--workers", 1)
    assert run(*flags, "--out", out) == 0
    assert (here / "manifest.json").exists() and [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("kind", ["a mount point", "a link", "a link to nothing yet"])
def test_the_output_may_be_on_another_file_system(inputs, tmp_path, monkeypatch, kind):
    disk = tmp_path / "disk"
    (disk / "data").mkdir(parents=True)
    out = disk if kind == "a mount point" else tmp_path / "data"
    if out != disk:
        out.symlink_to(disk / ("data" if kind == "a link" else "new"))
    move = os.replace

    def replace(source, target):
        if len({Path(path).resolve().is_relative_to(disk) for path in (source, target)}) > 1:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)
    arguments = {"sources": [{"name": "flan", "input": str(inputs / "flan.jsonl")}], "rl": {}}
    for seed in (1, 2):
        manifest = build(config(**arguments, seed=seed), out)
    assert hashes(json.loads((out / "manifest.json").read_text())) == hashes(manifest)
    assert {path.name for path in out.iterdir()} - {"data"} == {*manifest["files"], "manifest.json"}
    assert not list(tmp_path.glob("**/.*"))


GOOD = {"sources": [{"name": "flan", "input": "flan.jsonl"}], "rl": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**GOOD, "sed": 1}, "sed: unknown key; did you mean seed"),
        ({**GOOD, "splits": {"trian": 1.0}}, "splits.trian: unknown key; did you mean train"),
        ({**GOOD, "sources": [{"input": "x"}]}, r"sources\[0\]: missing 1 required"),
        (
            {**GOOD, "sources": [{"name": "flan", "limit": "many"}]},
            r"sources\[0\].limit: a whole number is needed, found 'many'",
        ),
        ({**GOOD, "sources": [{"name": "flan", "limit": 0}]}, "sources.flan.limit"),
        (
            {**GOOD, "sources": [{"name": "flan", "weight": 2}, {"name": "arc"}, {"name": "mmlu"}]},
            "flan has a weight and arc, mmlu has none.* give every source one",
        ),
        ({**GOOD, "sources": []}, "sources: at least one"),
        ({"sources": GOOD["sources"]}, "sft, rl: at least one"),
        ({**GOOD, "seed": True}, "seed: a whole number is needed, found True"),
        ({**GOOD, "splits": {"train": 0.5}}, "sum to 1"),
        ({**GOOD, "rl": {"share": 0}}, "share"),
        ({**GOOD, "sft": {"modes": "both"}}, "right or all"),
        ({**GOOD, "rl": {"modes": "right"}}, r"rl\.modes: .*sft\.modes"),
        ({**GOOD, "sft": {"test_items": 9}}, r"sft\.test_items: .*rl\.test_items"),
        ({**GOOD, "hygiene": {"question": "keep"}}, "hygiene.question"),
        ({**GOOD, "personas": {"shares": {"helpful": 1}}}, "none, unaligned, aligned, conflicting"),
        ({**GOOD, "personas": {"shares": {"none": 0.5}}}, "sum to 1"),
        ({**GOOD, "personas": {"shares": {"aligned": 1.0}}}, "written by a served model, but served is null"),
        ({**GOOD, "judge": {"base_url": "http://localhost:1", "model": "m"}}, "judge: .*but served is null"),
        ({**GOOD, "personas": {"every_condition_in": ["dev"]}}, "every_condition_in"),
        ({**GOOD, "served": {"base_url": "http://localhost:1/v1"}}, "served.model is missing"),
        ({**GOOD, "modes": [{"name": "a", "tag": "b"}]}, "at least 2"),
        ([], "keys and values"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused_by_name(content, message):
    with pytest.raises(ValueError, match=message):
        read(BuildConfig, content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "flan", "--task", "rl"], "input is missing"),
        (["--source", "flan", "--input", "{here}/nothing.jsonl", "--task", "rl"], "no such file"),
        (["--source", "flann", "--input", "x", "--task", "rl"], "did you mean flan"),
        (["--source", "flan", "--input", "x"], "--task"),
        (["--config", "{here}/nothing.yaml"], "cannot be read as yaml"),
        (["--preset", "paper", "--input", "x.jsonl"], "NAME=FILE with one of ultramedical"),
        (["--preset", "quickstart", "--task", "rl"], "--task goes with --source"),
        (["--preset", "quickstart", "--sft-modes", "all"], "--sft-modes goes with --source"),
        (["--source", "flan", "--input", "x", "--task", "rl", "--sft-modes", "all"], "found --task rl"),
        (["--preset", "quickstart", "--workers", "0"], "workers"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(tmp_path, capsys, arguments, message):
    filled = [argument.replace("{here}", str(tmp_path)) for argument in arguments]
    assert run(*filled, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_of_personas_that_are_all_left_out_says_why(inputs, tmp_path, capsys):
    people = write_lines(tmp_path / "persona.jsonl", [{"persona": "住在杭州的儿科护士"}] * 3 + [{"persona": ""}])
    flags = ("--source", "flan", "--input", inputs / "flan.jsonl", "--task", "rl", "--workers", 1)
    assert run(*flags, "--personas", people, "--out", tmp_path / "out") == 2
    assert "(4 were left out, 3 of them as: not English)" in capsys.readouterr().err


def test_a_file_of_nothing_but_unfit_rows_is_refused_with_the_reasons(tmp_path, capsys):
    path = write_lines(tmp_path / "flan.jsonl", published.flan(5, task="wmt16_translate_deen"))
    assert run("--source", "flan", "--input", path, "--task", "rl", "--out", tmp_path / "out", "--workers", 1) == 2
    assert "flan: translation task (5)" in capsys.readouterr().err
