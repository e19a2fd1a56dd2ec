"""``algorithm.dual_grpo``: what is refused, and that the code, the config files and the paper say the same."""

import math
from dataclasses import fields

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from personadual.modes import DEFAULT_MODES
from personadual.settings import DualGRPOSettings


def composed(config: str, *overrides: str):
    """A config as ``python -m verl.trainer.main_ppo --config-path ... --config-name config overrides`` has it."""
    module = "verl.trainer.config" if config == "ppo_trainer" else "personadual.config"
    with initialize_config_module(config_module=module, version_base=None):
        return compose(config_name=config, overrides=list(overrides))


@pytest.fixture(scope="module")
def paper():
    return composed("dual_grpo_trainer")


@pytest.fixture(scope="module")
def with_group():
    """verl's own config with the one added line of a user who has a script already."""
    return composed("ppo_trainer", "hydra.searchpath=[pkg://personadual.config]", "+dual_grpo=default")


def test_an_empty_block_is_the_paper():
    settings = DualGRPOSettings.from_config({})
    assert (settings.intra_coef, settings.inter_coef, settings.prefix_weight) == (1, 1, 2)
    assert (settings.credit, settings.prefix_scope, settings.std_scope) == ("shared", "all", "group")
    assert settings.modes == DEFAULT_MODES
    assert settings.rollout_shares() == [0.5, 0.5, 0.0]


def test_a_dictconfig_and_a_dict_read_the_same():
    block = {
        "modes": [{"name": name, "tag": f"<{name}>"} for name in ("a", "b", "c")],
        "prefix_weight": 3,
        "mode_shares": {"a": 1, "b": 2, "c": 1},
        "free_share": 0.2,
    }
    config = OmegaConf.create({"weight": 3, "dual_grpo": block | {"prefix_weight": "${weight}"}})
    settings = DualGRPOSettings.from_config(config.dual_grpo)
    assert settings == DualGRPOSettings.from_config(block)
    assert settings.prefix_weight == 3
    assert settings.modes.names == ("a", "b", "c")
    assert settings.rollout_shares() == pytest.approx([0.2, 0.4, 0.2, 0.2])


def test_a_missing_block_says_how_to_get_one():
    with pytest.raises(ValueError, match=r"algorithm\.dual_grpo is missing.*\+dual_grpo=default"):
        DualGRPOSettings.from_config(None)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [("inter_coeff", "inter_coef"), ("alpha", None), ("prefix_weigth", "prefix_weight"), ("mode_share", "mode_shares")],
)
def test_an_unknown_key_is_refused_by_name_with_the_nearest_known_one(key, suggestion):
    with pytest.raises(ValueError) as refusal:
        DualGRPOSettings.from_config({"prefix_weight": 2.0, key: 1.0})
    message = str(refusal.value)
    assert message.startswith(f"algorithm.dual_grpo.{key} is not a setting")
    assert (f"did you mean {suggestion}?" in message) if suggestion else ("did you mean" not in message)
    assert all(field.name in message for field in fields(DualGRPOSettings))


NUMBERS = ["intra_coef", "inter_coef", "prefix_weight", "prefix_anchor"]
SHARES = [
    "gap_centering",
    "prob_floor",
    "prefix_importance",
    "prefix_taper",
    "losing_intra_coef",
    "free_share",
    "collapse_below",
]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, value) for key in NUMBERS for value in (-0.1, math.nan, math.inf, "1.0", None, True, [1])),
        *((key, value) for key in SHARES for value in (-0.1, 1.1, math.nan, "0.5", None)),
        *((key, value) for key in ("credit", "prefix_scope", "std_scope") for value in ("", "ALL", None, 1)),
        *(("gap_centering_steps", value) for value in (-1, 1.5, True, "1", None)),
        ("prob_floor", 0.5),
        ("mode_shares", [1, 1]),
        ("mode_shares", "general"),
        ("normalize_prefix_length", "sometimes"),
        ("normalize_prefix_length", None),
        ("baseline", "yes"),
        ("baseline", None),
        ("mode_shares", {"general": 1}),
        ("mode_shares", {"general": 1, "personalized": 1, "other": 1}),
        ("mode_shares", {"general": -1, "personalized": 2}),
        ("mode_shares", {"general": 0, "personalized": 0}),
        ("mode_shares", {"general": math.nan, "personalized": 1}),
        ("mode_shares", {"general": math.inf, "personalized": 1}),
        ("mode_shares", {"general": "one", "personalized": 1}),
        ("mode_shares", {}),
    ],
)
def test_an_impossible_value_is_refused_under_its_full_name(key, value):
    # A share is named with its mode: algorithm.dual_grpo.mode_shares.general.
    with pytest.raises(ValueError, match=rf"^algorithm\.dual_grpo\.{key}(\.general)? must "):
        DualGRPOSettings.from_config({key: value})


def test_every_setting_has_refusals_here():
    tested = {*NUMBERS, *SHARES, "gap_centering_steps", "credit", "prefix_scope", "std_scope", "mode_shares"}
    assert tested | {"normalize_prefix_length", "baseline", "modes"} == {
        field.name for field in fields(DualGRPOSettings)
    }


@pytest.mark.parametrize("path", ["no.yaml", "~nobody-of-this-name/modes.yaml", "a\0b", "\udfff", "x" * 5000])
def test_a_modes_file_that_cannot_be_read_is_refused_by_name(path):
    with pytest.raises(ValueError, match=r"^modes file "):
        DualGRPOSettings.from_config({"modes": path})


def test_wrong_modes_are_refused_too():
    with pytest.raises(ValueError, match="at least 2 are needed"):
        DualGRPOSettings.from_config({"modes": [{"name": "a", "tag": "<a>"}]})


