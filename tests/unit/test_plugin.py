"""What the plugin does to a process that imports verl. Each test starts such a process."""

import json
import os
import subprocess
import sys

import pytest

# Imports verl's modules one after another, and reports after each what is loaded of ours and what verl knows of us.
STAGES = """
import importlib, json, sys

def stage(*modules):
    for module in modules:
        importlib.import_module(module)
    loaded = sorted(name for name in sys.modules if name.split(".")[0] == "personadual")
    known = {}
    if "verl.trainer.ppo.core_algos" in sys.modules:
        known["estimators"] = sorted(sys.modules["verl.trainer.ppo.core_algos"].ADV_ESTIMATOR_REGISTRY)
    if "verl.trainer.ppo.v1" in sys.modules:
        known["trainers"] = sorted(sys.modules["verl.trainer.ppo.v1.trainer_base"].TRAINER_REGISTRY)
    if "verl.experimental.agent_loop" in sys.modules:
        known["loops"] = sorted(sys.modules["verl.experimental.agent_loop.agent_loop"]._agent_loop_registry)
    name = "verl.experimental.reward_loop.reward_manager.registry"
    if name in sys.modules:
        known["managers"] = sorted(sys.modules[name].REWARD_MANAGER)
    return {"loaded": loaded, "known": known}

print("RESULT" + json.dumps([stage(*names) for names in json.loads(sys.argv[1])]))
"""
TRAINERS = {"dual_grpo_sync", "dual_grpo_colocate_async", "dual_grpo_separate_async"}
MANAGERS = {"objective", "personalized", "dual_mode"}


def run(code: str, *arguments: str, cwd, **environment: str) -> subprocess.CompletedProcess:
    """``code`` in a new process, with none of verl's switches but those given."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VERL_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=clean | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def stages(*modules: list[str], cwd, **environment: str) -> list[dict]:
    done = run(STAGES, json.dumps(modules), cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.split("RESULT")[1])


@pytest.mark.parametrize(
    "environment",
    [{}, {"VERL_USE_EXTERNAL_MODULES": "personadual.plugin"}],
    ids=["entry point", "entry point and module"],
)
def test_each_piece_is_registered_when_verl_needs_it_and_not_before(tmp_path, environment):
    bare, algorithms, complete = stages(
        ["verl"],
        ["verl.trainer.ppo.core_algos"],
        ["verl.trainer.ppo.v1", "verl.experimental.agent_loop", "verl.experimental.reward_loop.reward_manager"],
        cwd=tmp_path,
        **environment,
    )
    assert set(bare["loaded"]) == {"personadual", "personadual.plugin", "personadual.versions"}
    assert "dual_grpo" in algorithms["known"]["estimators"]
    assert "personadual.trainer" not in algorithms["loaded"]
    assert set(complete["known"]["trainers"]) >= TRAINERS | {"sync", "colocate_async", "separate_async"}
    assert set(complete["known"]["loops"]) >= {"dual_grpo_agent", "single_turn_agent"}
    assert set(complete["known"]["managers"]) >= MANAGERS | {"naive"}
    assert not [name for name in complete["loaded"] if name.startswith("personadual.cpu")]


def test_our_modules_may_be_the_first_import_of_a_process(tmp_path):
    """As in Ray workers, which unpickle a class of ours before anything else."""
    ours = ["personadual.trainer", "personadual.rollout", "personadual.rollout_manager"]
    (found,) = stages([*ours, "personadual.reward_fns.managers"], cwd=tmp_path)
    assert set(found["known"]["trainers"]) >= TRAINERS
    assert "dual_grpo_agent" in found["known"]["loops"]
    assert set(found["known"]["managers"]) >= MANAGERS
    assert "dual_grpo" in found["known"]["estimators"]


def test_importing_the_package_imports_neither_verl_nor_torch(tmp_path):
    code = (
        "import sys; before = set(sys.modules); import personadual;"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout
    assert "'personadual'" in loaded
    for heavy in ("verl", "torch", "transformers", "ray", "numpy", "pandas", "vllm"):
        assert f"'{heavy}'" not in loaded


def test_an_unsupported_verl_is_refused_by_the_plugin_in_one_sentence(tmp_path):
    info = tmp_path / "verl-0.8.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: verl\nVersion: 0.8.0\n")
    done = run("import personadual.plugin", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "personadual.versions.VersionError: personadual needs verl>=0.9.1,<0.10, found verl 0.8.0; "
        "run: pip install 'verl>=0.9.1,<0.10'"
    )
