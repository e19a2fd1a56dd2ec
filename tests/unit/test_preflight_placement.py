"""GPUs of a cluster, what verl's separate_async asks for, and how far its KL term goes."""

import math
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_module
from preflight_place import bad, the_one

from personadual.preflight import cluster, configuration, hardware
from personadual.preflight.setup import Setup

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
SEPARATE = {
    "train_batch": 256,
    "mini_batch": 64,
    "sync_step": 4,
    "rollout_nodes": 1,
    "rollout_gpus": 8,
    "backend": "nccl",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"backend": "naive"}, ["backend=nccl"]),
        ({"backend": "nixl"}, ["cupy"]),
        ({"rollout_nodes": 0}, ["rollout.nnodes=1"]),
        ({"rollout_gpus": 0}, ["rollout.n_gpus_per_node=1"]),
        ({"train_batch": 64}, ["data.train_batch_size=256", "ppo_mini_batch_size=16"]),
    ],
)
def test_what_the_separate_trainer_asks_for(changes, words):
    found = bad(configuration.separate_async_findings({**SEPARATE, **changes}, ["naive", "nccl"]))
    assert len(found) == bool(words)
    for word in words:
        assert word in found[0].mend


@pytest.mark.parametrize(
    ("nodes", "fits"),
    [([8.0], False), ([8.0, 8.0], True), ([16.0], True), ([4.0, 12.0], False), ([0.0, 8.0, 8.0], True)],
)
def test_gpus_of_a_cluster(nodes, fits):
    (finding,) = cluster.gpu_findings(nodes, {"trainer": (2, 8)})
    assert finding.ok is fits


@pytest.mark.parametrize(
    ("nodes", "fits"),
    [
        ([8.0, 2.0], True),  # 8 to train and 2 for rollouts, on nodes of their own
        ([10.0], True),  # or on one
        ([8.0, 1.0, 1.0], False),
        ([4.0, 4.0, 2.0], False),
        ([8.0], False),
        ([2.0, 9.0, 8.0], True),
    ],
)
def test_separate_rollouts_have_groups_of_their_own_size(nodes, fits):
    (finding,) = cluster.gpu_findings(nodes, {"trainer": (1, 8), "actor_rollout_ref.rollout": (1, 2)})
    assert finding.ok is fits
    assert "1 × 8 (trainer) and 1 × 2 (actor_rollout_ref.rollout)" in finding.required
    assert fits or "actor_rollout_ref.rollout.nnodes" in finding.mend


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        ([], {"trainer": (1, 4)}),
        (
            ["trainer.v1.trainer_mode=dual_grpo_separate_async"],
            {"trainer": (1, 4), "actor_rollout_ref.rollout": (2, 3)},
        ),
    ],
)
def test_what_is_wanted_of_a_cluster(overrides, wanted):
    rollout = [f"actor_rollout_ref.rollout.{key}" for key in ("nnodes=2", "n_gpus_per_node=3")]
    with initialize_config_module(config_module="personadual.config", version_base=None):
        config = compose("dual_grpo_trainer", overrides=["trainer.n_gpus_per_node=4", *rollout, *overrides])
    assert cluster.wanted_gpus(Setup(config)) == wanted


@pytest.mark.parametrize(
    ("here", "overrides", "severity"),
    [
        (8, [], "ok"),
        (7, [], "error"),
        (4, [], "error"),
        (4, ["trainer.v1.trainer_mode=dual_grpo_colocate_async"], "ok"),
        (4, ["+ray_kwargs.ray_init.address=auto"], "warning"),
        (4, ["trainer.nnodes=2", "actor_rollout_ref.rollout.nnodes=2"], "ok"),  # nodes of which this is one
    ],
)
def test_gpus_for_rollouts_of_their_own_are_counted_on_one_machine(monkeypatch, here, overrides, severity):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: here)
    monkeypatch.setattr(
        "torch.cuda.get_device_properties", lambda place: SimpleNamespace(total_memory=80 * hardware.GIB)
    )
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    base = ["trainer.n_gpus_per_node=4", f"{ROLLOUT}.nnodes=1", f"{ROLLOUT}.n_gpus_per_node=4"]
    with initialize_config_module(config_module="personadual.config", version_base=None):
        mode = "trainer.v1.trainer_mode=dual_grpo_separate_async"
        config = compose("dual_grpo_trainer", overrides=[*base, mode, *overrides])
    (finding,) = hardware._devices(Setup(config))
    assert finding.severity == severity
    if severity == "error":
        assert finding.required == f"8 GPUs (trainer.n_gpus_per_node + {ROLLOUT}.n_gpus_per_node)"
        assert f"of {here} together" in finding.mend


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], True),
        ([f"{ACTOR}.kl_loss_type=low_var_kl+"], False),
        ([f"{ACTOR}.use_kl_loss=False"], False),
        (["+arm=grpo_free"], False),
    ],
)
def test_where_the_kl_term_lets_go_of_a_forced_tag_is_said(overrides, said):
    with initialize_config_module(config_module="personadual.config", version_base=None):
        setup = Setup(compose("dual_grpo_trainer", overrides=overrides))
    found = list(configuration.kl_findings(setup))
    assert all(finding.ok and "1/13.6" in finding.found for finding in found) and bool(found) == said


@pytest.mark.parametrize(("times", "held"), [(13.5, True), (13.7, False)])
def test_verl_cuts_its_kl_off_where_the_line_says(times, held):
    import torch
    from verl.trainer.ppo.core_algos import kl_penalty

    pull = {}
    for kind in (*configuration.CUT_OFF, "low_var_kl+"):
        log_prob = torch.tensor(math.log(0.5 / times), requires_grad=True)
        kl_penalty(log_prob, torch.tensor(math.log(0.5)), kind).backward()
        pull[kind] = float(log_prob.grad)
    assert pull.pop("low_var_kl+") == pytest.approx(-math.log(times), rel=1e-4)
    assert all((value < 0) == held for value in pull.values()), pull


def test_a_node_with_other_versions_is_named():
    here = {"personadual": "0.1.0", "verl": "0.9.1"}
    same = {"versions": dict(here), "estimator": "personadual.estimator"}
    assert bad(cluster.node_findings("10.0.0.2", same, here)) == []
    finding = the_one(cluster.node_findings("10.0.0.2", {**same, "versions": {**here, "verl": "0.9.0"}}, here))
    assert "10.0.0.2" in finding.what and "verl 0.9.0" in finding.found and "verl 0.9.1" in finding.required
    answer = {"versions": {**here, "personadual": None}, "error": "ModuleNotFoundError: personadual"}
    found = bad(cluster.node_findings("10.0.0.2", answer, here))
    assert [finding.what for finding in found] == ["node 10.0.0.2", "versions on 10.0.0.2"]
    assert "pip install" in found[0].mend
    assert "no answer within" in the_one(cluster.node_findings("x", {"error": "no answer within 5 s"}, here)).found
