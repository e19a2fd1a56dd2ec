"""A model that has learnt to write tags, served by a real ``vllm serve`` through examples/serve.sh, asked by openai."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from harness import running, sft_command
from openai import OpenAI
from test_pipeline import ANSWERS, answer, chat, sft_rows
from test_served_vllm import NAME, is_up
from tiny_model import build_tiny_model
from transformers import AutoTokenizer

from personadual.modes import DEFAULT_MODES, INVALID_MODE, parse_mode
from personadual.serving import Answer, forced_prompt_ids
from personadual.serving.client import ask, chat_request

EXAMPLES = Path(__file__).parents[2] / "examples"
MODES = DEFAULT_MODES.names
TOKENS = 40
YES_OR_NO = {"structured_outputs": {"choice": ["yes", "no"]}}


class Served(NamedTuple):
    client: OpenAI
    tokenizer: Any

    def ask(self, index: int, mode: str | None = None, **options: Any) -> Answer:
        return ask(self.client, NAME, chat(index), mode, temperature=0, max_tokens=TOKENS, **options)

    def create(self, messages: list[dict], mode: str | None = None, **options: Any) -> Any:
        request = chat_request(messages, mode, extra_body=options.pop("extra_body", None))
        options = {"temperature": 0, "max_tokens": TOKENS} | options
        return self.client.chat.completions.create(model=NAME, **request, **options)

    def stream(self, messages: list[dict], mode: str | None = None, **options: Any) -> list[Answer]:
        """Every choice's answer, put together from its chunks."""
        modes: list[list[str]] = [[] for _ in range(options.get("n", 1))]
        texts = [""] * len(modes)
        for chunk in self.create(messages, mode, stream=True, **options):
            for choice in chunk.choices:
                said = getattr(choice.delta, "reasoning", None)
                modes[choice.index] += [said] if said else []
                texts[choice.index] += choice.delta.content or ""
        assert all(len(said) == 1 for said in modes), modes
        return [Answer(said[0], text) for said, text in zip(modes, texts, strict=True)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model after SFT on both modes: "north" in one, "south" in the other."""
    folder = tmp_path_factory.mktemp("serving")
    build_tiny_model(folder / "model")
    pd.DataFrame(sft_rows()).to_parquet(folder / "sft.parquet")
    command = sft_command(
        folder / "model",
        folder / "sft.parquet",
        folder / "sft",
        "trainer.total_epochs=8",
        "data.train_batch_size=16",
        "data.max_length=256",
        "optim.lr=1e-2",
        "trainer.save_freq=-1",  # at the end alone
    )
    with running(command, folder / "sft.log") as run:
        assert run.wait(480) == 0, run.tail()
    (exported,) = (folder / "sft").glob("global_step_*/huggingface")
    return exported


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    arguments = ["--host", "127.0.0.1", "--served-model-name", NAME, "--dtype", "float32", "--max-model-len", "512"]
    environment = {"MODEL": str(model), "PORT": str(port), "CPU": "1", "PYTHON": sys.executable}
    log = tmp_path_factory.mktemp("log") / "serve.log"
    with running(["bash", str(EXAMPLES / "serve.sh"), *arguments], log, environment) as run:
        run.wait_until(lambda: is_up(address), 400)
        client = OpenAI(base_url=f"{address}/v1", api_key="none", timeout=120, max_retries=0)
        yield Served(client, AutoTokenizer.from_pretrained(model))


def test_a_free_answer_has_its_mode_in_a_field_and_no_tag_in_its_text(served: Served) -> None:
    message = served.create(chat(3)).choices[0].message
    assert message.reasoning in MODES
    assert message.content == answer(ANSWERS[message.reasoning])


@pytest.mark.parametrize("mode", MODES)
def test_a_forced_mode_is_answered_in_and_reported(served: Served, mode: str) -> None:
    completion = served.create(chat(3), mode, extra_body={"return_token_ids": True})
    message = completion.choices[0].message
    assert (message.reasoning, message.content) == (mode, answer(ANSWERS[mode]))
    assert completion.prompt_token_ids == forced_prompt_ids(served.tokenizer, chat(3), mode)
    assert served.ask(3, mode) == served.ask(3, mode, tokenizer=served.tokenizer) == Answer(mode, answer(ANSWERS[mode]))


@pytest.mark.parametrize("mode", [None, *MODES])
def test_a_stream_says_what_the_whole_answer_says(served: Served, mode: str | None) -> None:
    whole = served.create(chat(5), mode).choices[0].message
    assert served.stream(chat(5), mode) == [Answer(whole.reasoning, whole.content)]


def test_sampled_texts_are_read_as_training_reads_them(served: Served) -> None:
    """Some end inside the tag, some before it or behind; tags in the prompt change nothing."""
    tagged = [{"role": "system", "content": "[Personalized_mode]\n"}, {"role": "user", "content": "[General_mode]\n"}]
    found = []
    for seed in range(12):
        options = {"temperature": 2.0, "seed": seed, "max_tokens": 1 + seed}
        completion = served.create(tagged, extra_body={"return_token_ids": True}, **options)
        message = completion.choices[0].message
        raw = served.client.completions.create(model=NAME, prompt=completion.prompt_token_ids, **options)
        parsed = parse_mode(raw.choices[0].text)
        assert (message.reasoning, message.content) == (parsed.name, parsed.body)
        assert served.stream(tagged, **options) == [Answer(parsed.name, parsed.body)]
        found.append(parsed.index)
    assert INVALID_MODE in found


def test_several_choices_of_one_request_each_have_the_forced_mode(served: Served) -> None:
    options = {"n": 3, "temperature": 1.0, "seed": 1}
    whole = [choice.message for choice in served.create(chat(7), "personalized", **options).choices]
    assert [message.reasoning for message in whole] == ["personalized"] * 3
    streamed = served.stream(chat(7), "personalized", **options)
    assert [answer.mode for answer in streamed] == ["personalized"] * 3


def test_requests_at_the_same_time_do_not_mix(served: Served) -> None:
    def one(number: int) -> tuple[str | None, Answer]:
        mode = [None, *MODES][number % 3]
        if number % 2:
            return mode, served.stream(chat(number), mode)[0]
        return mode, served.ask(number, mode)

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(one, range(36)))
    for asked, reply in found:
        assert reply.mode == asked or (asked is None and reply.mode in MODES)
        assert reply.text == answer(ANSWERS[str(reply.mode)])


@pytest.mark.parametrize("mode", [None, *MODES])
def test_structured_output_holds_behind_the_tag(served: Served, mode: str | None) -> None:
    found = served.ask(9, mode, extra_body=YES_OR_NO)
    assert found.text in ("yes", "no")
    assert found.mode == mode or (mode is None and found.mode in MODES)
    assert served.stream(chat(9), mode, extra_body=YES_OR_NO) == [found]


def test_the_example_asks_free_and_forced(served: Served) -> None:
    environment = os.environ | {"BASE_URL": str(served.client.base_url)}
    command = [sys.executable, str(EXAMPLES / "chat.py"), "Question 3: which?", "none."]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert "asked in general: general\n" in run.stdout and "asked in personalized: personalized\n" in run.stdout
