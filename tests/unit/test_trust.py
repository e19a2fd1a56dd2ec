"""What the commands may not do: reach out, run what comes with a model or a data set, trust a claim of either."""

import json
import subprocess
import sys

import pytest
from eval_rows import planted

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


def test_a_report_is_made_without_a_network_and_asks_the_reader_for_nothing(tmp_path):
    rows = tmp_path / "g.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in planted("m", lambda condition: "general")))
    done = alone("report", rows, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report" / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org/", "") and 'src="//' not in page