@pytest.mark.parametrize(
    ("block", "shares"),
    [
        ({}, [0.5, 0.5, 0]),
        ({"free_share": 1}, [0, 0, 1]),
        ({"free_share": 0.5}, [0.25, 0.25, 0.5]),
        ({"mode_shares": {"personalized": 3, "general": 1}}, [0.25, 0.75, 0]),
        ({"mode_shares": {"general": 0, "personalized": 5}}, [0, 1, 0]),
    ],
)
def test_the_shares_are_in_the_order_of_the_modes_and_add_up_to_one(block, shares):
    found = DualGRPOSettings.from_config(block).rollout_shares()
    assert found == pytest.approx(shares)
    assert sum(found) == pytest.approx(1)


def test_the_config_group_has_every_setting_with_the_default_of_the_code(with_group):
    block = OmegaConf.to_container(with_group.algorithm.dual_grpo)
    defaults = {field.name: field.default for field in fields(DualGRPOSettings)}
    assert block.pop("modes") is None and defaults.pop("modes") == DEFAULT_MODES
    assert block == defaults


def test_the_group_turns_dual_grpo_on_and_leaves_the_rest_of_verls_config_alone(with_group):
    assert with_group.algorithm.adv_estimator == "dual_grpo"
    assert with_group.trainer.use_v1 is True
    assert with_group.trainer.v1.trainer_mode == "dual_grpo_sync"
    manager = "personadual.rollout_manager.DualAgentLoopManager"
    assert with_group.actor_rollout_ref.rollout.agent.agent_loop_manager_class == manager
    function = with_group.reward.custom_reward_function
    assert (function.path, function.name) == ("pkg://personadual.reward_fns", "compute_score")

    stock = OmegaConf.to_container(composed("ppo_trainer"), resolve=False)
    ours = OmegaConf.to_container(with_group, resolve=False)
    changed = {key for key in flat(ours) if flat(ours)[key] != flat(stock).get(key, "absent")}
    touched = ("algorithm.adv_estimator", "algorithm.dual_grpo.", "actor_rollout_ref.rollout.agent.", "trainer.use_v1")
    touched += ("trainer.v1.trainer_mode", "reward.custom_reward_function.")
    assert [key for key in sorted(changed) if not key.startswith(touched)] == []


def flat(tree, path="") -> dict:
    if not isinstance(tree, dict) or not tree:
        return {path: tree}
    return {
        key: leaf for name, sub in tree.items() for key, leaf in flat(sub, f"{path}.{name}" if path else name).items()
    }


def test_the_rewards_modes_follow_the_algorithms():
    block = "[{name: a, tag: '<a>'}, {name: b, tag: '<b>'}]"
    config = composed("dual_grpo_trainer", f"algorithm.dual_grpo.modes={block}")
    assert config.reward.custom_reward_function.reward_kwargs.modes == config.algorithm.dual_grpo.modes
    assert DualGRPOSettings.from_config(config.algorithm.dual_grpo).modes.names == ("a", "b")


def test_a_single_setting_can_be_added_to_verls_config():
    config = composed("ppo_trainer", "+algorithm.dual_grpo.prefix_weight=3", "algorithm.adv_estimator=dual_grpo")
    assert DualGRPOSettings.from_config(config.algorithm.dual_grpo).prefix_weight == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.train_batch_size", 64),
        ("data.max_prompt_length", 2048),
        ("data.max_response_length", 1024),
        ("actor_rollout_ref.actor.ppo_mini_batch_size", 64),
        ("actor_rollout_ref.actor.optim.lr", 1e-6),
        ("actor_rollout_ref.actor.optim.lr_warmup_steps_ratio", 0.1),
        ("actor_rollout_ref.actor.use_kl_loss", True),
        ("actor_rollout_ref.actor.kl_loss_coef", 0.04),
        ("actor_rollout_ref.actor.kl_loss_type", "low_var_kl"),
        ("actor_rollout_ref.actor.entropy_coeff", 0.001),
        ("actor_rollout_ref.rollout.n", 8),
        ("actor_rollout_ref.rollout.temperature", 0.6),
        ("actor_rollout_ref.rollout.tensor_model_parallel_size", 4),
        ("actor_rollout_ref.rollout.gpu_memory_utilization", 0.6),
        ("algorithm.use_kl_in_reward", False),
        ("algorithm.adv_estimator", "dual_grpo"),
        ("algorithm.norm_adv_by_std_in_grpo", True),
        ("algorithm.dual_grpo.intra_coef", 1.0),
        ("algorithm.dual_grpo.inter_coef", 1.0),
        ("algorithm.dual_grpo.prefix_weight", 2.0),
        ("reward.custom_reward_function.reward_kwargs.accuracy_weight", 0.9),
        ("reward.custom_reward_function.reward_kwargs.format_weight", 0.1),
        ("trainer.total_epochs", 5),
        ("trainer.save_freq", 20),
        ("trainer.test_freq", 5),
        ("trainer.n_gpus_per_node", 8),
        ("trainer.nnodes", 1),
    ],
)
def test_the_papers_rl_settings(paper, key, value):
    assert OmegaConf.select(paper, key) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optim.lr", 1e-5),
        ("optim.lr_scheduler_type", "cosine"),
        ("optim.lr_warmup_steps_ratio", 0.1),
        ("trainer.total_epochs", 1),
        ("data.train_batch_size", 16),
        ("data.micro_batch_size_per_gpu", 1),
        ("data.max_length", 4096),
        ("data.messages_key", "messages"),
        ("data.enable_thinking_default", False),
    ],
)
def test_the_papers_sft_settings(key, value):
    assert OmegaConf.select(composed("personadual_sft"), key) == value
