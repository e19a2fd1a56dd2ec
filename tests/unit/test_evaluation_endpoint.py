"""Answers of a served model, by a real HTTP server that speaks OpenAI's API, well or badly."""

import argparse
import json
from pathlib import Path

import pandas as pd
import pytest
from openai_server import OpenAIServer
from tiny_model import CHAT_TEMPLATE, tokenizer_with

from personadual.evaluation import evaluate as evaluate_module
from personadual.evaluation.cli import add_eval_arguments
from personadual.evaluation.endpoint import EndpointSettings
from personadual.evaluation.load import read_generations
from personadual.evaluation.runfile import read_meta
from personadual.modes import DEFAULT_MODES, GENERAL, PERSONALIZED, encode_prefix

QWEN3 = (Path(__file__).parents[1] / "templates" / "qwen3.jinja").read_text()
TRIMMING = CHAT_TEMPLATE.replace("message['content']", "message['content'] | trim")
TURN = "<|im_start|>assistant\n"


def block(answer):
    return f'<answer>{{"answer": "{answer}"}}</answer>'


def obedient(prompt, body):
    """A model that answers in the mode that its turn begins with, and chooses the general one itself."""
    turn = prompt.rsplit(TURN, 1)[1]
    for mode in DEFAULT_MODES:
        if turn.startswith(mode.tag):
            return ("" if turn.endswith("\n") else "\n") + block(mode.name)
    return GENERAL.prefix + block(f"free {body.get('seed', '')}".strip())


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_with()


@pytest.fixture
def data(tmp_path):
    rows = [
        {
            "prompt": [
                {"role": "system", "content": f"User profile: Person {item}. [Personalized_mode]"},
                {"role": "user", "content": f"Question {item}? [General_mode]"},
            ],
            "data_source": "quickstart_unaligned",
            "reward_model": {"style": "rule", "ground_truth": "general"},
            "extra_info": {"item": item, "question_id": f"q{item}", "condition": "unaligned", "right_mode": "general",
                           "persona": f"Person {item}.", "question": f"Question {item}?", "index": item},
        }
        for item in range(3)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "test.parquet")
    return tmp_path / "test.parquet"


