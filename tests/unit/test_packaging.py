"""The wheel: three folders under one name, with their data files, and nothing else."""

import re
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from wheel_build import PACKAGED, build_wheel

from personadual.versions import required_verl

ROOT = Path(__file__).parents[2]
FOLDERS = {"recipe/personadual": "personadual", "reward_fns": "personadual/reward_fns"}
FOLDERS["data_prep"] = "personadual/data_prep"


def sources() -> set[str]:
    """The paths that a wheel of this tree should have for its modules."""
    return {
        f"{target}/{path.relative_to(ROOT / folder)}"
        for folder, target in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of all that could get into it."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    path = build_wheel(tree, out, (*PACKAGED, "tests", "examples", "benchmarks", "docs"))
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_every_module_is_in_the_wheel_and_no_other(wheel):
    assert {name for name in wheel.namelist() if name.endswith(".py")} == sources()


def test_the_data_files_are_in_the_wheel(wheel):
    configs = {
        f"personadual/{path.relative_to(ROOT / 'recipe/personadual')}"
        for path in (ROOT / "recipe/personadual").rglob("*.yaml")
    }
    assert configs >= {"personadual/config/dual_grpo_trainer.yaml", "personadual/config/dual_grpo/default.yaml"}
    assert configs | {"personadual/REQUIRED_VERL.txt"} <= set(wheel.namelist())


def test_everything_is_under_one_import_name(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"personadual"}


def test_the_licence_comes_along(wheel, metadata):
    assert (metadata["License-Expression"] or metadata["License"]) == "Apache-2.0"
    assert [name for name in wheel.namelist() if name.endswith("LICENSE")]


def test_the_requirement_of_verl_is_the_one_that_the_plugin_checks(metadata):
    found = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    (verl,) = (requirement for requirement in found if requirement.name == "verl")
    assert verl.specifier == SpecifierSet(required_verl()["VERL_VERSION"]) == SpecifierSet(">=0.9.1,<0.10")
    assert verl.marker is None


def test_nothing_pins_what_a_working_verl_has_pinned(metadata):
    """Installing us beside verl must not change its vLLM, torch or transformers."""
    found = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    core = [requirement for requirement in found if "extra" not in str(requirement.marker or "")]
    assert not [requirement for requirement in core if requirement.name.startswith(("vllm", "sglang", "flash"))]
    for requirement in core:
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators <= ({">=", "<"} if requirement.name == "verl" else {">="}), requirement


def test_a_datasets_that_runs_a_sets_own_script_by_default_is_refused(metadata):
    """Up to 2.19 ``load_dataset`` ran a Python file of the set without being asked to."""
    found = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    (datasets,) = (requirement for requirement in found if requirement.name == "datasets")
    assert "2.19.2" not in datasets.specifier and "2.20.0" in datasets.specifier


def test_all_that_torch_requires_is_locked_so_that_torch_alone_comes_without_a_hash():
    lock = (ROOT / "requirements/cpu.lock").read_text()
    everywhere = set(re.findall(r"^([a-z0-9-]+)==(?![^\n]*sys_platform)", lock, re.MULTILINE))
    needed = {Requirement(line) for line in requires("torch") or []}
    names = {need.name for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})}
    of_cuda = {name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))}
    assert names - of_cuda <= everywhere and {"mpmath", "markupsafe"} <= everywhere
    assert "torch" not in everywhere


def test_every_entry_point_leads_to_a_module_of_the_wheel(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    parser = ConfigParser()
    parser.read_string(wheel.read(name).decode())
    assert set(parser.sections()) == {"verl.plugins", "vllm.general_plugins", "console_scripts"}
    for section in parser.sections():
        for target in parser[section].values():
            module = target.split(":")[0].replace(".", "/")
            assert {f"{module}.py", f"{module}/__init__.py"} & set(wheel.namelist()), target


def test_the_version_is_that_of_the_package(metadata):
    import personadual

    assert metadata["Version"] == personadual.__version__
