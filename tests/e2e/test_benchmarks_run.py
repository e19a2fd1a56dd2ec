"""The parts of the benchmarks that take verl's trainers to pieces still find them whole."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_trainers_own_part_of_a_step_is_measured(tmp_path):
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks", "trainer_parts", "--quick", "--repeats", "1", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(out.read_text())["parts"]["trainer_parts"]["rows"]
    assert {row["work"] for row in rows} == {"512 rows of 256 tokens"}
    assert rows[0]["against"] == "verl grpo" and rows[0]["seconds"]["low"] > 0