@pytest.fixture
def tokenizer_folder(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.fixture
def evaluate(data, tmp_path):
    def run(server, *arguments, out="gens", models=("served",)):
        parser = argparse.ArgumentParser()
        add_eval_arguments(parser)
        url = server if isinstance(server, str) else server.url
        given = [*models, "--endpoint", url, "--data", data, "--out", tmp_path / out, *arguments]
        return evaluate_module.evaluate(parser.parse_args(list(map(str, given))))

    return run


def rows(path):
    return read_generations([path]).set_index(["item", "asked_mode", "sample"]).sort_index()


def test_by_token_ids_prompts_and_prefixes_are_trainings_and_scored(evaluate, tokenizer, tokenizer_folder, tmp_path):
    with OpenAIServer(tokenizer, obedient) as server:
        assert evaluate(server, "--tokenizer", tokenizer_folder, "--samples", 2, "--temperature", 0.5) == 0
    found = rows(tmp_path / "gens" / "served.jsonl")
    assert len(found) == 3 * 3 * 3
    for mode in DEFAULT_MODES:
        prefix = encode_prefix(tokenizer, mode)
        forced = found.xs(mode.name, level="asked_mode")
        assert (forced["response"] == mode.prefix + block(mode.name)).all() and (forced["mode"] == mode.name).all()
        assert forced["tag_logprob"].tolist() == pytest.approx([-sum(prefix) / 100] * 9)
        assert (forced["n_tokens"] == len(prefix) + len(tokenizer.encode(block(mode.name))) + 1).all()
    free = found.xs("free", level="asked_mode")
    assert free.loc[(1, 0), "response"] == GENERAL.prefix + block("free")
    assert free["response"].nunique() == 1 + 6  # greedy, and each sample by its own seed
    assert found["acc"].groupby("asked_mode").mean().to_dict() == {"free": 0, "general": 1, "personalized": 0}
    sent = [body for body in server.bodies if body["max_tokens"] > 1]
    assert {body["temperature"] for body in sent} == {0.0, 0.5} and all(body["top_p"] == 1 for body in sent)
    # The served model's own sampling defaults are switched off; only greedy forced requests ask for log-probs.
    assert all(body["repetition_penalty"] == 1 for body in sent)
    assert sum("prompt_logprobs" in body for body in sent) == 3 * 2
    meta = read_meta(tmp_path / "gens" / "served.jsonl")
    assert meta["settings"]["endpoint"] == server.url and meta["settings"]["way"] == "completions with token ids"
    assert meta["settings"]["openai"].startswith("openai ") and "vllm" not in meta["settings"]
    assert meta["sessions"][0]["tag_logprobs"] is True and meta["sessions"][0]["answers"] == 27
    assert meta["sessions"][0]["command"].startswith("personadual ")


def test_by_chat_a_mode_is_forced_by_a_message_to_be_continued(evaluate, tokenizer, tmp_path):
    with OpenAIServer(tokenizer, obedient) as server:
        assert evaluate(server, "--samples", 1) == 0
    found = rows(tmp_path / "gens" / "served.jsonl")
    for mode in DEFAULT_MODES:
        forced = found.xs(mode.name, level="asked_mode")
        assert (forced["response"] == mode.prefix + block(mode.name)).all() and forced["tag_logprob"].isna().all()
        tokens = len(encode_prefix(tokenizer, mode)) + len(tokenizer.encode(block(mode.name))) + 1
        assert (forced["n_tokens"] == tokens).all()
    assert (found.xs("free", level="asked_mode")["mode"] == "general").all()
    assert read_meta(tmp_path / "gens" / "served.jsonl")["settings"]["way"] == "chat"


def test_both_ways_come_to_the_same_answers(evaluate, tokenizer, tokenizer_folder, tmp_path):
    with OpenAIServer(tokenizer, obedient) as server:
        assert evaluate(server, out="chat") == evaluate(server, "--tokenizer", tokenizer_folder, out="tokens") == 0
    chat, tokens = (rows(tmp_path / out / "served.jsonl") for out in ("chat", "tokens"))
    same = ["response", "mode", "acc", "n_tokens", "truncated"]
    pd.testing.assert_frame_equal(chat[same], tokens[same])


def test_a_template_that_trims_still_forces_by_chat(evaluate, tmp_path):
    with OpenAIServer(tokenizer_with(TRIMMING), obedient) as server:
        assert evaluate(server) == 0
    forced = rows(tmp_path / "gens" / "served.jsonl").xs("general", level="asked_mode")
    assert (forced["response"] == GENERAL.prefix + block("general")).all()


def test_template_kwargs_reach_the_server(evaluate, tmp_path):
    with OpenAIServer(tokenizer_with(QWEN3), obedient) as server:
        kwargs = json.dumps({"enable_thinking": False})
        assert evaluate(server, "--chat-template-kwargs", kwargs, "--free-only") == 0
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in server.bodies)
    found = rows(tmp_path / "gens" / "served.jsonl")
    assert len(found) == 3 and set(found.index.get_level_values("asked_mode")) == {"free"}


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, TRIMMING, QWEN3])
@pytest.mark.parametrize(
    "faults, message",
    [
        ({"continues": False}, r"it does not seem to continue an assistant message: \[General_mode\] adds"),
        ({"repeats": True}, "it repeats the message that it continues"),
        ({"strict": True}, "it refuses to continue an assistant message .Unrecognized request argument"),
        ({"usage": False}, "no usage.prompt_tokens, so it can't be checked"),
    ],
)
def test_a_server_that_may_not_force_is_never_scored(template, faults, message, evaluate, tmp_path, capsys):
    """Even where its model would write the very tag by itself."""
    with OpenAIServer(tokenizer_with(template), lambda *_: GENERAL.prefix + block("general"), **faults) as server:
        assert evaluate(server) == 1
        error = capsys.readouterr().err
        assert pd.Series([error]).str.contains(message).all(), error
        assert (tmp_path / "gens" / "served.jsonl").read_text() == ""
        if "usage" not in faults:
            assert "--tokenizer FOLDER" in error and "--free-only" in error
            assert evaluate(server, "--free-only") == 0  # which it can do
            assert len(rows(tmp_path / "gens" / "served.jsonl")) == 3


def test_a_server_that_changes_the_token_ids_is_never_scored(evaluate, tokenizer, tokenizer_folder, tmp_path, capsys):
    with OpenAIServer(tokenizer, obedient, adds=1) as server:
        assert evaluate(server, "--tokenizer", tokenizer_folder) == 1
    assert "it does not take them as they are" in capsys.readouterr().err
    assert (tmp_path / "gens" / "served.jsonl").read_text() == ""


@pytest.mark.parametrize("faults", [{"strict": True}, {"logprobs": False}])
def test_servers_without_log_probs_leave_them_null(faults, evaluate, tokenizer, tokenizer_folder, tmp_path):
    with OpenAIServer(tokenizer, obedient, **faults) as server:
        assert evaluate(server, "--tokenizer", tokenizer_folder, "--samples", 1) == 0
    found = rows(tmp_path / "gens" / "served.jsonl")
    assert len(found) == 18 and found["tag_logprob"].isna().all() and found["deciding_logprob"].isna().all()
    sent = [body for body in server.bodies[8:] if body["max_tokens"] > 1]
    assert all(("repetition_penalty" in body) == ("strict" not in faults) for body in sent)


