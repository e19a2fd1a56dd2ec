"""``personadual export`` without training: what the folder holds, where it may be made, and the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from export_files import full_checkpoint, rl_config, write_config
from tiny_model import build_tiny_model

from personadual import cli
from personadual.export import ExportError
from personadual.export.folder import check_output, staged
from personadual.export.push import check_repo_id, push
from personadual.modes import Mode, Modes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(build_tiny_model(tmp_path_factory.mktemp("tiny")))


# The folder


def export(checkpoint: Path, out: Path, *arguments: str) -> int:
    return cli.main(["export", str(checkpoint), "--out", str(out), "--check", "none", *map(str, arguments)])


def test_a_full_model_is_copied_with_card_and_record(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (folder / "huggingface" / "optimizer.pt").write_bytes(b"a pickle")
    (folder / "huggingface" / "code.py").write_text("raise SystemExit")
    config = json.loads((folder / "huggingface" / "config.json").read_text())
    config = json.dumps({**config, "_name_or_path": "/home/someone/base"})
    (folder / "huggingface" / "config.json").write_text(config)
    write_config(tmp_path / "run" / "hydra", rl_config())
    assert export(tmp_path / "run", tmp_path / "models" / "mine") == 0
    out = tmp_path / "models" / "mine"
    assert {path.name for path in out.iterdir()} >= {
        *("README.md", "personadual.json", "model.safetensors", "config.json", "tokenizer.json"),
        *("tokenizer_config.json", "generation_config.json", "chat_template.jinja"),
    }
    assert not (out / "optimizer.pt").exists() and not (out / "code.py").exists()
    assert (out / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    record = json.loads((out / "personadual.json").read_text())
    assert record["checkpoint"] == {
        "name": "global_step_3/actor",
        "step": 3,
        "ranks": None,
        "weights": "huggingface",
    }
    assert record["dtype"] == ["float32"] and record["checks"] == {"kind": "none"}
    assert record["training"]["data.train_files"] == ["rl_train.parquet"]
    assert len(record["sha256"]["model.safetensors"]) == 64
    for path in out.iterdir():
        assert b"/home/someone" not in path.read_bytes() and str(tmp_path).encode() not in path.read_bytes()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]
    assert "Not checked" in capsys.readouterr().out


def test_only_an_earlier_export_is_replaced(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert export(folder, out) == 2 and "not empty" in capsys.readouterr().err
    assert export(folder, out, "--overwrite") == 2 and "no earlier export" in capsys.readouterr().err
    assert (out / "thesis.tex").exists()
    (out / "thesis.tex").unlink()
    assert export(folder, out) == 0
    (out / "stale.txt").write_text("")
    assert export(folder, out, "--overwrite") == 0
    assert not (out / "stale.txt").exists() and (out / "README.md").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize("place", ["run", "run/global_step_3/actor", "run/global_step_3/actor/huggingface", "file"])
def test_places_that_an_export_may_not_take(tmp_path, tiny, place, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (tmp_path / "file").write_text("")
    assert export(folder, tmp_path / place, "--overwrite") == 2
    assert "--out" in capsys.readouterr().err
    assert (folder / "huggingface" / "model.safetensors").exists()


def test_a_mount_point_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    with pytest.raises(ExportError, match=r"disk: is a mount point.* give a folder in it"):
        check_output(tmp_path / "disk", tmp_path / "run", overwrite=False)
    assert check_output(tmp_path / "disk" / "model", tmp_path / "run", overwrite=False)


def test_a_truncated_model_leaves_nothing_behind(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    path = folder / "huggingface" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert export(folder, tmp_path / "out") == 2
    assert "model.safetensors: truncated" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_link_is_not_published(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (tmp_path / "secret").write_text("{}")
    (folder / "huggingface" / "vocab.json").symlink_to(tmp_path / "secret")
    assert export(folder, tmp_path / "out") == 2
    assert "vocab.json: a link" in capsys.readouterr().err


def test_an_interrupted_export_leaves_nothing_and_the_old_one_stands(tmp_path):
    out = tmp_path / "out"
    with staged(out) as folder:
        (folder / "personadual.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt), staged(check_output(out, tmp_path / "run", overwrite=True)) as folder:
        (folder / "half").write_text("")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["personadual.json"]


# The Hub


class Hub:
    """Records what would be uploaded."""

    def __init__(self, private: bool = True, error: Exception | None = None):
        self.private, self.error, self.calls = private, error, []

    def create_repo(self, **arguments):
        self.calls.append(("create", arguments["private"]))

    def repo_info(self, **arguments):
        return SimpleNamespace(private=self.private)

    def upload_folder(self, **arguments):
        if self.error:
            raise self.error
        self.calls.append(("upload", arguments["repo_id"]))
        return SimpleNamespace(commit_url="https://hub.example/commit/1")


def test_uploads_are_private_unless_asked(tmp_path):
    hub = Hub()
    assert push(tmp_path, "me/model", public=False, api=hub) == "https://hub.example/commit/1"
    assert hub.calls == [("create", True), ("upload", "me/model")]
    public = Hub(private=False)
    with pytest.raises(ExportError, match="is public; nothing was uploaded"):
        push(tmp_path, "me/model", public=False, api=public)
    assert public.calls == [("create", True)]
    push(tmp_path, "me/model", public=True, api=public)
    assert public.calls[1:] == [("create", False), ("upload", "me/model")]
    with pytest.raises(ExportError, match="upload to me/model failed, ConnectionError: gone"):
        push(tmp_path, "me/model", public=False, api=Hub(error=ConnectionError("gone")))


def test_pushing_is_refused_before_anything_is_made(tmp_path, tiny, capsys, monkeypatch):
    folder = full_checkpoint(tmp_path / "run", tiny)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert export(folder, tmp_path / "out", "--push", "me/model") == 2
    assert "uploads what was checked" in capsys.readouterr().err
    assert export(folder, tmp_path / "out", "--public") == 2
    assert export(folder, tmp_path / "out", "--license", "mit\n---\nx: y") == 2
    for name in ("nobody", "a/b/c", "../x", "me/mo del"):
        with pytest.raises(ExportError, match="--push"):
            check_repo_id(name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ExportError, match="HF_HUB_OFFLINE is set"):
        check_repo_id("me/model")
    assert not (tmp_path / "out").exists()


def test_a_mode_of_other_modes_is_recorded(tmp_path, tiny):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (tmp_path / "modes.json").write_text('[{"name": "a", "tag": "[A]"}, {"name": "b", "tag": "[B]"}]')
    assert export(folder, tmp_path / "out", "--modes", tmp_path / "modes.json") == 0
    record = json.loads((tmp_path / "out" / "personadual.json").read_text())
    assert Modes.from_config(record["modes"]) == Modes([Mode("a", "[A]"), Mode("b", "[B]")])
    assert record["modes_from"] == "file"
