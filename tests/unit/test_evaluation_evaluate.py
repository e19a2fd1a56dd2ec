"""``personadual eval``: what is refused before anything is asked, and what the settings lead to."""

import argparse
import json
import re
import time
from contextlib import contextmanager, nullcontext

import pandas as pd
import pytest
from openai_server import OpenAIServer
from tiny_model import CHAT_TEMPLATE, tokenizer_with

from personadual.cli import main
from personadual.evaluation import asking
from personadual.evaluation.cli import add_eval_arguments
from personadual.evaluation.generate import RowMaker
from personadual.evaluation.load import read_generations
from personadual.evaluation.runfile import RunFile, read_meta
from personadual.modes import DEFAULT_MODES

TERSE = [{"name": "long", "tag": "[Long]"}, {"name": "terse", "tag": "[Gist]"}]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_with()


def write_rows(path, right=("general", "personalized"), source="quickstart_aligned", count=8):
    rows = [
        {
            "prompt": [
                {"role": "system", "content": f"User profile: I am number {item}."},
                {"role": "user", "content": f"Question {item}?"},
            ],
            "data_source": source,
            "reward_model": {"style": "rule", "ground_truth": f"truth {item}"},
            "extra_info": {
                "item": item,
                "question_id": f"q{item}",
                "condition": "aligned" if item % 2 else "unaligned",
                "right_mode": right[item % 2],
                "persona": f"I am number {item}.",
                "question": f"Question {item}?",
            },
        }
        for item in range(count)
    ]
    pd.DataFrame(rows).to_parquet(path)
    return path


def run(*arguments):
    return main(["eval", *map(str, arguments)])


def test_what_cannot_work_is_refused_before_anything_starts(tmp_path, capsys):
    data = write_rows(tmp_path / "t.parquet")
    (tmp_path / "m").mkdir()

    def refused(*arguments):
        assert run(*arguments, "--data", data, "--out", tmp_path / "o") == 2
        return capsys.readouterr().err

    assert "config.json is missing" in refused(tmp_path / "m")
    assert "two models are called 'm'" in refused(tmp_path / "m", tmp_path / "x" / "m")
    assert "name a model to ask" in refused()
    assert "--derive: backwards is not known" in refused(tmp_path / "m", "--derive", "backwards")
    assert "unknown keyword grader" in refused(tmp_path / "m", "--reward-kwargs", '{"grader": 1}')
    assert "--endpoint: an address such as" in refused("m", "--endpoint", "localhost:8000")
    data = write_rows(tmp_path / "u.parquet", source="mine")
    assert "no grader knows the data source 'mine'" in refused(tmp_path / "m")
    data = write_rows(tmp_path / "v.parquet", right=("long", "terse"))
    assert "right_mode 'long' is none of the modes general, personalized" in refused(tmp_path / "m")
    data = tmp_path / "none.parquet"
    assert "none.parquet" in refused(tmp_path / "m")


@pytest.mark.parametrize(
    ("extra", "truth", "message"),
    [
        ({"options": ["a", "b", "c", "d"]}, "E", "reward_model.ground_truth .* 'E' is none of the 4 options"),
        ({}, " ", "reward_model.ground_truth must be a text or a number"),
        ({"options": "a, b"}, "a", "extra_info.options must be a list of texts, found 'a, b'"),
        ({"source": 3}, "a", "field 'source' must be str or null, found 3"),
    ],
)
def test_a_row_that_no_answer_could_be_graded_for_is_refused_first(extra, truth, message, tmp_path, capsys):
    rows = pd.read_parquet(write_rows(tmp_path / "t.parquet")).to_dict("records")
    for row in rows:
        row["extra_info"] = {**row["extra_info"], **dict.fromkeys(extra)}
    rows[5]["extra_info"].update(extra)
    rows[5]["reward_model"]["ground_truth"] = truth
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    given = ["m", "--endpoint", "http://127.0.0.1:9/v1", "--data", tmp_path / "t.parquet", "--out", tmp_path / "o"]
    assert run(*given, "--derive", "orders") == 2
    assert re.search(rf"t\.parquet: row 5: .*{message}", capsys.readouterr().err)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--limit", "0"),
        ("--samples", "-1"),
        ("--temperature", "0"),
        ("--top-p", "nan"),
        ("--chat-template-kwargs", "[]"),
    ],
)
def test_impossible_numbers_are_refused(arguments):
    parser = argparse.ArgumentParser()
    add_eval_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["m", "--data", "d", "--out", "o", *arguments])


