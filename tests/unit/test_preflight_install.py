"""What ``personadual doctor`` says of verl's registries, one of which is private to verl."""

import pytest
from verl.experimental.agent_loop import agent_loop

from personadual import schema
from personadual.preflight import install
from personadual.preflight.findings import ERROR, OK


def finding_of_agent_loop():
    (finding,) = [finding for finding in install.install_findings() if finding.what == "agent loop"]
    return finding


def test_the_agent_loop_is_found_where_verl_keeps_it():
    assert (finding_of_agent_loop().severity, finding_of_agent_loop().found) == (
        OK,
        "personadual.rollout.DualModeAgentLoop",
    )


@pytest.mark.parametrize("elsewhere", ["gone", "another type"])
def test_a_verl_that_keeps_its_agent_loops_elsewhere_is_said_so(monkeypatch, elsewhere):
    if elsewhere == "gone":
        monkeypatch.delattr(agent_loop, install.AGENT_LOOPS)
    else:
        monkeypatch.setattr(agent_loop, install.AGENT_LOOPS, object())
    with pytest.raises(LookupError, match=r"agent_loop\._agent_loop_registry, a dict in verl 0\.9\.1 .*can't be seen"):
        install.registered_agent_loops()
    assert finding_of_agent_loop().severity == ERROR and "pip install verl==" in finding_of_agent_loop().found


def test_an_agent_loop_that_is_not_registered_is_named_with_those_that_are(monkeypatch):
    monkeypatch.delitem(agent_loop._agent_loop_registry, schema.AGENT_NAME)
    found = finding_of_agent_loop().found
    assert f"{schema.AGENT_NAME} is not among verl's agent loops: single_turn_agent" in found
