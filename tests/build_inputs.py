"""Inputs of ``personadual data build`` in four sets' own formats, and what the tests of a build share."""

import published_rows as published
import pyarrow.parquet as pq
from published_rows import write_lines

from personadual import cli
from personadual.data_prep.build_config import BuildConfig
from personadual.data_prep.config_reading import read

RL_NAMES = ("rl_train.parquet", "rl_val.parquet", "test.parquet")
SFT_NAMES = ("sft_train.parquet", "sft_val.parquet")


def config(**content):
    return read(BuildConfig, content)


def rows_of(folder, *names):
    return [row for name in names for row in pq.read_table(folder / name).to_pylist()]


def run(*arguments):
    return cli.main(["data", "build", *map(str, arguments)])


def hashes(manifest):
    return {name: entry["sha256"] for name, entry in manifest["files"].items()}


def write_inputs(folder):
    write_lines(
        folder / "ultramedical.jsonl", [*published.ultramedical(60), *published.ultramedical(40, 1, "PubMedQA")]
    )
    write_lines(folder / "flan.jsonl", published.flan(60) + published.flan(5, task="wmt16_translate_deen"))
    write_lines(folder / "alignx.jsonl", published.alignx(60))
    write_lines(folder / "persona.jsonl", published.personas(60))
    return folder


def mix_of(inputs):
    return {
        "seed": 3,
        "sources": [
            {"name": name, "input": str(inputs / f"{name}.jsonl")} for name in ("ultramedical", "flan", "alignx")
        ],
        "personas": {"input": str(inputs / "persona.jsonl"), "shares": {"none": 0.5, "unaligned": 0.5}},
        "splits": {"train": 0.6, "val": 0.2, "test": 0.2},
        "sft": {"share": 0.5, "modes": "all"},
        "rl": {"share": 0.5},
    }
