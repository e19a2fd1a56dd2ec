"""Cut a model's vocabulary down to the tokens that given texts are made of, so that its output layer costs less.

A quarter of SmolLM2-135M is the embedding of 49,152 tokens, and the logits over them are a third of what a step on
short sequences costs on a CPU. A set of questions about countries needs a few thousand tokens. Every given text is
split into the same tokens as before (checked), and what the model computes for a token stays the same; only tokens that
no text has are gone, from input and output. All single bytes stay, so that any other text can still be written.

    python examples/experiment/trim_vocab.py --model outputs/smollm2 --texts data/*.parquet --out outputs/smollm2_small
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from personadual.files import sha256_of

TOKENIZER, SOURCE_FILE = "tokenizer.json", "TRIMMED_FROM.json"


def strings(value: Any) -> Iterator[str]:
    """Every string inside nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def chats(value: Any) -> Iterator[list[dict[str, str]]]:
    """Every list of chat messages inside a row."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "role" in value[0]:
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from chats(part)


def texts_of(paths: Sequence[Path], tokenizer: Any) -> list[str]:
    """The strings of the files, alone and behind a space, and their chats as the template writes them."""
    found: dict[str, None] = {}
    for path in paths:
        for row in pq.read_table(path).to_pylist():
            for text in strings(row):
                found[text] = found[f" {text}"] = found[f'"{text}"'] = None
            for chat in chats(row):
                found[tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)] = None
    return list(found)


def kept_tokens(texts: Iterable[str], backend: Any, model: dict[str, Any], added: Sequence[str]) -> set[str]:
    """Tokens of ``texts`` with all that byte-pair merging makes on the way to them, single bytes, and ``added``."""
    halves = {left + right: (left, right) for left, right in map(tuple, model["merges"])}
    kept = {token for token in model["vocab"] if token not in halves} | set(added)
    waiting = {
        token for encoding in backend.encode_batch(list(texts), add_special_tokens=False) for token in encoding.tokens
    }
    while waiting:
        token = waiting.pop()
        if token not in kept:
            kept.add(token)
            waiting.update(halves[token])
    return kept


def trim(model_dir: Path, texts: list[str], tokenizer: Any, target: Path) -> dict[str, Any]:
    """Write the trimmed model and tokenizer into ``target``; returns what was done."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole = json.loads((model_dir / TOKENIZER).read_text(encoding="utf-8"))
    vocab: dict[str, int] = whole["model"]["vocab"]
    added = [entry["content"] for entry in whole["added_tokens"]]
    kept = kept_tokens(texts, tokenizer.backend_tokenizer, whole["model"], added)
    old_ids = sorted({**vocab, **{entry["content"]: entry["id"] for entry in whole["added_tokens"]}}[t] for t in kept)
    new_id = {old: new for new, old in enumerate(old_ids)}

    whole["model"]["vocab"] = {token: new_id[old] for token, old in vocab.items() if old in new_id}
    whole["model"]["merges"] = [pair for pair in whole["model"]["merges"] if pair[0] + pair[1] in kept]
    for entry in whole["added_tokens"]:
        entry["id"] = new_id[entry["id"]]
    tokenizer.save_pretrained(target)
    (target / TOKENIZER).write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    _renumber_added(target / "tokenizer_config.json", new_id)

    small = AutoTokenizer.from_pretrained(target)
    for text in texts:
        before, after = (
            tokenizer(text, add_special_tokens=False).input_ids,
            small(text, add_special_tokens=False).input_ids,
        )
        if [new_id[old] for old in before] != after:
            raise SystemExit(f"the trimmed tokenizer splits a text in another way: {text[:80]!r}")

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype="auto")
    rows = torch.tensor(old_ids)
    weight = model.get_input_embeddings().weight.data[rows].clone()
    out = None if model.config.tie_word_embeddings else model.get_output_embeddings().weight.data[rows].clone()
    model.resize_token_embeddings(len(old_ids), mean_resizing=False)
    model.get_input_embeddings().weight.data.copy_(weight)
    if out is not None:
        model.get_output_embeddings().weight.data.copy_(out)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        for config in (model.config, model.generation_config):
            setattr(config, name, getattr(small, name))
    model.save_pretrained(target)
    return {"model": str(model_dir), "tokens_before": len(vocab), "tokens": len(old_ids), "texts": len(texts)}


def _renumber_added(path: Path, new_id: dict[int, int]) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    if "added_tokens_decoder" in config:
        config["added_tokens_decoder"] = {str(new_id[int(old)]): e for old, e in config["added_tokens_decoder"].items()}
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help="parquet files of every split")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.out.exists():
        print(f"{args.out} is there already")
        return
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    part = args.out.with_name(f"{args.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    done = trim(args.model, texts_of(args.texts, tokenizer), tokenizer, part)
    done["weights_sha256"] = sha256_of(args.model / "model.safetensors")
    (part / SOURCE_FILE).write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    os.rename(part, args.out)
    print(f"{args.out}: {done['tokens']} of {done['tokens_before']} tokens kept, for {done['texts']} texts")


if __name__ == "__main__":
    main()
