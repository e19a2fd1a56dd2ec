"""Checkpoints of verl's real SFT trainer, on one and on two ranks, through ``personadual export`` and real vLLM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from harness import running, sft_command
from tiny_model import build_tiny_model

from personadual import cli, schema
from personadual.export import ExportError
from personadual.export.checkpoint import find_checkpoint
from personadual.export.checks import CheckSettings, check_model
from personadual.modes import DEFAULT_MODES


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    build_tiny_model(folder / "model")
    question = {"role": "user", "content": "Question: which?"}
    rows = [
        {schema.MESSAGES: [question, {"role": "assistant", "content": mode.prefix + "<answer>B</answer>"}]}
        for mode in DEFAULT_MODES
        for _ in range(4)
    ]
    pd.DataFrame(rows).to_parquet(folder / "sft.parquet")
    return folder


@pytest.fixture(scope="module", params=[1, 2], ids=["1 rank", "2 ranks"])
def run_folder(work: Path, request: pytest.FixtureRequest) -> Path:
    """A run of one step that saved no full model."""
    out = work / f"run{request.param}"
    command = sft_command(
        work / "model",
        work / "sft.parquet",
        out,
        "trainer.total_epochs=1",
        "data.train_batch_size=8",
        "data.max_length=128",
        "optim.lr=1e-2",
        # A single step: warm-up would leave the weights as they were.
        "optim.lr_warmup_steps_ratio=0",
        "trainer.save_freq=after_each_epoch",
        "checkpoint.save_contents=[model,optimizer,extra]",
        "trainer.logger=[console,file]",
    )
    command[command.index("--nproc_per_node=1")] = f"--nproc_per_node={request.param}"
    log = {"VERL_FILE_LOGGER_PATH": str(work / f"metrics{request.param}.jsonl")}
    with running(command, work / f"sft{request.param}.log", log) as run:
        assert run.wait(480) == 0, run.tail()
    return out


def ranks(run_folder: Path) -> int:
    return int(run_folder.name[-1])


def test_export_is_the_checkpoint_and_both_engines_agree(work: Path, run_folder: Path, capsys) -> None:
    """Shards of two ranks are checked by both engines; those of one by transformers alone, for time."""
    out = work / "models" / run_folder.name
    kind = "vllm" if ranks(run_folder) == 2 else "transformers"
    metrics = work / f"metrics{ranks(run_folder)}.jsonl"
    arguments = ["export", run_folder, "--out", out, "--check", kind, "--metrics", metrics]
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "rounded from float32 to bfloat16" in printed.out
    record = json.loads((out / "personadual.json").read_text())
    assert record["checkpoint"] == {
        "name": "global_step_1",
        "step": 1,
        "ranks": ranks(run_folder),
        "weights": "shards",
    }
    assert (record["kind"], record["modes_from"], record["dtype"]) == ("sft", "config", ["bfloat16"])
    assert record["training"]["optim.lr"] == 0.01
    if kind == "vllm":
        assert 0 < record["checks"]["vllm"]["largest"] < 1e-4
        assert "largest difference" in printed.out

    from safetensors.torch import load_file

    trained, base = load_file(out / "model.safetensors"), load_file(work / "model" / "model.safetensors")
    assert trained.keys() == base.keys()
    assert all(trained[name].shape == base[name].shape for name in base)
    assert any((trained[name].float() - base[name]).abs().max() > 5e-3 for name in base)

    card = (out / "README.md").read_text()
    assert str(work) not in card and "supervised fine-tuning" in card and "`train/loss`" in card
    assert [path.name for path in (work / "models").iterdir() if path.name.startswith(".")] == []


def test_a_truncated_shard_is_refused_and_nothing_is_left(work: Path, run_folder: Path, tmp_path, capsys) -> None:
    shutil.copytree(run_folder / "global_step_1", tmp_path / "global_step_1")
    size = ranks(run_folder)
    path = tmp_path / "global_step_1" / f"model_world_size_{size}_rank_{size - 1}.pt"
    path.write_bytes(path.read_bytes()[:-1000])
    assert cli.main(["export", str(tmp_path / "global_step_1"), "--out", str(tmp_path / "out")]) == 2
    assert f"shard {size} of {size} is truncated" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["global_step_1"]


@pytest.mark.parametrize("run_folder", [1], indirect=True, ids=["1 rank"])
def test_a_shard_with_code_is_not_run_by_the_merger(work: Path, run_folder: Path, tmp_path, capsys) -> None:
    import os

    import torch

    class Dangerous:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "canary"),)

    shutil.copytree(run_folder / "global_step_1", tmp_path / "global_step_1")
    torch.save({"weight": Dangerous()}, tmp_path / "global_step_1" / "model_world_size_1_rank_0.pt")
    arguments = [str(tmp_path / "global_step_1"), "--out", str(tmp_path / "out"), "--check", "none"]
    assert cli.main(["export", *arguments]) == 2
    assert "verl's merger failed" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["global_step_1"]


@pytest.mark.parametrize("run_folder", [2], indirect=True, ids=["2 ranks"])
def test_other_weights_than_the_checkpoints_are_noticed(work: Path, run_folder: Path, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "changed"
    shutil.copytree(work / "models" / run_folder.name, folder)
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[-1]
    weights[name] = weights[name] + 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint = find_checkpoint(run_folder)
    with pytest.raises(ExportError, match=f"not the checkpoint's: {name} differs by up to"):
        check_model(folder, checkpoint, ["bfloat16"], DEFAULT_MODES, {}, CheckSettings("transformers"))