def test_failed_requests_are_retried_and_then_the_run_stops_and_can_go_on(evaluate, tokenizer, tmp_path, capsys):
    def once(number, body):
        return 503 if number % 3 == 0 else None

    with OpenAIServer(tokenizer, obedient, fault=once) as server:
        assert evaluate(server, "--concurrency", 1, out="retried") == 0
    assert len(rows(tmp_path / "retried" / "served.jsonl")) == 9

    def third_question(number, body):
        return 422 if "Question 2" in body["messages"][1]["content"] else None

    with OpenAIServer(tokenizer, obedient, fault=third_question) as server:
        assert evaluate(server, "--concurrency", 2) == 1
        error = capsys.readouterr().err
        assert "item 2, " in error and "422: no. What is done is kept; the same command goes on" in error
        found = rows(tmp_path / "gens" / "served.jsonl")
        assert len(found) == 6 and set(found.index.get_level_values("item")) == {0, 1}
        server.fault = lambda number, body: None
        before = len(server.bodies)
        assert evaluate(server) == 0
        assert sum(body["max_tokens"] > 1 for body in server.bodies[before:]) == 3
    assert len(rows(tmp_path / "gens" / "served.jsonl")) == 9
    assert [session["answers"] for session in read_meta(tmp_path / "gens" / "served.jsonl")["sessions"]] == [6, 3]


@pytest.mark.parametrize("status, hint", [(401, "Needs --api-key-env"), (404, "Check the model's name, 'served'")])
def test_refusals_say_what_to_change(status, hint, evaluate, tokenizer, capsys):
    with OpenAIServer(tokenizer, obedient, fault=lambda number, body: status) as server:
        assert evaluate(server) == 1
    assert hint in capsys.readouterr().err


def test_an_answer_that_did_not_end_is_none(evaluate, tokenizer, capsys, tmp_path):
    with OpenAIServer(tokenizer, obedient, finish="content_filter") as server:
        assert evaluate(server) == 1
    assert "the answer ended by 'content_filter'" in capsys.readouterr().err
    assert (tmp_path / "gens" / "served.jsonl").read_text() == ""


def test_no_server_is_said_so(evaluate, capsys, monkeypatch):
    monkeypatch.setattr(EndpointSettings, "max_retries", 0, raising=False)
    assert evaluate("http://127.0.0.1:9/v1") == 1
    assert "not reachable" in capsys.readouterr().err


def test_the_key_goes_to_the_server_and_into_no_file(evaluate, tokenizer, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    with OpenAIServer(tokenizer, obedient) as server:
        assert evaluate(server, "--api-key-env", "SOME_KEY") == 0
        assert set(server.keys) == {"Bearer sk-secret"}
    assert not any("sk-secret" in path.read_text() for path in (tmp_path / "gens").iterdir())
    with OpenAIServer(tokenizer, obedient) as server:
        assert evaluate(server, "--api-key-env", "NO_SUCH_KEY", out="none") == 2
        assert "NO_SUCH_KEY, which is not set" in capsys.readouterr().err
        assert evaluate(server, "--api-key-env", "sk-secret!", out="none") == 2
        assert "sk-secret" not in capsys.readouterr().err
        assert server.bodies == []
    assert evaluate("http://user:sk-secret@x/v1") == 2
    assert "sk-secret" not in capsys.readouterr().err


def test_several_served_models_get_a_file_each(evaluate, tokenizer, tmp_path):
    with OpenAIServer(tokenizer, obedient) as server:
        assert evaluate(server, "--seed", 1, 2, models=("served", "b=org/other")) == 0
    frame = read_generations([tmp_path / "gens" / f"{name}.jsonl" for name in ("served", "b")])
    assert frame.groupby("model")["seed"].unique().map(list).to_dict() == {"served": [1], "b": [2]}
    assert {body["model"] for body in server.bodies} == {"served", "org/other"}


def test_our_reasoning_parser_and_others(evaluate, tokenizer, capsys, tmp_path):
    """A server with the mode in ``reasoning`` gives the same rows; one that hides the answer gives none."""

    class Parsed(OpenAIServer):
        def reply(self, body):
            found = super().reply(body)
            message = found["choices"][0]["message"]
            forced = body["messages"][-1]["role"] == "assistant"
            name = {GENERAL.tag: "general", PERSONALIZED.tag: "personalized"}.get(
                body["messages"][-1]["content"].strip() if forced else message["content"].split("\n")[0], "invalid"
            )
            text = message["content"] if forced else message["content"].partition("\n")[2]
            return found | {
                "choices": [found["choices"][0] | {"message": {**message, "content": text, "reasoning": name}}]
            }

    class Hidden(OpenAIServer):
        def reply(self, body):
            found = super().reply(body)
            found["choices"][0]["message"] |= {"content": None, "reasoning": "First, I think."}
            return found

    with Parsed(tokenizer, obedient) as parsed, OpenAIServer(tokenizer, obedient) as plain:
        assert evaluate(parsed, out="a") == evaluate(plain, out="b") == 0
    one, two = (rows(tmp_path / out / "served.jsonl") for out in "ab")
    pd.testing.assert_frame_equal(one[["response", "mode"]], two[["response", "mode"]])
    with Hidden(tokenizer, obedient) as server:
        assert evaluate(server) == 1
    assert "reasoning parser has taken the answer away" in capsys.readouterr().err
