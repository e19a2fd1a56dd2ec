"""Cleanup takes only what fits every condition: name, type, owner, age, and that nobody uses it."""

import mmap
import os
import socket
import time
import uuid

import pytest

from personadual.cpu import cleanup

RING, BUCKET = "psm_0a1b2c3d", "verl_weights_" + "0" * 32


@pytest.fixture
def folders(tmp_path, monkeypatch):
    shared, sockets = tmp_path / "shm", tmp_path / "t"
    shared.mkdir()
    sockets.mkdir()
    monkeypatch.setattr(cleanup, "SHARED_MEMORY", shared)
    monkeypatch.setattr(cleanup.tempfile, "gettempdir", lambda: str(sockets))
    # A file's change time cannot be set back; the clock can be set forward.
    now = time.time()
    monkeypatch.setattr(cleanup.time, "time", lambda: now + 2 * cleanup.MIN_AGE_S)
    return shared, sockets


def test_removes_what_nobody_uses(folders):
    shared, _ = folders
    for name in (RING, BUCKET):
        (shared / name).write_bytes(b"x")
    assert {path.name for path in cleanup.clean()} == {RING, BUCKET}
    assert not list(shared.iterdir())


def test_dry_run_removes_nothing(folders):
    shared, _ = folders
    (shared / RING).write_bytes(b"x")
    assert [path.name for path in cleanup.clean(dry_run=True)] == [RING]
    assert (shared / RING).exists()


@pytest.mark.parametrize("name", ["psm_other", "torch_12_34", "data.bin", RING + ".bak"])
def test_leaves_other_names(folders, name):
    (folders[0] / name).write_bytes(b"x")
    assert cleanup.clean() == []


def test_leaves_what_is_open_or_mapped(folders):
    shared, _ = folders
    (shared / RING).write_bytes(b"x" * mmap.PAGESIZE)
    (shared / BUCKET).write_bytes(b"x" * mmap.PAGESIZE)
    with open(shared / RING, "rb"):
        descriptor = os.open(shared / BUCKET, os.O_RDONLY)
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ):
            os.close(descriptor)
            assert cleanup.clean() == []
    assert len(cleanup.clean()) == 2


def test_leaves_the_young(folders, monkeypatch):
    now = cleanup.time.time()
    monkeypatch.setattr(cleanup.time, "time", lambda: now - 2 * cleanup.MIN_AGE_S)
    (folders[0] / RING).write_bytes(b"x")
    assert cleanup.clean() == []


def test_leaves_bound_sockets_and_plain_files(folders, monkeypatch):
    _, sockets = folders
    monkeypatch.chdir(sockets)
    (sockets / str(uuid.uuid4())).write_text("not a socket")
    path = str(sockets / str(uuid.uuid4()))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        bound.listen()
        assert cleanup.clean() == []
    assert [str(left) for left in cleanup.clean()] == [path]