def test_derived_items_are_asked_beside_the_others(tokenizer, tmp_path):
    data = write_rows(tmp_path / "t.parquet")
    with OpenAIServer(tokenizer, lambda prompt, body: "") as server:
        arguments = ["m", "--endpoint", server.url, "--data", data, "--out", tmp_path, "--free-only", "--limit", 2]
        assert run(*arguments) == 0
        assert run(*arguments, "--derive", "shuffled", "orders") == 0  # goes on with the same file
        prompts = [body["messages"][0]["content"] for body in server.bodies if body["max_tokens"] > 1]
    frame = read_generations([tmp_path / "m.jsonl"])
    assert frame["condition"].value_counts().to_dict() == {
        "unaligned": 2, "aligned": 2, "shuffled": 4, "orders_personalized": 2, "orders_general": 2
    }  # fmt: skip
    made = frame.set_index("item")[lambda rows: rows["base_item"].notna().to_numpy()]
    assert set(made["base_item"]) == {0, 1, 2, 3} and set(made["right_mode"]) == {"general", "personalized"}
    assert (frame["mode"] == "invalid").all()  # though some personas hold a tag, in its own line
    assert sorted(prompts) == sorted("User profile: " + persona for persona in frame["persona"])
    assert read_meta(tmp_path / "m.jsonl")["settings"]["decoding"] == "greedy"


def test_samples_can_be_added_to_a_run_that_was_greedy(tokenizer, tmp_path, capsys):
    """The first sample settles how they are drawn; until then, and for a run that wants none, any setting will do."""
    data, path = write_rows(tmp_path / "t.parquet", count=2), tmp_path / "m.jsonl"
    with OpenAIServer(tokenizer, lambda prompt, body: "yes") as server:
        given = ["m", "--endpoint", server.url, "--data", data, "--out", path, "--free-only"]

        def decoding(*arguments):
            assert run(*given, *arguments) == 0
            return read_meta(path)["settings"]["decoding"]

        assert decoding() == decoding("--temperature", 0.3) == "greedy"
        sampled = "greedy; sampled at temperature 0.7, top_p 0.9"
        drawn = ["--temperature", 0.7, "--top-p", 0.9]
        assert decoding("--samples", 1, *drawn) == decoding("--samples", 2, *drawn) == sampled
        assert decoding() == sampled
        assert run(*given, "--samples", 3) == 2
    assert f"decoding: {sampled!r} there, 'greedy; sampled at temperature 1, top_p 1' now" in capsys.readouterr().err
    counts = read_generations([path]).groupby(["item", "sample"]).size()
    assert list(counts.index) == [(item, sample) for item in range(2) for sample in range(3)] and (counts == 1).all()


def test_the_models_own_modes_and_graders_are_used(tokenizer, tmp_path, capsys):
    """A folder made by ``personadual export`` records its modes; ``--reward-kwargs`` are training's."""
    data = write_rows(tmp_path / "t.parquet", right=("long", "terse"), source="mine", count=2)
    for name, modes in (("a", TERSE), ("b", TERSE), ("c", TERSE[::-1])):
        (tmp_path / name).mkdir()
        tokenizer.save_pretrained(tmp_path / name)
        (tmp_path / name / "personadual.json").write_text(json.dumps({"format": 1, "modes": modes}))
    a, b, c = (tmp_path / name for name in "abc")
    with OpenAIServer(tokenizer, lambda prompt, body: '<answer>{"answer": "truth 1"}</answer>') as server:
        given = ["--endpoint", server.url, "--data", data, "--out", tmp_path / "o"]
        given += ["--reward-kwargs", json.dumps({"graders": {"mine": "objective"}, "accuracy_weight": 0.5})]
        assert run(a, b, *given) == 0
        assert run(a, c, *given) == 2
        assert "the models' personadual.json have different modes" in capsys.readouterr().err
    frame = read_generations([tmp_path / "o" / "a.jsonl", tmp_path / "o" / "b.jsonl"])
    assert set(frame["asked_mode"]) == {"free", "long", "terse"} and frame["tag_logprob"].notna().sum() == 8
    assert frame.groupby("item")["acc"].mean().to_dict() == {0: 0, 1: 1}
    assert frame.loc[(frame["item"] == 1) & (frame["asked_mode"] == "long"), "score"].unique() == [0.6]
    assert read_meta(tmp_path / "o" / "a.jsonl")["settings"]["way"] == "completions with token ids"


