"""A disk that is full, by way of a limit on a file's size: one line, nothing half-written, what was there stays."""

import json
import os
import resource
import subprocess
import sys

import pytest
from eval_rows import planted

from personadual.files import write_text

LIMIT = 3000


def run(*arguments, limit=LIMIT):
    command = [sys.executable, "-m", "personadual.cli", *map(str, arguments)]
    limits = (limit, resource.RLIM_INFINITY)
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MPLCONFIGDIR": os.environ.get("TMPDIR", "/tmp"), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
    )


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_data_that_does_not_fit_leaves_no_file(tmp_path):
    out = tmp_path / "data"
    found = run("data", "quickstart", "--out", out)
    assert found.returncode == 1 and files_in(out) == []
    assert (
        found.stderr.strip().splitlines()[-1].startswith(f"error: {out}/sft_train.parquet: not written, file too large")
    )
    assert "Traceback" not in found.stderr


# In the order in which they are written.
REPORT = ["figures/mode_choice.png", "figures/accuracy.png", "report.json", "report.html", "report.md"]


def report_beside_old_files(folder, limit):
    """The files that are still of before, after a report under ``limit``."""
    rows, out = folder / "g.jsonl", folder / "report"
    rows.write_text("".join(json.dumps(row) + "\n" for row in planted("m", lambda condition: "general")))
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for name in REPORT:
        (out / name).write_text("of before")
    found = run("report", rows, "--out", out, limit=limit)
    assert "Traceback" not in found.stderr and files_in(out) == sorted(REPORT), found.stderr
    kept = [name for name in REPORT if (out / name).read_bytes() == b"of before"]
    assert found.returncode == bool(kept), found.stderr
    return kept


def test_a_report_that_does_not_fit_keeps_the_old_files(tmp_path):
    assert report_beside_old_files(tmp_path, resource.RLIM_INFINITY) == []
    page = (tmp_path / "report" / "report.html").stat().st_size
    # The page holds both figures: it is the largest file.
    assert report_beside_old_files(tmp_path, page - 1) == ["report.html", "report.md"]
    assert report_beside_old_files(tmp_path, LIMIT) == REPORT


def test_write_text_names_the_file_and_keeps_the_old_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        with pytest.raises(OSError, match=r"a\.txt: not written, file too large"):
            write_text(path, "x" * (LIMIT + 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old" and files_in(tmp_path) == ["a.txt"]
