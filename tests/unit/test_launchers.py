"""The launchers without a GPU: DRY_RUN=1 composes what would run, checks it and prints it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def dry_run(script: str, *overrides: str, **environment: str) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("VERL_", "MODEL", "TRAIN"))}
    return subprocess.run(
        ["bash", str(EXAMPLES / script), *overrides],
        env=clean | {"PATH": path, "DRY_RUN": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def printed_config(run: subprocess.CompletedProcess) -> dict:
    assert run.returncode == 0, run.stderr[-3000:]
    return yaml.safe_load(run.stdout)


def test_dualgrpo_launcher_composes_the_papers_settings():
    run = dry_run("run_dualgrpo_qwen7b.sh", "algorithm.dual_grpo.inter_coef=0.5", MODEL="/a model/sft", TP="2")
    config = printed_config(run)
    rollout = config["actor_rollout_ref"]["rollout"]
    assert (rollout["name"], rollout["n"], rollout["temperature"]) == ("vllm", 8, 0.6)
    assert rollout["tensor_model_parallel_size"] == 2
    assert config["actor_rollout_ref"]["model"]["path"] == "/a model/sft"
    assert config["algorithm"]["adv_estimator"] == "dual_grpo"
    assert config["algorithm"]["dual_grpo"]["inter_coef"] == 0.5
    assert (config["trainer"]["n_gpus_per_node"], config["trainer"]["device"]) == (8, "cuda")


def test_sft_launcher_composes_the_papers_settings():
    config = printed_config(dry_run("run_sft_qwen7b.sh", "trainer.total_epochs=2"))
    assert config["model"]["path"] == "Qwen/Qwen2.5-7B-Instruct"
    assert (config["optim"]["lr"], config["data"]["train_batch_size"], config["data"]["max_length"]) == (1e-5, 16, 4096)
    assert config["trainer"]["total_epochs"] == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("algorithm.dual_grpo.credit=split", "algorithm.dual_grpo.credit must be one of shared, decoupled"),
        ("algorithm.rollout_correction.bypass_mode=True", "Set bypass_mode=False"),
        ("+algorithm.dual_grpo.prefix_wieght=3", "did you mean prefix_weight?"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_before_anything_starts(override, message):
    run = dry_run("run_dualgrpo_qwen7b.sh", override)
    assert run.returncode == 1
    assert message in run.stderr


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.sh")))
def test_scripts_parse_and_stop_at_errors(script):
    text = (EXAMPLES / script).read_text()
    assert subprocess.run(["bash", "-n", str(EXAMPLES / script)], check=False).returncode == 0
    assert script == "common.sh" or "set -euo pipefail" in text


def test_quickstart_refuses_to_mix_two_runs(tmp_path):
    (tmp_path / "settings").write_text("SEED=7 something else")
    run = dry_run("run_quickstart_cpu.sh", OUT=str(tmp_path))
    assert run.returncode == 1
    assert "made with other settings" in run.stderr and "FRESH=1" in run.stderr
    assert (tmp_path / "settings").read_text() == "SEED=7 something else"
