"""Generation with a stand-in engine and tokenizer: rows, continuing, and what is refused."""

import argparse
import json
import math

import pandas as pd
import pytest

from personadual.evaluation import evaluate as evaluate_module
from personadual.evaluation.cli import add_eval_arguments
from personadual.evaluation.columns import FIELDS
from personadual.evaluation.data import read_items
from personadual.evaluation.engine import Completion, stop_token_ids
from personadual.evaluation.fingerprint import model_fingerprint
from personadual.evaluation.generate import Generator, generate, longest_prompt, pending
from personadual.evaluation.load import read_generations
from personadual.evaluation.runfile import RunFile, meta_path, read_meta
from personadual.modes import DEFAULT_MODES, GENERAL, PERSONALIZED, Mode, Modes

SETTINGS = {"label": "m", "dtype": "float32", "modes": [{"name": "general", "tag": "[G]"}]}


class CharTokenizer:
    """One token per character."""

    eos_token_id = 0

    def encode(self, text, add_special_tokens=False):
        return [ord(character) for character in text]

    def decode(self, ids, skip_special_tokens=True, clean_up_tokenization_spaces=False):
        return "".join(chr(token) for token in ids if token)

    def apply_chat_template(self, messages, add_generation_prompt, tokenize, return_dict, suffix=""):
        assert add_generation_prompt and tokenize and not return_dict
        assert all(value is not None for message in messages for value in message.values())
        return self.encode("".join(message["content"] for message in messages) + suffix + ">")


class Engine:
    """Answers "[General_mode]\\nyes" freely, "yes" behind a prefix; every prefix token has log-prob -index."""

    def __init__(self, die_after=None):
        self.requests, self.die_after = [], die_after

    def complete(self, requests):
        if self.die_after is not None and len(self.requests) >= self.die_after:
            raise KeyboardInterrupt
        self.requests += requests
        text = {True: "yes", False: "[General_mode]\nyes"}
        return [
            Completion(
                [*map(ord, text[bool(r.prefix_ids)]), 0], [-float(i) for i in range(len(r.prefix_ids))], truncated=False
            )
            for r in requests
        ]


def grade(data_source, solution, truth, extra_info):
    return {"score": 0.9, "acc": float(truth in solution), "format": 1, "asked": extra_info["asked_mode"]}


def data_rows(count=3):
    return [
        {
            "prompt": [{"role": "user", "content": f"q{item}", "name": None if item else "x"}],
            "data_source": "quickstart_none",
            "reward_model": {"style": "rule", "ground_truth": "yes"},
            "extra_info": {
                "item": item,
                "question_id": f"q{item}",
                "condition": "none" if item % 2 else "personal",
                "right_mode": None if item == 1 else "general",
                "asked_mode": asked,
                "persona": "",
                "question": f"q{item}",
                "source": "hand",
            },
        }
        for item in range(count)
        for asked in ("free", "general")
    ]


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "test.parquet"
    pd.DataFrame(data_rows()).to_parquet(path)
    return path


def generator():
    return Generator("m", 7, DEFAULT_MODES, CharTokenizer(), grade, {})


def test_items_are_answered_free_and_in_every_mode(parquet, tmp_path):
    items = read_items(parquet)
    assert [item.item for item in items] == [0, 1, 2]
    engine, gen, said = Engine(), generator(), []
    asks = gen.asks(items)
    assert longest_prompt(asks) == 3
    with RunFile(tmp_path / "out" / "m.jsonl", SETTINGS) as out:
        assert generate(gen, asks, engine, out, 4, said.append) == 3 * (19 + 4 + 4)
    frame = read_generations([tmp_path / "out" / "m.jsonl"])
    assert list(frame.columns) == [field.name for field in FIELDS]
    assert list(frame["asked_mode"]) == ["free", "general", "personalized"] * 3
    first = frame.iloc[:3].set_index("asked_mode")
    assert first.loc["free", "response"] == "[General_mode]\nyes"
    assert list(first["mode"]) == ["general", "general", "personalized"]
    assert first.loc["personalized", "response"] == PERSONALIZED.prefix + "yes"
    assert list(first["n_tokens"]) == [19, len(GENERAL.prefix) + 4, len(PERSONALIZED.prefix) + 4]
    assert math.isnan(first.loc["free", "tag_logprob"])
    assert first.loc["general", "tag_logprob"] == -sum(range(len(GENERAL.prefix)))
    assert first.loc["personalized", "deciding_logprob"] == -1.0  # "[", then G or P
    assert (frame["seed"] == 7).all() and (frame["acc"] == 1.0).all()
    assert frame["right_mode"].isna().tolist() == [False] * 3 + [True] * 3 + [False] * 3
    assert [text.split(":")[1].split(",")[0] for text in said] == [" 4/9 answers", " 8/9 answers", " 9/9 answers"]
    assert engine.requests[1].prompt_ids == [*map(ord, "q0>")]


