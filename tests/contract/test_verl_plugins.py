"""What the plugin takes for granted about verl's registries, its loading of plugins and its config keys."""

import inspect
from dataclasses import fields

import pytest
import verl
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.experimental.agent_loop import agent_loop
from verl.experimental.reward_loop.reward_manager import register as register_reward_manager
from verl.trainer.ppo.core_algos import register_adv_est
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer
from verl.utils.import_utils import load_extern_object
from verl.workers.config.rollout import AgentLoopConfig

from personadual import reward_fns
from personadual.estimator import dual_grpo
from personadual.reward_fns.managers import DualModeRewardManager
from personadual.rollout import DualModeAgentLoop
from personadual.trainer import DualGRPOTrainerSync

REGISTRIES = [
    (register_adv_est, "dual_grpo", dual_grpo, lambda **_: None),
    (register_trainer, "dual_grpo_sync", DualGRPOTrainerSync, type("Other", (PPOTrainerSync,), {})),
    (register_reward_manager, "dual_mode", DualModeRewardManager, type("Other", (DualModeRewardManager,), {})),
]


@pytest.mark.parametrize(("register", "name", "ours", "other"), REGISTRIES, ids=["estimator", "trainer", "reward"])
def test_registering_the_same_object_twice_is_harmless_and_another_one_is_refused(register, name, ours, other):
    """The entry point and VERL_USE_EXTERNAL_MODULES may both load the plugin."""
    assert register(name)(ours) is ours
    with pytest.raises(ValueError, match="already"):
        register(name)(other)


def test_the_agent_loop_is_found_by_its_path():
    entry = agent_loop._agent_loop_registry["dual_grpo_agent"]
    assert entry["_target_"] == f"{DualModeAgentLoop.__module__}.{DualModeAgentLoop.__qualname__}"


def test_verl_loads_the_group_of_our_entry_point_and_hides_its_errors():
    source = inspect.getsource(verl)
    assert 'group="verl.plugins"' in source, "setup.py registers personadual.plugin in this group"
    handler = source[source.index("_ep.load()") :]
    assert "except Exception" in handler and ".debug(" in handler[:300], (
        "verl no longer hides errors of plugins: `personadual doctor` need not look for them"
    )


def test_verl_imports_external_modules_itself():
    source = inspect.getsource(verl)
    assert "VERL_USE_EXTERNAL_MODULES" in source and "import_external_libs(modules)" in source


def test_a_reward_function_is_found_by_package_path():
    assert load_extern_object("pkg://personadual.reward_fns", "compute_score") is reward_fns.compute_score


def test_the_manager_class_is_a_key_of_the_agents_config():
    assert "agent_loop_manager_class" in {field.name for field in fields(AgentLoopConfig)}


@pytest.mark.parametrize(
    "key",
    [
        "actor_rollout_ref.rollout.agent",
        "actor_rollout_ref.rollout.calculate_log_probs",
        "actor_rollout_ref.rollout.n",
        "actor_rollout_ref.actor.policy_loss.loss_mode",
        "algorithm.adv_estimator",
        "algorithm.norm_adv_by_std_in_grpo",
        "algorithm.rollout_correction.bypass_mode",
        "data.max_response_length",
        "reward.custom_reward_function.path",
        "reward.custom_reward_function.name",
        "reward.reward_manager.name",
        "trainer.use_v1",
        "trainer.v1.trainer_mode",
    ],
)
def test_the_config_keys_that_we_set_or_read_are_verls(stock, key):
    assert OmegaConf.select(stock, key, default="absent") != "absent", f"{key} is gone from verl's ppo_trainer config"


@pytest.fixture(scope="module")
def stock():
    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        return compose(config_name="ppo_trainer")
