"""The quickstart's SFT conversations are RL's prompts, token for token."""

import os

import pytest

from personadual import schema
from personadual.data_prep.columns import MODE
from personadual.data_prep.quickstart import QuickstartConfig, build_rows
from personadual.modes import DEFAULT_MODES, encode_prefix, parse_mode


@pytest.fixture(scope="module")
def rows():
    return build_rows(QuickstartConfig())


MODEL_VARIABLE = "PERSONADUAL_TEST_MODEL"  # folder of a real checkpoint whose tokenizer is tested as well


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def small_tokenizer(texts):
    """A byte-level BPE with GPT-2's splitting rule, as SmolLM2's, trained on ``texts``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[2], pad_token=special[0])
    fast.chat_template = CHATML
    return fast


@pytest.mark.parametrize("which", ["small", *([MODEL_VARIABLE] if MODEL_VARIABLE in os.environ else [])])
def test_sft_conversations_are_the_rl_prompt_the_prefix_and_the_body_token_for_token(rows, which):
    if which == "small":
        texts = [message["content"] for row in rows["sft_train"] for message in row[schema.MESSAGES]]
        tokenizer = small_tokenizer(texts)
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(os.environ[MODEL_VARIABLE])
    modes = {mode.name: mode for mode in DEFAULT_MODES}
    for row in rows["sft_train"][::5]:
        messages = row[schema.MESSAGES]
        whole = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
        prompt = tokenizer.apply_chat_template(messages[:2], add_generation_prompt=True, return_dict=True)["input_ids"]
        prefix = encode_prefix(tokenizer, modes[row[MODE]])
        body = tokenizer.encode(parse_mode(messages[2]["content"]).body, add_special_tokens=False)
        end = tokenizer.encode("<|im_end|>\n", add_special_tokens=False)
        assert whole == [*prompt, *prefix, *body, *end]
