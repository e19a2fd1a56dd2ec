"""The console script: doctor and check."""

import json

import pandas as pd
import pytest

from personadual import cli, doctor, schema


def test_doctor_lists_what_is_registered(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {finding["what"]: finding["found"] for finding in report["findings"]}
    assert all(finding["ok"] for finding in report["findings"])
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

    monkeypatch.setitem(doctor.CHECKS, "trainers", broken)
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "[FAILED] trainers: Traceback" in printed and "the registry is gone" in printed
    assert "[ok] advantage estimator" in printed


def rl_file(path, source="flan", asked=schema.FREE):
    row = {
        schema.PROMPT: [{"role": "user", "content": "Which?"}],
        schema.DATA_SOURCE: source,
        schema.REWARD_MODEL: {"style": "rule", schema.GROUND_TRUTH: "A"},
        schema.EXTRA_INFO: {schema.INDEX: 0, schema.ASKED_MODE: asked},
    }
    pd.DataFrame([row]).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    from tiny_model import build_tiny_model

    return build_tiny_model(tmp_path_factory.mktemp("model"))


def check(model, train, val, *overrides):
    files = [f"data.train_files={train}", f"data.val_files={val}", f"actor_rollout_ref.model.path={model}"]
    return cli.main(["check", *files, *overrides])


def test_check_passes_a_sound_configuration(tiny_model, tmp_path, capsys):
    train = rl_file(tmp_path / "train.parquet")
    assert check(tiny_model, train, rl_file(tmp_path / "val.parquet", asked="general")) == 0
    assert "is sound" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "asked", "overrides", "message"),
    [
        ("nobody", schema.FREE, (), "nobody"),
        ("flan", "poetic", (), "row 0: extra_info.asked_mode is 'poetic'"),
        ("flan", schema.FREE, ("data.max_response_length=5",), "data.max_response_length=5 cannot hold the prefix"),
    ],
)
def test_check_refuses_data_that_training_would_refuse(tiny_model, tmp_path, capsys, source, asked, overrides, message):
    train = rl_file(tmp_path / "train.parquet", source=source)
    assert check(tiny_model, train, rl_file(tmp_path / "val.parquet", asked=asked), *overrides) == 1
    assert message in capsys.readouterr().err


def test_check_names_a_missing_file(tiny_model, tmp_path, capsys):
    assert check(tiny_model, tmp_path / "none.parquet", tmp_path / "none.parquet") == 1
    assert "none.parquet is not a file" in capsys.readouterr().err


def test_a_source_of_ones_own_passes_once_it_has_a_grader(tiny_model, tmp_path):
    train = rl_file(tmp_path / "train.parquet", source="mine")
    grader = "+reward.custom_reward_function.reward_kwargs.graders.mine=objective"
    assert check(tiny_model, train, train, grader) == 0
