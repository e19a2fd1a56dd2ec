"""Commands that need no torch start without it: its import alone takes longer than what they do."""

import json
import subprocess
import sys

import pytest

# Runs the command in a new process and ends with what of the heavy packages that has loaded.
RUN = """
import sys
from personadual import cli
try:
    status = cli.main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
loaded = sorted({"torch", "transformers", "verl", "vllm", "ray"} & set(sys.modules))
sys.exit(f"loaded {loaded}" if loaded else status)
"""


def run(*arguments):
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", ["plot", "report", "data", "eval", "export", "doctor"])
def test_help_is_given_without_torch(command):
    done = run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: personadual")


def test_curves_are_drawn_without_torch(tmp_path):
    data = {f"dual_grpo/flan/prob_{mode}/mean": 0.5 for mode in ("general", "personalized")}
    data |= {"dual_grpo/flan/mode_gap/mean": 0.25, "response_length/mean": 20.0, "actor/kl_loss": 0.01}
    lines = [json.dumps({"step": step, "data": data}) for step in (1, 2)]
    (tmp_path / "run.jsonl").write_text("\n".join(lines) + "\n")
    done = run("plot", tmp_path / "run.jsonl", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"choice.png", "plot.json", "plot.csv"}
    assert "collapse" in done.stdout


def test_event_files_are_read_without_torch(tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path / "run"))
    for step in (1, 2):
        value = Summary.Value(tag="dual_grpo/flan/mode_gap/mean", simple_value=0.25)
        writer.add_event(Event(step=step, summary=Summary(value=[value])))
    writer.close()
    done = run("plot", tmp_path / "run", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "reward.png").exists()
