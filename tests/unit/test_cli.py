"""The console script: doctor, its usage and its output."""

import json
import subprocess
import sys

import pytest
import yaml

from personadual import cli
from personadual.preflight import install


def test_doctor_lists_what_is_registered(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {finding["what"]: finding["found"] for finding in report["findings"]}
    assert all(finding["ok"] for finding in report["findings"])
    assert {finding["section"] for finding in report["findings"]} == {"install"}
    assert found["advantage estimator"] == "personadual.estimator.dual_grpo"
    assert found["agent loop"] == "personadual.rollout.DualModeAgentLoop"
    for name in ("dual_grpo_sync", "dual_grpo_colocate_async", "dual_grpo_separate_async"):
        assert name in found["trainers"]
    for name in ("objective", "personalized", "dual_mode"):
        assert name in found["reward managers"]
    assert report["packages"]["verl"] and report["packages"]["torch"]


def test_doctor_shows_the_traceback_of_a_failure_and_goes_on(monkeypatch, capsys):
    def broken():
        raise RuntimeError("the registry is gone")

    monkeypatch.setitem(install.CHECKS, "trainers", broken)
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "Traceback" in printed and "the registry is gone" in printed
    assert "ok     install  advantage estimator" in printed
    assert "1 error(s), 0 warning(s)" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trainer.nnodes=2"], ["hydra overrides", "--config NAME"]),
        (["--dry-run"], ["--dry-run", "--config NAME"]),
        (["--config", "nothing_of_the_sort"], ["nothing_of_the_sort"]),
        (["--config", "dual_grpo_trainer", "--config-module", "personadual.nowhere"], ["personadual.nowhere"]),
        (["--config", "dual_grpo_trainer", "--", "trainer.nnode=2"], ["nnode"]),
        (["--config", "dual_grpo_trainer", "trainer.nnodes=[2"], ["trainer.nnodes=[2"]),
        (["--config", "dual_grpo_trainer", "trainer.nnodes=${no.such.key}"], ["no.such.key"]),
        (["--config", "dual_grpo_trainer", "--probe", "-1"], ["--probe"]),
    ],
)
def test_wrong_usage_is_one_sentence(capsys, arguments, words):
    try:
        status = cli.main(["doctor", *arguments])
    except SystemExit as ended:  # argparse ends the process itself
        status = ended.code
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    assert captured.err.startswith("usage:") or len(captured.err.splitlines()) == 1
    for word in words:
        assert word in captured.err


def test_print_leaves_stdout_to_the_configuration(capsys):
    arguments = ["--config", "dual_grpo_trainer", "--dry-run", "--print", "actor_rollout_ref.model.path=/no/model/sft"]
    assert cli.main(["doctor", *arguments]) == 0
    captured = capsys.readouterr()
    config = yaml.safe_load(captured.out)
    assert config["actor_rollout_ref"]["model"]["path"] == "/no/model/sft"
    assert config["actor_rollout_ref"]["rollout"]["prompt_length"] == 2048  # resolved
    assert "not looked at: '/no/model/sft' is no folder here" in captured.err


def test_a_users_own_script_is_looked_at_through_verls_config(capsys):
    own = ["hydra.searchpath=[pkg://personadual.config]", "+dual_grpo=default", "actor_rollout_ref.rollout.name=vllm"]
    own += ["actor_rollout_ref.rollout.n=8", "actor_rollout_ref.actor.use_dynamic_bsz=True"]
    own += ["actor_rollout_ref.model.path=/no/model", "data.train_files=/no/a.parquet", "data.val_files=/no/b.parquet"]
    arguments = ["--config-module", "verl.trainer.config", "--config", "ppo_trainer", "--dry-run", "--json"]
    assert cli.main(["doctor", *arguments, "--", *own]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == 0
    assert cli.main(["doctor", *arguments, "--", *own[2:]]) == 1  # without the group file
    assert "+dual_grpo=default" in capsys.readouterr().out


def test_the_check_command_is_gone():
    run = subprocess.run(
        [sys.executable, "-m", "personadual.cli", "check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2 and "invalid choice: 'check'" in run.stderr
