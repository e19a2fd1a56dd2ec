"""A run that is killed or interrupted in the middle, in a process of its own, and the same command again."""

import signal
import subprocess
import sys
import threading

import pytest
from chat_server import ChatServer, Reply

from personadual.data_prep.served.cache import AnswerCache

ANSWERED, TOTAL = 10, 40

PROGRAM = """
import signal, sys
from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.exchange import Request
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.client import ask_all

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever this process was started with
url, path = sys.argv[1:]
config = ServedConfig(base_url=url, model="m", concurrency=4)
requests = [Request(str(n), ({"role": "user", "content": f"q{n}"},)) for n in range(40)]
with AnswerCache(path) as cache:
    for outcome in ask_all(requests, config, cache, progress=False):
        print(outcome.request.id, outcome.text(), outcome.cached, flush=True)
"""


@pytest.fixture
def server():
    """Answers the first ten prompts and keeps the others waiting until ``server.released`` is set."""
    with ChatServer(
        lambda prompt, _: Reply(f"re: {prompt}", wait_for=None if int(prompt[1:]) < ANSWERED else released.wait)
    ) as running:
        released = running.released = threading.Event()
        yield running
        released.set()


def start(server, path):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_in_the_middle(server, path, number):
    """Start, end the process by a signal once the first ten answers have come out, and return what it said."""
    process = start(server, path)
    for expected in range(ANSWERED):
        assert process.stdout.readline() == f"{expected} re: q{expected} False\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -number, errors
    return errors


def finish(server, path):
    server.released.set()
    output, errors = start(server, path).communicate(timeout=60)
    assert output.splitlines() == [f"{n} re: q{n} {n < ANSWERED}" for n in range(TOTAL)], errors
    # Nothing that was answered is asked again; what was under way is.
    assert all(server.hits[f"q{number}"] == 1 for number in range(ANSWERED))
    assert all(server.hits[f"q{number}"] in (1, 2) for number in range(ANSWERED, TOTAL))


def test_kill_9_loses_no_answer(server, tmp_path):
    path = tmp_path / "cache"
    stop_in_the_middle(server, path, signal.SIGKILL)
    with AnswerCache(path) as cache:
        assert len(cache) == ANSWERED
    finish(server, path)


def test_ctrl_c_keeps_what_came_and_says_what_is_left(server, tmp_path):
    path = tmp_path / "cache"
    errors = stop_in_the_middle(server, path, signal.SIGINT)
    assert f"All answers so far are kept in {path}. 30 of 40 are left. The same command goes on from there." in errors
    # Nothing but that message and the interruption itself: no task is left over to complain.
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in errors and "was destroyed" not in errors
    finish(server, path)


def test_two_processes_cannot_share_a_cache(server, tmp_path):
    path = tmp_path / "cache"
    with AnswerCache(path):
        process = start(server, path)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "another process has it open" in errors and not server.hits
