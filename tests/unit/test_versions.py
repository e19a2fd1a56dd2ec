"""Which verl is accepted: decided by what is installed, here by a distribution of our making."""

import pytest

from personadual.versions import VersionError, check_verl, required_verl


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts a verl of a given version before the real one."""

    def install(version: str) -> None:
        info = tmp_path / f"verl-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: verl\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


@pytest.mark.parametrize("version", ["0.9.1", "0.9.9", "0.9.2.dev3", "0.9.1+cpu"])
def test_any_release_of_the_known_line_is_accepted(installed, version):
    installed(version)
    assert check_verl() == version


@pytest.mark.parametrize("version", ["0.7.1", "0.8.0", "0.9.0", "0.9.1rc1", "0.10.0", "0.10.0.dev0", "1.0"])
def test_any_other_is_refused_in_one_sentence_with_the_command(installed, version):
    installed(version)
    with pytest.raises(VersionError) as refusal:
        check_verl()
    expected = f"personadual needs verl>=0.9.1,<0.10, found verl {version}; run: pip install 'verl>=0.9.1,<0.10'"
    assert str(refusal.value) == expected


def test_no_verl_is_said_too(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(VersionError, match=r"needs verl>=0.9.1,<0.10, found none; run: pip install"):
        check_verl()


def test_the_requirement_file_reads_as_key_and_value():
    needed = required_verl()
    assert set(needed) == {"VERL_INSTALL", "VERL_VERSION", "VERL_TESTED"}
    assert needed["VERL_VERSION"] in needed["VERL_INSTALL"]


def test_the_tested_version_is_the_one_the_tests_run_with():
    assert check_verl() == required_verl()["VERL_TESTED"]
