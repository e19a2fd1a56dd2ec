"""The keys of a served model, and the key under which an answer is kept."""

import hashlib
import json

import pytest

from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Request

GOOD = {"base_url": "http://localhost:8000/v1", "model": "m"}


def read(**changes):
    return ServedConfig.from_mapping({**GOOD, **changes})


def test_two_keys_are_enough():
    config = read()
    assert (config.concurrency, config.temperature, config.requests_per_minute, config.api_key_env) == (
        16,
        0,
        None,
        None,
    )
    assert config.sampling == {"temperature": 0.0, "max_tokens": 1024}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concurency": 4}, "served.concurency is not a setting; did you mean concurrency?"),
        ({"api_key": "sk-secret"}, "served.api_key is not a setting; did you mean api_key_env?"),
        ({"api_key_env": "sk-secret-123"}, "api_key_env must be the name of an environment variable"),
        ({"concurrency": 0}, "served.concurrency must be a whole number from 1 to 1000, found 0"),
        ({"concurrency": True}, "served.concurrency must be a whole number"),
        ({"max_attempts": 0}, "served.max_attempts"),
        ({"timeout": float("inf")}, "served.timeout must be a finite number above 0"),
        ({"requests_per_minute": 0}, "served.requests_per_minute"),
        ({"temperature": -0.1}, "served.temperature must be a number between 0 and 2, or null"),
        ({"temperature": "0"}, "served.temperature"),
        ({"max_tokens": 0}, "served.max_tokens"),
        ({"seed": 1.5}, "served.seed"),
        ({"model": " "}, "served.model must be a text that is not empty"),
        ({"base_url": "localhost:8000"}, "served.base_url must be an address"),
        ({"base_url": "http://user:sk-secret@host/v1"}, "served.base_url must hold no user name or key"),
        ({"base_url": "http://host:99999999/v1"}, "served.base_url"),
        ({"extra_body": {"max_tokens": 5}}, "served.extra_body.max_tokens"),
        ({"extra_body": {"stream": True}}, "served.extra_body.stream"),
        ({"extra_body": {"x": float("nan")}}, "served.extra_body must be plain JSON"),
        ({"extra_body": [1]}, "served.extra_body must be a mapping"),
        ({"prompts": 3}, "served.prompts must be a folder"),
    ],
)
def test_what_is_wrong_is_said_by_name_and_no_secret_is_repeated(changes, message):
    with pytest.raises(ValueError) as error:
        read(**changes)
    assert message in str(error.value) and "sk-secret" not in str(error.value)


@pytest.mark.parametrize("missing", ["base_url", "model"])
def test_address_and_model_have_no_default(missing):
    with pytest.raises(ValueError, match=f"served.{missing} is missing"):
        ServedConfig.from_mapping({key: value for key, value in GOOD.items() if key != missing})


def test_no_mapping_is_refused():
    with pytest.raises(ValueError, match="a mapping with base_url and model is needed, found list"):
        ServedConfig.from_mapping([])  # type: ignore[arg-type]


def test_null_leaves_a_parameter_to_the_server():
    assert read(temperature=None, max_tokens=None, seed=None, extra_body={"top_k": 1}).sampling == {
        "extra_body": {"top_k": 1}
    }


def test_the_key_comes_from_the_named_variable_only(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-somebody-else")
    monkeypatch.setenv("MY_KEY", "mine")
    assert read().api_key() == "EMPTY"
    assert read(api_key_env="MY_KEY").api_key() == "mine"
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ValueError, match="the environment variable MY_KEY, which is not set"):
        read(api_key_env="MY_KEY").api_key()


def test_the_cache_key_follows_all_that_the_answer_depends_on():
    request = Request("1", ({"role": "user", "content": "hé \ud800"},))
    base = request.key(read())
    assert len(base) == 64 and base == Request("2", request.messages, about="other").key(read())
    same = [{"base_url": "http://other/v1"}, {"concurrency": 2}, {"timeout": 3}, {"max_attempts": 2}]
    other = [{"model": "n"}, {"temperature": 1}, {"seed": 1}, {"max_tokens": 9}, {"extra_body": {"top_k": 1}}]
    assert {request.key(read(**change)) for change in same} == {base}
    assert len({base, *(request.key(read(**change)) for change in other)}) == len(other) + 1
    assert Request("1", ({"role": "system", "content": "hé \ud800"},)).key(read()) != base
    # Written out once, so that caches stay good when the code changes.
    asked = json.dumps(["m", [], {"max_tokens": 1024, "temperature": 0.0}], separators=(",", ":"))
    assert asked == '["m",[],{"max_tokens":1024,"temperature":0.0}]'
    assert Request("1", ()).key(read()) == hashlib.sha256(asked.encode()).hexdigest()
