"""Into an environment that has verl and nothing of ours, and out again: what it held before is what it holds after.

The environment is a new one whose packages are links to this one's, so that nothing is downloaded; what pip installs
goes into its own site-packages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pandas as pd
import pytest
from harness import CPU_ENVIRONMENT, read_jsonl, running
from test_pipeline import rl_row
from tiny_model import build_tiny_model
from wheel_build import build_wheel

from personadual import schema

PROMPTS, ROLLOUTS = 4, 4


class Environment:
    """A virtual environment with the packages of this one, ``personadual`` and its editable install left out."""

    def __init__(self, folder: Path):
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.folder, self.python = folder, folder / "venv/bin/python"
        site = folder / "venv/lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        packages = folder / "packages"
        packages.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if "personadual" not in entry.name and entry.name != "__pycache__":
                (packages / entry.name).symlink_to(entry)
        (site / "packages.pth").write_text(f"{packages}\n")

    def run(self, *arguments: str) -> str:
        """Output of the environment's python, in a folder from which nothing can be imported."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
            **CPU_ENVIRONMENT,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        done = subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def state(self) -> tuple[str, list[str]]:
        """What pip says is installed, and every file of the environment with its size."""
        files = sorted((self.folder / "venv").rglob("*"))
        listing = [f"{path} {path.lstat().st_size}" for path in files if path.is_symlink() or path.is_file()]
        return self.run("-m", "pip", "freeze", "--all"), listing

    def knows_us(self) -> bool:
        command = "import importlib.util, verl; print(importlib.util.find_spec('personadual') is not None)"
        return self.run("-c", command).split()[-1] == "True"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("existing")
    build_tiny_model(folder / "model")
    pd.DataFrame([rl_row(index, schema.FREE) for index in range(16)]).to_parquet(folder / "train.parquet")
    pd.DataFrame([rl_row(99, schema.FREE)]).to_parquet(folder / "val.parquet")
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel"))


def own_command(environment: Environment, work: Path) -> list[str]:
    """A verl user's own start on verl's own config, and one line for us."""
    run = work / "run"
    return [
        *(str(environment.python), "-m", "verl.trainer.main_ppo"),
        *("hydra.searchpath=[pkg://personadual.config]", "+dual_grpo=default", "+platform=cpu"),
        f"actor_rollout_ref.model.path={work / 'model'}",
        f"data.train_files={work / 'train.parquet'}",
        f"data.val_files={work / 'val.parquet'}",
        f"data.train_batch_size={PROMPTS}",
        "data.max_prompt_length=64",
        "data.max_response_length=40",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        "trainer.total_training_steps=1",
        "trainer.val_before_train=False",
        "trainer.logger=[console,file]",
        f"trainer.default_local_dir={run}",
        f"hydra.run.dir={run}/hydra",
    ]


def test_a_wheel_goes_into_a_verl_environment_trains_and_comes_out_without_a_trace(
    work: Path, wheel: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path)
    assert not environment.knows_us()
    before = environment.state()
    assert "verl==" in before[0] and "personadual" not in before[0]

    environment.run("-m", "pip", "install", "--no-deps", "--no-index", "-q", str(wheel))
    packages = [line for line in environment.state()[0].splitlines() if line not in before[0].splitlines()]
    assert [line.split(" ")[0].split("==")[0] for line in packages] == ["personadual"], "nothing else was changed"

    metrics = work / "metrics.jsonl"
    command = own_command(environment, work)
    with running(command, work / "train.log", {"VERL_FILE_LOGGER_PATH": str(metrics), "PYTHONPATH": ""}) as run:
        assert run.wait(600) == 0, run.tail()
    (entry,) = read_jsonl(metrics)
    assert entry["data"]["dual_grpo/share_general/mean"] == entry["data"]["dual_grpo/share_personalized/mean"] == 0.5

    environment.run("-m", "pip", "uninstall", "-y", "-q", "personadual")
    assert environment.state() == before
    assert not environment.knows_us()