def test_another_model_or_way_needs_another_file(tokenizer, tmp_path, capsys):
    data = write_rows(tmp_path / "t.parquet", count=2)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    with OpenAIServer(tokenizer, lambda prompt, body: "no") as server:
        given = ["--endpoint", server.url, "--data", data, "--out", tmp_path / "x.jsonl"]
        assert run("m", *given) == 0
        asked = len(server.bodies)
        assert run("m", *given) == 0 and len(server.bodies) == asked
        assert run("m", *given, "--tokenizer", tmp_path / "tokenizer") == 2
        assert "way: 'chat' there, 'completions with token ids' now" in capsys.readouterr().err
        assert run("m=other", *given) == 2
        assert "model: 'm' there, 'other' now" in capsys.readouterr().err


def test_another_prompt_format_needs_another_file(tokenizer, tmp_path, capsys):
    """A server that is asked by token ids takes those of any tokenizer; a file holds the answers to one."""
    data = write_rows(tmp_path / "t.parquet", count=2)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    tokenizer_with(CHAT_TEMPLATE.replace("'\n'", "' '", 1)).save_pretrained(tmp_path / "spaced")
    with OpenAIServer(tokenizer, lambda prompt, body: "no") as server:
        given = ["m", "--endpoint", server.url, "--data", data, "--out", tmp_path / "x.jsonl", "--tokenizer"]
        assert run(*given, tmp_path / "tokenizer", "--limit", 1) == 0
        asked = len(server.bodies)
        assert run(*given, tmp_path / "spaced") == 2 and len(server.bodies) == asked
        assert "tokenizer_fingerprint: '" in capsys.readouterr().err
        assert run(*given, tmp_path / "tokenizer") == 0
    assert len(read_generations([tmp_path / "x.jsonl"])) == 2 * 3


@pytest.mark.parametrize("fails", [False, True])
def test_generation_seconds_leave_out_how_long_the_engine_takes_to_start_and_end(fails, tmp_path, monkeypatch):
    @contextmanager
    def slow(*arguments):
        time.sleep(0.3)
        try:
            yield iter([[1]] if fails else [])
        finally:
            time.sleep(0.3)

    monkeypatch.setattr(asking, "_served", slow)
    with RunFile(tmp_path / "m.jsonl", {}) as out:
        what = asking.Run(None, out, RowMaker("m", 0, DEFAULT_MODES, None, 1.0), [None], None)
        with pytest.raises(TypeError) if fails else nullcontext():
            asking.ask(argparse.Namespace(endpoint="x"), what, [], print)
    (session,) = read_meta(tmp_path / "m.jsonl")["sessions"]
    assert session["generation_seconds"] < 0.2 and session["answers"] == 0


def test_a_response_length_that_a_prefix_fills_is_refused(tokenizer, tmp_path, capsys):
    data = write_rows(tmp_path / "t.parquet", count=2)
    tokenizer.save_pretrained(tmp_path / "m")
    given = [tmp_path / "m", "--endpoint", "http://127.0.0.1:9/v1", "--data", data, "--out", tmp_path / "o"]
    assert run(*given, "--max-tokens", 2) == 2
    assert "--max-tokens 2 leaves nothing behind a prefix of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, context, mend", [([], 512, "--max-tokens "), (["--max-tokens", 40], 16, "shorter prompts")]
)
def test_an_answer_that_the_model_has_no_room_for_is_refused_before_it_is_loaded(
    tokenizer, tmp_path, capsys, given, context, mend
):
    data = write_rows(tmp_path / "t.parquet", count=2)
    tokenizer.save_pretrained(tmp_path / "m")
    config = {"model_type": "llama", "max_position_embeddings": context}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "model.safetensors").write_bytes(b"")
    assert run(tmp_path / "m", "--data", data, "--out", tmp_path / "o", *given) == 2
    told = capsys.readouterr().err
    assert f"takes {context} in all. Give {mend}" in told
    assert f"--max-tokens {given[-1] if given else 1024} does not fit" in told