def test_a_run_continues_where_it_stopped(parquet, tmp_path):
    path, gen = tmp_path / "m.jsonl", generator()
    asks = gen.asks(read_items(parquet))
    with pytest.raises(KeyboardInterrupt), RunFile(path, SETTINGS) as out:
        generate(gen, asks, Engine(die_after=4), out, 2, lambda text: None)
    with open(path, "ab") as file:
        file.write(b'{"model": "m", "item": 2, "resp')
    engine = Engine()
    with RunFile(path, SETTINGS) as out:
        assert len(out.rows) == 4
        generate(gen, pending(asks, out.rows), engine, out, 2, lambda text: None)
        out.add_session({"answers": 5})
    assert len(engine.requests) == 5
    frame = read_generations([path])
    assert len(frame) == 9 and not frame.duplicated(["item", "asked_mode"]).any()
    assert read_meta(path)["sessions"] == [{"answers": 5}]
    with RunFile(path, SETTINGS) as out:
        assert pending(asks, out.rows) == []


def test_other_settings_are_refused_by_name(tmp_path):
    path = tmp_path / "m.jsonl"
    with RunFile(path, SETTINGS) as out:
        out.append([{"a": 1}])
    with pytest.raises(ValueError, match=r"dtype: 'float32' there, 'bfloat16' now") as caught:
        RunFile(path, {**SETTINGS, "dtype": "bfloat16", "seed": 1})
    assert "seed: None there, 1 now" in str(caught.value) and "modes" not in str(caught.value)
    assert json.loads(path.read_text()) == {"a": 1}


def test_an_empty_file_may_start_again_with_other_settings(tmp_path):
    RunFile(tmp_path / "m.jsonl", SETTINGS).__exit__()
    with RunFile(tmp_path / "m.jsonl", {"label": "x"}) as out:
        assert out.meta["settings"] == {"label": "x"}


def test_two_runs_never_write_to_one_file(tmp_path):
    with RunFile(tmp_path / "m.jsonl", SETTINGS), pytest.raises(BlockingIOError, match="another run"):
        RunFile(tmp_path / "m.jsonl", SETTINGS)


def test_rows_without_settings_and_broken_lines_are_refused(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ValueError, match=r"has rows but no m.meta.json"):
        RunFile(path, SETTINGS)
    meta_path(path).write_text(json.dumps({"settings": SETTINGS}))
    path.write_text("{}\n{no\n{}\n")
    with pytest.raises(ValueError, match=r"m.jsonl:2: not JSON"):
        RunFile(path, SETTINGS)


def test_a_lone_surrogate_is_written_as_text(tmp_path):
    with RunFile(tmp_path / "m.jsonl", SETTINGS) as out:
        out.append([{"response": "a\ud800b"}])
    assert json.loads((tmp_path / "m.jsonl").read_bytes()) == {"response": "a?b"}


def test_limit_counts_by_condition(parquet):
    assert [item.item for item in read_items(parquet, limit=1)] == [0, 1]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda row: row["extra_info"].pop("right_mode"), r"row 0: extra_info.right_mode is missing"),
        (lambda row: row["extra_info"].update(question=None), r"row 1: extra_info.question is missing"),
        (lambda row: row["reward_model"].update(ground_truth=None), r"row 1: reward_model.ground_truth is missing"),
        (lambda row: row.update(prompt=[]), r"row 1: prompt is empty"),
        (lambda row: row["reward_model"].update(ground_truth="no"), r"row 1: item 0 is there twice"),
    ],
)
def test_bad_data_is_named_by_row_and_field(change, message, tmp_path):
    rows = data_rows(1)
    for row in rows if "right_mode" in message else rows[1:]:
        change(row)
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=message):
        read_items(tmp_path / "t.parquet")


def test_missing_column_is_named(tmp_path):
    pd.DataFrame(data_rows(1)).drop(columns="reward_model").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"missing column\(s\) reward_model"):
        read_items(tmp_path / "t.parquet")


def test_three_modes_decide_at_their_first_difference():
    modes = Modes([*DEFAULT_MODES, Mode("terse", "[Gist]")])
    gen = Generator("m", 0, modes, CharTokenizer(), grade, {"suffix": "!"})
    assert gen._deciding == 1
    assert [a.asked_mode for a in gen.asks([])] == []


def test_fingerprint_sees_weights_and_config(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(200_000))
    before = model_fingerprint(tmp_path)
    assert before == model_fingerprint(tmp_path)
    changed = bytearray(200_000)
    changed[150_000] = 1
    (tmp_path / "model.safetensors").write_bytes(changed)
    assert model_fingerprint(tmp_path) != before
    with pytest.raises(ValueError, match="no model folder"):
        model_fingerprint(tmp_path / "none")


def test_stop_ids_join_tokenizer_and_generation_config(tmp_path):
    assert stop_token_ids(CharTokenizer(), tmp_path) == [0]
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [5, 0]}')
    assert stop_token_ids(CharTokenizer(), tmp_path) == [0, 5]


def test_eval_reports_a_wrong_folder_and_returns_2(parquet, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_eval_arguments(parser)
    arguments = ["--model", str(tmp_path), "--label", "m", "--data", str(parquet), "--out", str(tmp_path / "o.jsonl")]
    assert evaluate_module.evaluate(parser.parse_args(arguments)) == 2
    assert "config.json is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser.parse_args([*arguments, "--limit", "0"])
