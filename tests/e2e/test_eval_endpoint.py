"""One evaluation by vLLM's offline engine and by a real ``vllm serve``, of a tiny model that has learnt the tags."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import running
from test_pipeline import rl_row, sft_rows
from test_served_vllm import NAME, vllm_serve
from tiny_model import build_tiny_model

from personadual import schema
from personadual.cli import main
from personadual.data_prep.chat_tokens import training_ids
from personadual.evaluation.load import read_generations
from personadual.evaluation.runfile import read_meta
from personadual.modes import DEFAULT_MODES, encode_prefixes

ITEMS, SAMPLES, LENGTH = 6, 2, 40
ASKED = ["--max-tokens", str(LENGTH), "--samples", str(SAMPLES), "--temperature", "1.5", "--top-p", "0.95"]
KEY = ["item", "asked_mode", "sample"]


def teach(folder: Path) -> None:
    """SFT of the model on both modes, without verl: enough for tags and blocks, which is all that is needed here."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    rows = [training_ids(tokenizer, row[schema.MESSAGES], DEFAULT_MODES) for row in sft_rows()]
    length = max(len(row.prompt) + len(row.response) for row in rows)
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full((len(rows), length), -100)
    for number, row in enumerate(rows):
        end = len(row.prompt) + len(row.response)
        ids[number, :end] = torch.tensor(row.prompt + row.response)
        labels[number, len(row.prompt) : end] = ids[number, len(row.prompt) : end]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        for batch in torch.randperm(len(rows), generator=generator).split(16):
            loss = model(input_ids=ids[batch], labels=labels[batch]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("endpoint")
    build_tiny_model(folder / "tiny")
    teach(folder / "tiny")
    rows = [rl_row(index, schema.FREE) for index in range(100, 100 + ITEMS)]
    pd.DataFrame(rows).to_parquet(folder / "test.parquet")
    return folder


@pytest.fixture(scope="module")
def offline(work: Path) -> pd.DataFrame:
    """Two models in one call, the second the same under another name: an engine each, one after the other."""
    command = [sys.executable, "-m", "personadual.cli", "eval", str(work / "tiny"), f"again={work / 'tiny'}"]
    command += ["--data", str(work / "test.parquet"), "--out", str(work / "offline"), *ASKED]
    with running(command, work / "eval.log", {"VERL_PLATFORM": ""}) as run:
        assert run.wait(400) == 0, run.tail()
    one, two = (rows(work / "offline" / f"{name}.jsonl") for name in ("tiny", "again"))
    same = one[["response", "tag_logprob", "n_tokens"]].equals(two[["response", "tag_logprob", "n_tokens"]])
    assert same, "the same model with the same seeds says something else"
    return one


@pytest.fixture(scope="module")
def url(work: Path) -> Iterator[str]:
    with vllm_serve(work / "tiny", work / "serve.log", max_model_len=512) as address:
        yield address


def served(work: Path, url: str, name: str, *arguments: str) -> pd.DataFrame:
    given = ["eval", NAME, "--endpoint", url, "--data", str(work / "test.parquet"), "--out", str(work / name)]
    assert main([*given, *arguments]) == 0
    return rows(work / name / f"{NAME}.jsonl")


def rows(path: Path) -> pd.DataFrame:
    return read_generations([path]).set_index(KEY).sort_index()


def test_prompts_are_computed_once_for_all_answers_of_an_item(work: Path, offline: pd.DataFrame) -> None:
    assert len(offline) == ITEMS * 3 * (1 + SAMPLES)
    (session,) = read_meta(work / "offline" / "tiny.jsonl")["sessions"]
    assert session["answers"] == len(offline) and session["machine"]["cores"] >= 1
    # 9 answers to a prompt of one whole block and a rest: all but the first have the block from the cache.
    assert session["cached_prompt_tokens"] == ITEMS * 8 * 32 < session["prompt_tokens"]


def test_token_ids_to_a_server_give_the_offline_engines_answers(work: Path, url: str, offline: pd.DataFrame) -> None:
    found = served(work, url, "tokens", *ASKED, "--tokenizer", str(work / "tiny"), "--concurrency", "1")
    pd.testing.assert_index_equal(found.index, offline.index)
    greedy = found.index.get_level_values("sample") == 0
    same = ["response", "mode", "acc", "n_tokens", "truncated"]
    pd.testing.assert_frame_equal(found.loc[greedy, same], offline.loc[greedy, same])
    for name in ("tag_logprob", "deciding_logprob"):
        np.testing.assert_allclose(found[name], offline[name], atol=1e-3)
    assert read_meta(work / "tokens" / f"{NAME}.jsonl")["sessions"][0]["tag_logprobs"] is True
    # One request at a time and a seed of its own: the same draws as the engine's.
    assert (found["response"] == offline["response"]).mean() > 0.9


def test_log_probs_are_the_models_own(work: Path, offline: pd.DataFrame) -> None:
    """Of a forced prefix whose prompt came out of the cache, against transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(work / "tiny")
    model = AutoModelForCausalLM.from_pretrained(work / "tiny", dtype=torch.float32)
    prompt = tokenizer.apply_chat_template(
        rl_row(103, schema.FREE)[schema.PROMPT], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    for mode, prefix in zip(DEFAULT_MODES, encode_prefixes(tokenizer), strict=True):
        with torch.no_grad():
            logprobs = model(torch.tensor([prompt + prefix])).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(prefix) - 1)
        total = sum(logprobs[place, token].item() for place, token in zip(places, prefix, strict=True))
        assert offline.loc[(103, mode.name), "tag_logprob"].tolist() == pytest.approx([total] * 3, abs=1e-3)


def test_samples_differ_from_each_other_and_are_the_same_again(work: Path, url: str, offline: pd.DataFrame) -> None:
    free = offline.xs(schema.FREE, level="asked_mode")["response"]
    assert free.nunique() > 2  # greedily the model says the same to every item
    again = served(work, url, "again", *ASKED, "--tokenizer", str(work / "tiny"), "--concurrency", "1")
    first = rows(work / "tokens" / f"{NAME}.jsonl")
    assert (again["response"] == first["response"]).mean() > 0.9


def test_by_chat_modes_are_forced_too(work: Path, url: str, offline: pd.DataFrame) -> None:
    found = served(work, url, "chat", "--max-tokens", str(LENGTH))
    greedy = offline[offline.index.get_level_values("sample") == 0]
    assert (found["response"] == greedy["response"]).all() and (found["n_tokens"] == greedy["n_tokens"]).all()
    for mode in DEFAULT_MODES:
        forced = found.xs(mode.name, level="asked_mode")["response"]
        assert forced.str.startswith(mode.prefix + "<answer").all()
    settings = read_meta(work / "chat" / f"{NAME}.jsonl")["settings"]
    assert settings["way"] == "chat" and json.dumps(settings).count("vllm") == 0
