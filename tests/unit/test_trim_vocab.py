"""The vocabulary cut of the experiment: the same tokens and logits for the given texts, on a real checkpoint."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny_model import build_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

SCRIPT = Path(__file__).parents[2] / "examples/experiment/trim_vocab.py"
CHAT = [{"role": "system", "content": "Profile: none."}, {"role": "user", "content": "Question 7: which?"}]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("trim_vocab", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folders(script, tmp_path_factory):
    """A tiny model before and after, with the texts that were given."""
    work = tmp_path_factory.mktemp("trim")
    build_tiny_model(work / "whole")
    pd.DataFrame([{"prompt": CHAT, "extra_info": {"truth": "north", "accept": ["north-west"]}}]).to_parquet(
        work / "a.parquet"
    )
    tokenizer = AutoTokenizer.from_pretrained(work / "whole")
    texts = script.texts_of([work / "a.parquet"], tokenizer)
    (work / "small").mkdir()
    done = script.trim(work / "whole", texts, tokenizer, work / "small")
    return work / "whole", work / "small", texts, done


def test_every_string_and_every_chat_is_among_the_texts(folders):
    texts = folders[2]
    assert {"north", " north", '"north"', "north-west"} <= set(texts)
    assert any("Question 7: which?" in text and text != CHAT[1]["content"] for text in texts)


def test_fewer_tokens_and_the_same_text(folders):
    whole, small, texts, done = folders
    before, after = AutoTokenizer.from_pretrained(whole), AutoTokenizer.from_pretrained(small)
    assert done["tokens"] == len(after) < len(before)
    for text in [*texts, "Ünseen wörds, 東京"]:
        assert after.decode(after(text, add_special_tokens=False).input_ids) == text
    assert after.eos_token == before.eos_token and after.chat_template == before.chat_template


def test_logits_of_the_kept_tokens_are_those_of_the_whole_model(folders):
    whole, small, texts, _ = folders
    before, after = AutoTokenizer.from_pretrained(whole), AutoTokenizer.from_pretrained(small)
    old_ids = torch.tensor(before.convert_tokens_to_ids(after.convert_ids_to_tokens(range(len(after)))))
    text = max(texts, key=len)
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(whole)(before(text, return_tensors="pt").input_ids).logits
        found = AutoModelForCausalLM.from_pretrained(small)(after(text, return_tensors="pt").input_ids).logits
    torch.testing.assert_close(found, expected[..., old_ids])


def test_special_tokens_of_the_configurations_are_renumbered(folders):
    _, small, _, _ = folders
    tokenizer, model = AutoTokenizer.from_pretrained(small), AutoModelForCausalLM.from_pretrained(small)
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == model.config.eos_token_id == tokenizer.eos_token_id
