"""The data of ``ARM=think`` as docs/launchers.md makes it, under the checks before each of its two stages."""

from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from preflight_place import RL_BASE, ROWS, SFT_BASE, bad, item, write
from tiny_model import build_tiny_model
from validate_rows import findings, named

from personadual import schema
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA
from personadual.data_prep.items import rl_rows, sft_rows
from personadual.modes import DEFAULT_MODES, Mode, Modes
from personadual.preflight.data import data_findings
from personadual.preflight.findings import ERROR
from personadual.preflight.setup import Setup
from personadual.reward_fns.answer_block import render_block

PAGE = Path(__file__).parents[2] / "docs" / "launchers.md"
MODES = Modes([Mode("think", "<think>"), Mode("no_think", "<answer>")])
SFT_MODES = 'data.modes=[{name:think,tag:"<think>"},{name:no_think,tag:"<answer>"}]'
BLOCK = render_block("B")


def prepared(folder, traces=("It says so here.", "")):
    """What a build writes, the general answers with each of ``traces`` in turn."""
    for split in ("train", "val"):
        items = [item(number, split) for number in range(ROWS)]
        bodies = [(f"{traces[number % len(traces)]}\n{BLOCK}", BLOCK) for number in range(ROWS)]
        shown = [replace(each, bodies=body) for each, body in zip(items, bodies, strict=True)]
        order = [(number, mode) for number in range(ROWS) for mode in range(2)]
        write(folder / f"data/sft_{split}.parquet", sft_rows(shown, DEFAULT_MODES, order), SFT_SCHEMA)
        asked = (schema.FREE,) if split == "train" else (schema.FREE, *DEFAULT_MODES.names)
        write(folder / f"data/rl_{split}.parquet", rl_rows(items, DEFAULT_MODES, "quickstart_", asked), RL_SCHEMA)
    exec(PAGE.read_text().split("```python\n")[1].split("```")[0], {})  # noqa: S102


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    build_tiny_model(tmp_path / "model")
    return tmp_path


def look(config, *overrides):
    with initialize_config_module(config_module="personadual.config", version_base=None):
        return list(data_findings(Setup(compose(config, overrides=list(overrides)))))


def look_rl():
    files = ["data.train_files=data/rl_train.parquet", "data.val_files=data/rl_val_free.parquet"]
    return look("dual_grpo_trainer", *RL_BASE, *files, "+arm=think")


def look_sft():
    return look("personadual_sft", *SFT_BASE, "data.train_files=data/sft_think.parquet", SFT_MODES)


@pytest.mark.parametrize("traces", [("Because.", ""), ("Because.",), ("",)], ids=["both", "traces", "none"])
def test_what_the_page_makes_passes_in_both_stages(place, traces):
    prepared(place, traces)
    found = bad(look_sft())
    assert all(finding.severity != ERROR for finding in found), found
    assert any(finding.what.startswith("mode-not-shown") for finding in found) == (len(traces) == 1)
    found = bad(look_rl())
    assert all(finding.severity != ERROR for finding in found), found
    assert any("training" in finding.mend for finding in found if finding.what.startswith("unknown-right-mode"))


def test_rows_for_other_modes_are_graded_all_the_same(place):
    prepared(place)
    rows = rl_rows([item(number, "train") for number in range(ROWS)], DEFAULT_MODES, "quickstart_")
    rows[40][schema.REWARD_MODEL][schema.GROUND_TRUTH] = "Z"
    write(place / "data/rl_train.parquet", rows, RL_SCHEMA)
    assert any(finding.what.startswith("truth-not-an-option") for finding in look_rl() if finding.severity == ERROR)


@pytest.mark.parametrize(
    ("response", "check"),
    [
        (f"<think>\nHm.\n</think>\n\n{BLOCK}", None),
        (BLOCK, None),
        (f"<think>\nHm.<think>\n</think>\n\n{BLOCK}", "second-mode-tag"),
        (f"{BLOCK[:9]}<think>{BLOCK[9:]}", "second-mode-tag"),
        (f"<think>\nHm.\n</think></think>\n\n{BLOCK}", "control-token-in-response"),
        (f"<think>\nHm.<|im_end|>\n</think>\n\n{BLOCK}", "control-token-in-response"),
        (f"{BLOCK}\n{BLOCK}", "answer-blocks"),
        ("<think>\nHm.\n</think>\n\nB", "no-answer-block"),
        ('<answer>\n{"answer": "B"}', "no-answer-block"),
        (f"{BLOCK} So be it.", "block-not-last"),
        (f"Hm.\n{BLOCK}", "no-mode-tag"),
    ],
)
def test_a_response_by_tags_of_the_answers_own_form(tmp_path, response, check):
    prompt = [{"role": "user", "content": "Which? Write <answer>."}]
    rows = [
        {"messages": [*prompt, {"role": "assistant", "content": content}]}
        for content in (f"<think>\nSo.\n</think>\n\n{BLOCK}", BLOCK, response)
    ]
    for number, row in enumerate(rows):
        row["messages"] = [{"role": "system", "content": str(number)}, *row["messages"]]
    write(tmp_path / "data.parquet", rows)
    found = named(findings(tmp_path / "data.parquet", modes=MODES)) - {"answer-tag-in-prompt", "mode-balance"}
    assert (check in found) if check else not found
