"""``personadual export``: what is read of the training, its data and metrics, without paths and resolvers."""

from __future__ import annotations

import json

import pytest
import yaml
from export_files import make_checkpoint, metrics_file, report_file, rl_config, write_config

from personadual.export import ExportError
from personadual.export.card import shown
from personadual.export.checkpoint import find_checkpoint
from personadual.export.evidence import read_manifest, read_metrics, read_report
from personadual.export.training import UNRESOLVED, find_config, lookup, read_training
from personadual.modes import DEFAULT_MODES

# The training


@pytest.mark.parametrize("place", ["run/hydra", "run", "hydra", "."])
def test_the_configuration_beside_the_run_is_found(tmp_path, place):
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1" / "actor"))
    assert find_config(checkpoint) is None
    path = write_config(tmp_path / place, rl_config())
    assert find_config(checkpoint) == path
    path.write_text(yaml.safe_dump(rl_config(trainer={"default_local_dir": "runs/another"})))
    assert find_config(checkpoint) is None


def test_training_is_read_without_paths_and_without_resolvers(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONADUAL_SECRET", "hunter2")
    config = rl_config()
    config["algorithm"]["norm_adv_by_std_in_grpo"] = "${oc.env:PERSONADUAL_SECRET}"
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1" / "actor"))
    found = read_training(checkpoint, write_config(tmp_path, config), None, None)
    assert (found.kind, found.base, found.base_is_hub_id, found.modes_from) == ("rl", "base-7b", False, "config")
    assert found.values["data.seed"] == 7
    assert found.values["algorithm.dual_grpo.prefix_weight"] == 2.0
    assert "algorithm.norm_adv_by_std_in_grpo" not in found.values
    assert "actor_rollout_ref.rollout.dtype" not in found.values
    assert shown(found.values["data.train_files"]) == "`rl_train.parquet`"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${b}", 3),
        ("x-${b}-${c.d}", "x-3-four"),
        ("${oc.select:none,5}", "5"),
        ("${none}", UNRESOLVED),
        ("${a}", UNRESOLVED),
        ("${a}${a}${a}", UNRESOLVED),
        ("${oc.env:HOME}", UNRESOLVED),
        ("${b", UNRESOLVED),
        ("${b}" * 1000, UNRESOLVED),
    ],
)
def test_interpolations_are_followed_or_left(value, expected):
    assert lookup({"a": value, "b": 3, "c": {"d": "four"}}, "a") == expected


@pytest.mark.parametrize(
    ("path", "base", "is_hub_id"),
    [("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", True), ("models/sft", "sft", False), (None, None, False)],
)
def test_base_model_is_a_hub_id_only_where_it_is_no_path(tmp_path, path, base, is_hub_id):
    (tmp_path / "models" / "sft").mkdir(parents=True)
    config = rl_config()
    config["actor_rollout_ref"]["model"]["path"] = path
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1" / "actor"))
    found = read_training(checkpoint, write_config(tmp_path, config), None, None)
    assert (found.base, found.base_is_hub_id) == (base, is_hub_id)
    with pytest.raises(ExportError, match="a Hub id OWNER/NAME is needed"):
        read_training(checkpoint, None, None, "../x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "cannot be read as YAML"),
        ("- 1", "a mapping is needed"),
        ("a: !!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        ("x: 1", "neither verl's RL nor its SFT configuration"),
        ("[" * 100000, "cannot be read as YAML"),
        ("optim: {}\ndata: {modes: /nowhere/modes.yaml}", "--modes FILE"),
        ("optim: {}\ndata: {modes: [1, 2]}", "--modes FILE"),
    ],
)
def test_configurations_that_cannot_be_used(tmp_path, text, message):
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1"))
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ExportError, match=message):
        read_training(checkpoint, tmp_path / "config.yaml", None, None)


# Data, metrics and reports


def test_metrics_are_those_of_the_exported_step(tmp_path):
    path = metrics_file(
        tmp_path / "m.jsonl",
        {
            1: {"critic/score/mean": 0.1, "val-dual/flan/share_general/mean": 0.25, "val-dual/flan/acc_free/mean": 0.5},
            2: {"critic/score/mean": 0.2, "dual_grpo/share_general/mean": 0.5, "actor/kl_loss": float("inf")},
            3: {"critic/score/mean": 0.9, "dual_grpo/openai/gsm8k/prob_general/mean": 0.75},
        },
    )
    found = read_metrics([path], 2, DEFAULT_MODES)
    assert found["named"] == {"critic/score/mean": {"value": 0.2, "step": 2}}
    assert found["choice"] == {
        "flan": {"acc_free": {"value": 0.5, "step": 1}, "share_general": {"value": 0.25, "step": 1}}
    }
    assert found["rollouts"] == {"": {"share_general": {"value": 0.5, "step": 2}}}
    assert read_metrics([path], 3, DEFAULT_MODES)["rollouts"]["openai/gsm8k"]["prob_general"]["value"] == 0.75
    (tmp_path / "bad").write_text("{}\n")
    with pytest.raises(ExportError, match=r"metrics: .*bad"):
        read_metrics([tmp_path / "bad"], None, DEFAULT_MODES)


def test_manifests_of_both_builds_are_shortened(tmp_path):
    path = tmp_path / "manifest.json"
    files = {"a.parquet": {"rows": 3, "sha256": "ab" * 32, "counts": {"none": {"general": 1, "personalized": 2}}}}
    path.write_text(json.dumps({"name": "q", "seed": 1, "licences": {"GeoNames": "CC-BY-4.0"}, "files": files}))
    found = read_manifest(path)
    assert found["files"]["a.parquet"] == {"rows": 3, "sha256": "ab" * 32, "counts": {"none": 3}}
    assert found["licences"] == {"GeoNames": "CC-BY-4.0"}
    path.write_text(json.dumps({"sources": {"flan": {"licence": "Apache-2.0"}, "x": 1}, "files": {"b": {"rows": "?"}}}))
    found = read_manifest(path)
    assert found["licences"] == {"flan": "Apache-2.0"}
    assert found["files"]["b"] == {"rows": None, "sha256": None, "counts": {}}
    path.write_text("{}")
    with pytest.raises(ExportError, match="a data manifest with 'files' is needed"):
        read_manifest(path)


def test_the_model_in_the_report_must_be_clear(tmp_path):
    path = report_file(tmp_path / "report.json")
    found = read_report(path, "sft", DEFAULT_MODES)
    assert set(found["conditions"]["aligned"]) == {"share_general", "prob_general", "acc_free"}
    for label, message in ((None, "2 models"), ("base", "no model 'base'")):
        with pytest.raises(ExportError, match=f"{message} in it; name one by --report-model: sft, dualgrpo"):
            read_report(path, label, DEFAULT_MODES)
    assert read_report(report_file(path, ("one",)), None, DEFAULT_MODES)["model"] == "one"
    for models in (None, {}, [1, {"model": "one"}, {"model": "one", "settings": {"decoding": 1}}]):
        path.write_text(json.dumps({**json.loads(path.read_text()), "models": models}))
        assert read_report(path, None, DEFAULT_MODES)["decoding"] == []
