"""What is the same bit for bit in every process, whatever the order of its sets and its threads."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

# Everything that a training step takes in, made anew; prints hashes.
MAKE = """
import hashlib, json, sys
from pathlib import Path
import torch
from personadual import cli
from personadual.advantage import dual_grpo_advantage
from personadual.reward_fns import compute_score

out = Path(sys.argv[1])
assert cli.main(["data", "quickstart", "--out", str(out), "--seed", "3"]) == 0
digest = lambda data: hashlib.sha256(data).hexdigest()
found = {path.name: digest(path.read_bytes()) for path in sorted(out.iterdir())}

answer = '[General_mode]\\n<answer>\\n{"answer": "%s"}\\n</answer>'
scores = [compute_score("quickstart_none", answer % text, "Paris") for text in ("Paris", "paris.", "Par", "(a)")]
found["rewards"] = digest(json.dumps(scores).encode())

torch.set_num_threads(int(sys.argv[2]))
random = torch.Generator().manual_seed(0)
rows, width = 512, 1024  # so many that torch takes all its threads
advantages, _ = dual_grpo_advantage(
    rewards=torch.rand(rows, generator=random),
    response_mask=torch.ones(rows, width),
    modes=torch.arange(rows) % 2,
    groups=[f"prompt {row // 8}" for row in range(rows)],
    prefix_lengths=torch.full((rows,), 5),
)
found["advantages"] = digest(advantages.numpy().tobytes())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    found = []
    for hash_seed, threads in (("0", "1"), ("1", "2")):
        out = tmp_path_factory.mktemp("made") / "data"
        done = subprocess.run(
            [sys.executable, "-c", MAKE, str(out), threads],
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def test_two_processes_make_the_same_bytes(made):
    first, second = made
    assert {"sft_train.parquet", "rl_train.parquet", "manifest.json", "rewards", "advantages"} <= set(first)
    assert first == second


def test_the_manifest_has_the_hashes_of_the_files(made, tmp_path):
    from personadual import cli

    assert cli.main(["data", "quickstart", "--out", str(tmp_path / "data"), "--seed", "3"]) == 0
    for name, entry in json.loads((tmp_path / "data" / "manifest.json").read_text())["files"].items():
        digest = hashlib.sha256((tmp_path / "data" / name).read_bytes()).hexdigest()
        assert digest == entry["sha256"] == made[0][name]
