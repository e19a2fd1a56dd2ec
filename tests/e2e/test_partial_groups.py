"""Sessions that fail in verl's real trainer with real vLLM: their groups are short or lost, and the step goes on."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path

import pytest
from faults.scene import PROMPTS, ROLLOUTS, Scene
from harness import read_jsonl, running

from personadual.modes import parse_mode

STEPS = 4
HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch of four steps; each of the five questions of which sessions fail is in it once."""
    out = tmp_path_factory.mktemp("partial")
    scene = Scene(out, STEPS)
    scene.build()
    config = out / "loops.yaml"
    config.write_text("- name: dual_grpo_agent\n  _target_: failing_loop.FailingLoop\n")
    command = scene.command(
        out / "run",
        f"actor_rollout_ref.rollout.agent.agent_loop_config_path={config}",
        "trainer.save_freq=-1",
    )
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {"VERL_FILE_LOGGER_PATH": str(out / "metrics.jsonl"), "PYTHONPATH": path}
    with running(command, out / "log.txt", environment) as training:
        assert training.wait(400) == 0, training.tail()
    return out


def rollouts(run: Path) -> Counter:
    """How often each question was rolled out in each mode, over the whole run."""
    found: Counter = Counter()
    for path in (run / "run" / "rollouts").glob("*.jsonl"):
        for entry in read_jsonl(path):
            number = entry["input"].partition("Question ")[2].partition(":")[0]
            if number:  # verl fills a short batch up with rows that have no prompt
                found[number, parse_mode(entry["output"]).name] += 1
    return found


def test_only_the_failed_sessions_are_missing(run: Path) -> None:
    found, half = rollouts(run), ROLLOUTS // 2
    assert (found["0", "general"], found["0", "personalized"]) == (half - 1, half)
    assert (found["1", "general"], found["1", "personalized"]) == (half, 0)
    assert not [question for question, _ in found if question in ("2", "4")], "all of their sessions fail"
    assert (found["3", "general"], found["3", "personalized"]) == (0, 1), "None, no output and no token are no rollout"
    rest = [count for (question, _), count in found.items() if int(question) > 4]
    assert len(rest) == 2 * (STEPS * PROMPTS - 5) and set(rest) == {half}


def test_every_step_is_taken_with_a_finite_loss_and_says_how_many_are_missing(run: Path) -> None:
    lines = [line["data"] for line in read_jsonl(run / "metrics.jsonl")]
    assert len(lines) == STEPS
    assert all(math.isfinite(line["actor/pg_loss"]) and math.isfinite(line["actor/grad_norm"]) for line in lines)
    assert all(line["actor/pg_loss"] != 0 for line in lines), "no advantage, nothing that could be infinite"
    missing, short, lost = (
        sum(line[f"dual_grpo/{name}/mean"] for line in lines) * PROMPTS
        for name in ("missing", "short_groups", "lost_groups")
    )
    assert missing * ROLLOUTS == pytest.approx(1 + ROLLOUTS // 2 + ROLLOUTS + 3 + ROLLOUTS)
    assert (short, lost) == pytest.approx((5, 2))
    # What is there is in the mode that was forced: nothing that is lost counts as invalid, or as a mode.
    assert all(line["dual_grpo/share_invalid/mean"] == 0 for line in lines)


def test_the_log_says_why_each_session_failed(run: Path) -> None:
    log = (run / "log.txt").read_text(errors="replace")
    raised = ["TimeoutError", "no session of this question", "this session lost its server"]
    for said in [*raised, "'NoneType' object has no attribute", "index -1 is out of bounds"]:
        assert said in log, said
