"""The overlays compose onto verl's own configs, and reach the dataclasses that verl builds from them."""

import pytest
from hydra import compose, initialize_config_module

SEARCH = "hydra.searchpath=[pkg://personadual.config]"


def composed(name: str, *overrides: str):
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(name, [SEARCH, *overrides])


@pytest.fixture(scope="module")
def rl():
    return composed("ppo_trainer", "+platform=cpu")


def test_rl_overlay_composes(rl):
    assert rl.trainer.device == "cpu"
    assert rl.actor_rollout_ref.rollout.name == "vllm"
    assert rl.actor_rollout_ref.rollout.enable_sleep_mode is False
    assert rl.ray_kwargs.ray_init.num_gpus == 1


@pytest.mark.parametrize("role", ["actor", "ref"])
def test_actor_and_reference_are_set_up_alike(rl, role):
    engine = rl.actor_rollout_ref[role].fsdp_config
    assert (engine.strategy, engine.model_dtype, engine.use_torch_compile) == ("fsdp2", "fp32", False)
    assert engine.mixed_precision == {"param_dtype": "fp32", "reduce_dtype": "fp32"}
    assert rl.actor_rollout_ref[role].strategy == "fsdp2"
    assert rl.actor_rollout_ref[role].use_torch_compile is False


def test_precision_and_ranks_take_plain_overrides():
    config = composed(
        "ppo_trainer",
        "+platform=cpu",
        "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=bf16",
        "actor_rollout_ref.rollout.dtype=bfloat16",
        "trainer.n_gpus_per_node=2",
    )
    assert config.actor_rollout_ref.ref.fsdp_config.mixed_precision.param_dtype == "bf16"
    assert config.actor_rollout_ref.rollout.dtype == "bfloat16"
    assert config.ray_kwargs.ray_init.num_gpus == 2


def test_verl_accepts_the_overlay(rl):
    from verl.utils.config import omega_conf_to_dataclass

    rollout = omega_conf_to_dataclass(rl.actor_rollout_ref.rollout)
    assert rollout.tensor_model_parallel_size == 1
    assert omega_conf_to_dataclass(rl.actor_rollout_ref.actor.fsdp_config).strategy == "fsdp2"


def test_sft_overlay_composes():
    from verl.utils.config import omega_conf_to_dataclass

    config = composed("sft_trainer_engine", "+platform=cpu_sft")
    assert config.trainer.device == "cpu"
    assert config.model.override_config.attn_implementation == "eager"
    engine = omega_conf_to_dataclass(config.engine)
    assert (engine.strategy, engine.mixed_precision["param_dtype"]) == ("fsdp2", "fp32")
