"""A Llama of two layers with its own tokenizer: small enough that a test's time is the framework's, not the model's.

``python -m tests.tiny_model OUT_DIR`` writes one by hand.
"""

import os
import sys

# Sets of words with different frequencies, so that tags and answers merge into a few tokens of differing lengths.
CORPUS = [
    "[General_mode]\n",
    "[Personalized_mode]\n",
    "[General_mode]\nLet me think about the question.\n<answer>B</answer>",
    "[Personalized_mode]\nYou like hiking and quiet towns, so\n<answer>C</answer>",
    "<answer>A</answer> <answer>B</answer> <answer>C</answer> <answer>D</answer>",
    "User profile: likes tea, lives in Lyon, works as a nurse, speaks French.",
    "Question: Which city is the capital of France? Options: A. Lyon B. Paris C. Nice D. Lille",
    "The capital of France is Paris. The answer is one two three four five six seven eight nine ten.",
    "system user assistant\nYou are a helpful assistant. Hello there, yes and no.",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def build_tiny_tokenizer(vocab_size: int = 340):
    """A byte-level BPE trained on ``CORPUS``: it can write any text, and has ChatML's markers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = CHAT_TEMPLATE
    fast.model_max_length = 2048
    return fast


def tokenizer_with(template: str | None = None):
    """The tiny tokenizer with a chat template of one's own, and with Qwen3's think tags."""
    tokenizer = build_tiny_tokenizer()
    # Single tokens that are not special, as in Qwen3's tokenizer.
    tokenizer.add_tokens(["<think>", "</think>"])
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer


def build_tiny_model(out_dir: str | os.PathLike, seed: int = 0, tokenizer=None) -> str:
    """Write model and tokenizer to ``out_dir`` as safetensors, and return it. The same seed gives the same weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tokenizer or build_tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        # vLLM's attention on the CPU takes heads of 32, 64, 80, 96, ...
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Several times the usual, so that the random model is not uniform and a trained one moves.
        initializer_range=0.1,
        dtype="float32",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out_dir, safe_serialization=True)
    tokenizer.save_pretrained(out_dir)
    return str(out_dir)


if __name__ == "__main__":
    print(build_tiny_model(sys.argv[1]))
