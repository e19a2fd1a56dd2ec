"""The arms, and our configs on someone else's script: how rollouts are sampled, learnt and scored under each."""

from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from personadual.modes import DEFAULT_MODES, INVALID_MODE, parse_mode
from personadual.reward_fns import compute_score
from personadual.schedule import session_slot
from personadual.settings import DualGRPOSettings

ROOT = Path(__file__).parents[2]
ARMS = sorted(path.stem for path in (ROOT / "recipe/personadual/config/arm").glob("*.yaml"))


@cache
def composed(name: str, *overrides: str):
    with initialize_config_module("personadual.config", version_base=None):
        return compose(name, list(overrides))


@pytest.mark.parametrize(
    ("arm", "estimator", "slots"),
    [
        ("dual_grpo", "dual_grpo", {0: 4, 1: 4}),
        ("dual_grpo_decoupled", "dual_grpo", {0: 4, 1: 4}),
        ("recommended", "dual_grpo", {0: 4, 1: 4}),
        ("grpo_forced", "grpo", {0: 4, 1: 4}),
        ("grpo_free", "grpo", {-1: 8}),
        ("general_only", "grpo", {0: 8}),
        ("personalized_only", "grpo", {1: 8}),
        ("think", "grpo", {-1: 8}),
    ],
)
def test_an_arm_samples_and_learns_as_its_name_says(arm, estimator, slots):
    config = composed("dual_grpo_trainer", f"+arm={arm}")
    settings = DualGRPOSettings.from_config(config.algorithm.dual_grpo)
    taken = [session_slot(session, settings.rollout_shares()) for session in range(config.actor_rollout_ref.rollout.n)]
    assert {slot: taken.count(slot) for slot in set(taken)} == slots
    assert (config.algorithm.adv_estimator, settings.baseline) == (estimator, estimator != "dual_grpo")
    assert (settings.credit == "decoupled") == (arm in ("dual_grpo_decoupled", "recommended"))
    weight = 4.0 if arm == "recommended" else 2.0
    assert (settings.intra_coef, settings.inter_coef, settings.prefix_weight) == (1.0, 1.0, weight)
    assert (settings.modes == DEFAULT_MODES) == (arm != "think")
    assert config.trainer.v1.trainer_mode == "dual_grpo_sync", "all arms log the same metrics"


@pytest.mark.parametrize("preset", ["default", "paper", "recommended"])
def test_the_papers_arm_is_the_paper_on_any_preset(preset):
    paper = composed("dual_grpo_trainer", "dual_grpo=paper").algorithm
    assert composed("dual_grpo_trainer", f"dual_grpo={preset}", "+arm=dual_grpo").algorithm == paper


def test_the_recommended_arm_is_the_preset_of_that_name():
    preset = composed("dual_grpo_trainer", "dual_grpo=recommended").algorithm
    assert composed("dual_grpo_trainer", "+arm=recommended").algorithm == preset
    assert composed("dual_grpo_trainer", "dual_grpo=paper").algorithm != preset


def test_the_table_of_arms_is_complete():
    marks = test_an_arm_samples_and_learns_as_its_name_says.pytestmark
    assert sorted(row[0] for row in marks[0].args[1]) == ARMS


BLOCK = '<answer>\n{"answer": "B"}\n</answer>'


@pytest.mark.parametrize(
    ("response", "mode", "score"),
    [
        (f"<think>\nIt is B.\n</think>\n\n{BLOCK}", "think", 1.0),
        (BLOCK, "no_think", 1.0),
        (f"It is B.\n\n{BLOCK}", "invalid", 0.9),
        (f"[General_mode]\n{BLOCK}", "invalid", 0.9),
        ("<think>\nIt is B.", "think", 0.0),
        (f"<think>\nIt is B. {BLOCK}</think> Or A?", "think", 0.0),
        (f"<think>\n{BLOCK}", "think", 1.0),
    ],
)
def test_the_think_arm_is_scored_by_its_own_tags(response, mode, score):
    kwargs = composed("dual_grpo_trainer", "+arm=think").reward.custom_reward_function.reward_kwargs
    result = compute_score("UltraMedical", response, "B", {"options": ["x", "y"]}, **kwargs)
    assert result["score"] == pytest.approx(score)
    modes = DualGRPOSettings.from_config(composed("dual_grpo_trainer", "+arm=think").algorithm.dual_grpo).modes
    assert parse_mode(response, modes).name == mode
    assert result["mode_invalid"] == float(parse_mode(response, modes).index == INVALID_MODE)


# Someone else's script -----------------------------------------------------------------------------------------------

SEARCH = "hydra.searchpath=[pkg://personadual.config]"


def test_one_line_adds_everything_to_verls_own_config():
    with initialize_config_module("verl.trainer.config", version_base=None):
        stock = compose("ppo_trainer", ["actor_rollout_ref.rollout.name=vllm"])
        ours = compose(
            "ppo_trainer", ["actor_rollout_ref.rollout.name=vllm", SEARCH, "+dual_grpo=default", "+arm=grpo_free"]
        )
    assert (stock.algorithm.adv_estimator, ours.algorithm.adv_estimator) == ("gae", "grpo")
    assert ours.algorithm.dual_grpo.free_share == 1.0
    assert ours.reward.custom_reward_function.path == "pkg://personadual.reward_fns"
    assert ours.trainer.v1.trainer_mode == "dual_grpo_sync"
    # Nothing of a run is changed beside.
    assert ours.actor_rollout_ref.actor == stock.actor_rollout_ref.actor and ours.data == stock.data


def test_the_recommended_preset_can_be_that_line():
    with initialize_config_module("verl.trainer.config", version_base=None):
        ours = compose("ppo_trainer", ["actor_rollout_ref.rollout.name=vllm", SEARCH, "+dual_grpo=recommended"])
    preset = composed("dual_grpo_trainer", "dual_grpo=recommended").algorithm
    assert ours.algorithm.dual_grpo == preset.dual_grpo
    assert ours.trainer.v1.trainer_mode == "dual_grpo_sync"


def test_single_keys_can_be_added_to_verls_own_config_too():
    keys = [
        "algorithm.adv_estimator=dual_grpo",
        "+algorithm.dual_grpo.prefix_weight=3",
        "trainer.v1.trainer_mode=dual_grpo_sync",
        "+actor_rollout_ref.rollout.agent.agent_loop_manager_class=personadual.rollout_manager.DualAgentLoopManager",
        "reward.custom_reward_function.path=pkg://personadual.reward_fns",
        "reward.custom_reward_function.name=compute_score",
    ]
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", ["actor_rollout_ref.rollout.name=vllm", *keys])
    assert DualGRPOSettings.from_config(config.algorithm.dual_grpo).prefix_weight == 3
