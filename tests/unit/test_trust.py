"""What the commands may not do: reach out, run what comes with a model or a data set, trust a claim of either."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from eval_rows import planted
from published_rows import flan, personas, write_lines

ROOT = Path(__file__).parents[2]

# Runs a command that may open no connection and look up no name; the machine's own sockets between processes are fine.
ALONE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise RuntimeError(f"reaches out: {event} {arguments[-1] if event == 'socket.connect' else arguments}")

sys.addaudithook(refuse)
from personadual import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def alone(*arguments):
    command = [sys.executable, "-c", ALONE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "data"
    done = alone("data", "quickstart", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_guard_sees_a_connection():
    guard = ALONE.split("from personadual")[0]
    code = guard + "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "reaches out" in done.stderr


def test_data_is_made_and_checked_without_a_network(data):
    done = alone("data", "validate", data / "rl_train.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    done = alone("data", "inspect", data / "rl_train.parquet")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_build_from_local_files_needs_no_network(tmp_path):
    rows = write_lines(tmp_path / "rows.jsonl", flan(20))
    profiles = write_lines(tmp_path / "personas.jsonl", personas(20))
    flags = ("--source", "flan", "--input", rows, "--personas", profiles, "--task", "both", "--workers", 1)
    done = alone("data", "build", *flags, "--out", tmp_path / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "data/rl_train.parquet").is_file() and (tmp_path / "data/sft_train.parquet").is_file()


def test_a_report_is_made_without_a_network_and_asks_the_reader_for_nothing(tmp_path):
    rows = tmp_path / "g.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in planted("m", lambda condition: "general")))
    done = alone("report", rows, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report" / "report.html").read_text()
    assert not re.search(r"https?:", page.replace("http://www.w3.org/", "")) and 'src="//' not in page


# Arguments that let what is read run code, or have to be given so that it can't; no lint rule of ruff looks at them.
NEEDED = {"torch.load": ("weights_only", True)}
NEVER = {"allow_pickle", "trust_remote_code"}


def loads_of(source):
    """Calls in ``source`` that could run what they read, as text."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        given = {word.arg: word.value for word in call.keywords}
        name, value = NEEDED.get(ast.unparse(call.func), (None, None))
        held = given.get(name)
        on = [word for word in NEVER & set(given) if isinstance(given[word], ast.Constant) and given[word].value]
        if on or (name and not (isinstance(held, ast.Constant) and held.value is value)):
            yield ast.unparse(call)


def test_weights_and_arrays_are_read_without_pickle_and_no_model_brings_code():
    for bad in ("torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)"):
        assert [*loads_of(bad)] == [bad]
    files = [
        file for folder in ("recipe", "data_prep", "reward_fns", "examples") for file in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > 100
    assert [(file.name, call) for file in files for call in loads_of(file.read_text())] == []
