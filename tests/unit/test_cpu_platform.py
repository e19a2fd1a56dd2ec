"""The CPU platform as verl sees it: the device, its memory, the environment that follows, and when it is loaded."""

import os
import subprocess
import sys

import pytest
import torch

from personadual import cpu
from personadual.cpu import vllm_patch


@pytest.fixture(scope="module")
def platform():
    from personadual.cpu import platform

    return platform


def run_python(code: str, **env: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("VERL_", "VLLM_", "OMP_"))}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | env, capture_output=True, text=True, timeout=120, check=False
    )


def test_device_id_is_both_a_device_and_an_index(platform):
    device = platform.CpuPlatform().current_device()
    assert torch.zeros(2).to(device).device.type == "cpu"
    assert torch.device(device) == torch.device("cpu")
    assert f"cpu:{device}" == "cpu:0"
    assert torch.device(f"cpu:{device}").index == 0
    assert ["a", "b"][device] == "a" and int(device) == 0


def test_device_module_measures_the_process(platform):
    module = platform.CpuPlatform().device_module
    assert 0 < module.memory_allocated() <= module.max_memory_allocated() + 2**24
    free, total = module.mem_get_info()
    assert 0 < free <= total
    assert module.is_available() and "CPU" in module.get_device_name()


def test_device_module_leaves_the_rest_to_torch(platform):
    module = platform.CpuPlatform().device_module
    assert module.Stream is torch.cpu.Stream
    module.synchronize()
    assert not hasattr(module, "no_such_function")


def test_environment_keeps_what_the_user_set(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-3")
    monkeypatch.delenv("VERL_ENGINE_DEVICE", raising=False)
    cpu.set_environment()
    assert os.environ.pop("VERL_ENGINE_DEVICE") == "cuda"
    assert (os.environ["OMP_NUM_THREADS"], os.environ["VLLM_CPU_KVCACHE_SPACE"]) == ("7", "3")


@pytest.mark.parametrize(("value", "asked"), [("cpu", True), (" CPU ", True), ("nvidia", False), ("", False)])
def test_asked_for_reads_the_setting_as_verl_does(monkeypatch, value, asked):
    monkeypatch.setenv("VERL_PLATFORM", value)
    assert cpu.asked_for() is asked


def test_vllm_plugin_does_nothing_unasked(monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    before = set(sys.modules)
    vllm_patch.register()
    assert set(sys.modules) == before


def test_vllm_plugin_imports_neither_verl_nor_torch():
    code = (
        "import personadual.cpu.vllm_patch as p, sys; p.register(); print({'verl', 'torch', 'vllm'} & set(sys.modules))"
    )
    assert run_python(code).stdout.strip() == "set()"


def test_package_is_not_imported_unasked():
    code = (
        "import personadual, verl, sys; from verl.plugin.platform import PlatformRegistry as r;"
        "print([m for m in sys.modules if m.startswith('personadual.cpu')], r.get('cpu'))"
    )
    done = run_python(code)
    assert done.stdout.strip() == "[] None", done.stderr


ASKED = "from personadual.cpu import activate; activate(); activate();"


def test_one_setting_gives_verl_the_platform_and_the_engine():
    code = ASKED + (
        "import os; from verl.utils.device import get_device_name, get_nccl_backend, get_torch_device;"
        "print(get_device_name(), get_nccl_backend(), get_torch_device().is_available(),"
        "os.environ['VERL_ENGINE_DEVICE'])"
    )
    done = run_python(code, VERL_PLATFORM="cpu")
    assert done.stdout.strip() == "cpu gloo True cuda", done.stderr


def test_refusal_is_what_verl_reports():
    """verl hides what its plugins raise; a run on an unknown version must still end with the reason."""
    code = (
        "from personadual.cpu import activate, versions\nversions.KNOWN['verl'] = '==0.0.1'\n"
        "try: activate()\nexcept versions.UnsupportedVersion: print('raised')\n"
        "from verl.plugin.platform import platform_manager as p\np._current_platform = None\np.get_platform()"
    )
    done = run_python(code, VERL_PLATFORM="cpu")
    assert done.stdout.strip() == "raised" and done.returncode != 0
    assert "needs verl ==0.0.1, found" in done.stderr.strip().splitlines()[-1]
