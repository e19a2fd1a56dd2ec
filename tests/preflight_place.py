"""A folder for ``personadual doctor``: a sound model, models whose tokenizers are not, sound files; its findings."""

from pathlib import Path

import pyarrow as pa
from tiny_model import build_tiny_model, build_tiny_tokenizer, tokenizer_with

from personadual import schema
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA, to_table, write_parquet
from personadual.data_prep.items import FACT, Item, rl_rows, sft_rows
from personadual.modes import DEFAULT_MODES
from personadual.preflight.findings import OK

ROWS = 64
QWEN3 = (Path(__file__).parent / "templates" / "qwen3.jinja").read_text()
TAG_IN_TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}[General_mode]{% endif %}"
)
OPEN_THINK = QWEN3.rstrip() + "{%- if add_generation_prompt %}{{- '<think>\\n' }}{%- endif %}"


def bad(findings):
    return [finding for finding in findings if finding.severity != OK]


def the_one(findings):
    (finding,) = bad(findings)
    return finding


def item(number, split):
    return Item(
        question_id=f"{split}-{number}",
        condition=schema.NONE if number % 2 else schema.UNALIGNED,
        question=f"Question {number} of {split}? A. yes B. no",
        persona="" if number % 2 else f"I am person {number} of {split}.",
        truth="B",
        accept=(),
        mode_answers=("B", "B"),
        right_mode=number // 2 % 2,
        ability=FACT,
        split=split,
        source="test",
        options=("yes", "no"),
    )


def rl(split, rows=ROWS):
    return rl_rows([item(number, split) for number in range(rows)], DEFAULT_MODES, "quickstart_")


def sft(split, rows=ROWS):
    shown = [(number, mode) for number in range(rows // 2) for mode in range(2)]
    return sft_rows([item(number, split) for number in range(rows // 2)], DEFAULT_MODES, shown)


def write(path, rows, table_schema=None):
    table = pa.Table.from_pylist(rows) if table_schema is None else to_table(rows, table_schema)
    write_parquet(path, table)


def make_place(folder):
    """``folder`` with a sound model, models whose tokenizers are not, and sound files."""
    build_tiny_model(folder / "model")
    for name, template in (("qwen3", QWEN3), ("open_think", OPEN_THINK)):
        build_tiny_model(folder / name, tokenizer=tokenizer_with(template))
    bare = build_tiny_tokenizer()
    bare.chat_template = None
    build_tiny_model(folder / "base", tokenizer=bare)
    build_tiny_model(folder / "grown")
    tokenizer_with().save_pretrained(folder / "grown")
    endless = build_tiny_tokenizer()
    endless.eos_token = endless.pad_token = None
    coded = build_tiny_tokenizer()
    coded.init_kwargs["auto_map"] = {"AutoTokenizer": ["code.Tokenizer", None]}
    build_tiny_model(folder / "coded")
    coded.save_pretrained(folder / "coded")
    build_tiny_model(folder / "endless")
    endless.save_pretrained(folder / "endless")
    build_tiny_model(folder / "broken")
    (folder / "broken" / "config.json").write_text("{")
    for split in ("train", "val"):
        write(folder / f"rl_{split}.parquet", rl(split), RL_SCHEMA)
        write(folder / f"sft_{split}.parquet", sft(split), SFT_SCHEMA)
    return folder


# The shipped configurations with a model of two heads and small files.
A = "actor_rollout_ref"
RL_BASE = [
    f"{A}.model.path=model",
    f"{A}.rollout.tensor_model_parallel_size=2",
    "data.train_files=rl_train.parquet",
    "data.val_files=rl_val.parquet",
    "data.max_prompt_length=1024",
    "data.max_response_length=512",
]
SFT_BASE = [
    "model.path=model",
    "data.train_files=sft_train.parquet",
    "trainer.n_gpus_per_node=8",
    "data.max_length=2048",
]
