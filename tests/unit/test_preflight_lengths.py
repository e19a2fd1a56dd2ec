"""Tokens of the data as ``doctor`` counts them: every row of SFT whose length would end the training."""

import pytest
from hydra import compose, initialize_config_module
from preflight_place import SFT_BASE, sft, write
from tiny_model import build_tiny_model

from personadual.data_prep.chat_tokens import training_ids
from personadual.data_prep.columns import SFT_SCHEMA
from personadual.modes import DEFAULT_MODES
from personadual.preflight import data_files, data_lengths
from personadual.preflight.setup import Setup

KEY, LONG = "data.train_files", 37
"""The row, from 1, that is longer than the others."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lengths")
    build_tiny_model(folder / "model")
    rows = sft("train", 64)
    write(folder / "even.parquet", rows, SFT_SCHEMA)
    rows[LONG - 1]["messages"][-1]["content"] += " and so on" * 50
    write(folder / "long.parquet", rows, SFT_SCHEMA)
    return folder


@pytest.fixture
def found(place, monkeypatch):
    """What is said of ``long.parquet``, or of the last of some files, under a limit that only its long row breaks."""
    monkeypatch.chdir(place)
    # A sample of 8 of the 64 rows, which the long one is not among.
    monkeypatch.setattr(data_lengths, "sampled", lambda path, columns: data_files.sampled(path, columns, 8))

    def look(*overrides, files=("long.parquet",)):
        with initialize_config_module(config_module="personadual.config", version_base=None):
            changed = ["data.max_length=300", f"data.train_files=[{','.join(files)}]", *overrides]
            setup = Setup(compose("personadual_sft", overrides=[*SFT_BASE, *changed]))
        rows = data_lengths.measured_rows(setup, KEY, files[-1], "messages", "messages")
        return list(data_lengths.row_length_findings(setup, KEY, files[-1], rows))

    return look


def test_every_row_is_counted_where_one_that_is_too_long_ends_the_training(found):
    (finding,) = found()
    assert finding.severity == "error"
    assert f"1 longer, the first is row {LONG}" in finding.found and "in 64 rows" in finding.found
    assert found(files=["even.parquet"])[0].ok


def test_a_sample_is_enough_where_long_rows_are_cut(found):
    (finding,) = found("data.truncation=right")
    assert finding.ok and "in 8 rows" in finding.found


@pytest.mark.parametrize(
    ("overrides", "files", "rows"),
    [
        ([f"data.train_max_samples={LONG - 1}"], ["long.parquet"], LONG - 1),
        ([f"data.train_max_samples={LONG - 1}", "+data.shuffle=true"], ["long.parquet"], 64),
        (["data.train_max_samples=70"], ["even.parquet", "long.parquet"], 6),
    ],
)
def test_rows_that_training_leaves_out_are_not_counted(found, overrides, files, rows):
    (finding,) = found(*overrides, files=files)
    assert f"in {rows} rows" in finding.found
    assert finding.ok is (rows < LONG)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_have_the_lengths_that_the_data_set_has(place, monkeypatch, batch):
    monkeypatch.chdir(place)
    with initialize_config_module(config_module="personadual.config", version_base=None):
        setup = Setup(compose("personadual_sft", overrides=SFT_BASE))
    rows = sft("train", 64)
    expected = [training_ids(setup.model.tokenizer, row["messages"], DEFAULT_MODES) for row in rows]
    rows[3]["messages"][-1]["content"] = "no tag"
    lengths = list(data_lengths.sequence_lengths(setup, rows, batch))
    assert lengths[3] is None
    assert [length for number, length in enumerate(lengths) if number != 3] == [
        len(ids.prompt) + len(ids.response) for number, ids in enumerate(expected) if number != 3
    ]
