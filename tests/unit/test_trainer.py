"""What the trainer mixin makes of verl's values, without a training."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from tiny_model import CHAT_TEMPLATE, build_tiny_tokenizer, tokenizer_with
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.utils import tensordict_utils as tu

from personadual import schema
from personadual.checks import ConfigError
from personadual.modes import Mode, Modes
from personadual.rollout_manager import DualAgentLoopManager
from personadual.settings import DualGRPOSettings
from personadual.trainer import DualGRPOTrainerSync, _cached_share, fix_modes

ROWS = [("free", None), ("given", "free"), ("forced", "general"), ("lost", "personalized"), ("gone", "general")]
"""uid and asked mode of a validation's prompts; no sample of the last two comes back."""
QWEN3 = Path(__file__).parents[1] / "templates" / "qwen3.jinja"
MODE_NAMES = ("general", "personalized")


@pytest.fixture
def manager(monkeypatch):
    """Ours, with no worker behind it."""
    monkeypatch.setattr(AgentLoopManagerTQ, "__init__", lambda self: None)
    monkeypatch.setattr(AgentLoopManagerTQ, "reward_loop_worker_handles", None, raising=False)
    monkeypatch.setattr(AgentLoopManagerTQ, "generate_sequences", lambda self, prompts: None)
    return DualAgentLoopManager()


def prompts(rows, validate=True, **columns):
    infos = np.array([{schema.ASKED_MODE: mode} for _, mode in rows], dtype=object)
    fields = {"uid": np.array([uid for uid, _ in rows], dtype=object), schema.EXTRA_INFO: infos, **columns}
    batch = tu.get_tensordict({"input": torch.zeros(len(rows), 1), **fields})
    tu.assign_non_tensor_data(batch, "validate", validate)
    return batch


def validated(manager, accuracies, ours=True):
    """Metrics of a validation of ROWS, all of one data source, with these samples, by ``ours`` or another reward."""
    trainer = object.__new__(DualGRPOTrainerSync)
    trainer.dual_grpo, trainer.agent_loop_manager = DualGRPOSettings(), manager
    asked = dict(ROWS)
    infos = {"reward": list(accuracies.values()), schema.ACC: list(accuracies.values())}
    if ours:
        infos[schema.ASKED_MODE] = [{"general": 0, "personalized": 1}.get(asked[uid], -1) for uid in accuracies]
        infos[schema.ITEM] = [-1] * len(accuracies)
        infos |= {schema.MODE_KEY_PREFIX + name: [float(name == "general")] * len(accuracies) for name in MODE_NAMES}
    sources, counts = ["flan"] * len(accuracies), {("flan", uid): 1 for uid, _ in ROWS}
    return trainer._val_metrics_update(sources, list(accuracies), infos, [], expected_acc_counts=counts)


def test_a_forced_row_that_is_lost_lowers_its_own_modes_accuracy_and_no_other(manager):
    manager.generate_sequences(prompts(ROWS[:2]))
    manager.generate_sequences(prompts(ROWS[2:]))
    found = validated(manager, {"free": 1.0, "given": 1.0, "forced": 1.0})
    assert found["val-core/flan/acc/mean@1"] == 1.0
    assert found["val-core/flan:forced_general/acc/mean@1"] == 0.5
    # Nothing came back of this mode: verl reports only sources with a sample.
    assert not [name for name in found if "forced_personalized" in name]
    assert manager.asked_modes == {}, "the next validation begins anew"


def test_a_free_row_that_is_lost_is_still_wrong(manager):
    manager.generate_sequences(prompts(ROWS))
    found = validated(manager, {"free": 1.0, "forced": 1.0})
    assert found["val-core/flan/acc/mean@1"] == 0.5
    # In our numbers as in verl's; what the model chose is said by the answers that are there.
    assert found["val-dual/flan/acc_free/mean"] == 0.5
    assert found["val-dual/flan/acc_forced_general/mean"] == found["val-core/flan:forced_general/acc/mean@1"] == 0.5
    assert found["val-dual/flan/share_general/mean"] == 1.0 and found["val-dual/flan/share_invalid/mean"] == 0.0
    assert "val-dual/flan/acc_forced_personalized/mean" not in found


def test_forced_rows_are_told_apart_under_a_reward_function_of_ones_own(manager):
    """It returns neither the mode that was asked for nor the mode of the answer."""
    manager.generate_sequences(prompts(ROWS))
    found = validated(manager, {"free": 1.0, "given": 1.0, "forced": 0.0}, ours=False)
    assert found["val-core/flan/acc/mean@1"] == 1.0
    assert found["val-core/flan:forced_general/acc/mean@1"] == 0.0
    assert not [name for name in found if name.startswith("val-dual")]
    assert manager.asked_modes == {}, "the next validation begins anew"


def test_a_foreign_key_of_one_of_our_names_is_left_to_verl(manager):
    trainer = object.__new__(DualGRPOTrainerSync)
    trainer.dual_grpo, trainer.agent_loop_manager = DualGRPOSettings(), manager
    infos = {"reward": [0.5], schema.ITEM: ["tea"], schema.ASKED_MODE: ["general"]}
    assert trainer._val_metrics_update(["flan"], ["x"], infos, [])["val-core/flan/reward/mean@1"] == 0.5


def test_the_manager_remembers_forced_rows_of_validations_alone(manager):
    manager.generate_sequences(prompts(ROWS, validate=False))
    assert manager.asked_modes == {}
    batch = prompts(ROWS)
    manager.generate_sequences(batch)
    assert manager.asked_modes == {uid: mode for uid, mode in ROWS if mode not in (None, "free")}
    assert tu.get(batch, schema.PHASE) == schema.VALIDATE
    bare = tu.get_tensordict({"uid": np.array(["x"], dtype=object), "input": torch.zeros(1, 1)})
    tu.assign_non_tensor_data(bare, "validate", True)
    manager.generate_sequences(bare)


@pytest.fixture
def config(tmp_path):
    """The paper's, resolved as verl does, with a modes file."""
    path = tmp_path / "modes.yaml"
    path.write_text("- {name: a, tag: '[A]'}\n- {name: b, tag: '[B]'}\n")
    with initialize_config_module(config_module="personadual.config", version_base=None):
        composed = compose(config_name="dual_grpo_trainer", overrides=[f"algorithm.dual_grpo.modes={path}"])
    OmegaConf.resolve(composed)
    return path, composed


def test_a_modes_file_is_read_once(config):
    """Rollout workers and reward workers read their settings from this config, each time anew."""
    path, config = config
    modes = DualGRPOSettings.from_config(config.algorithm.dual_grpo).modes
    fix_modes(config, modes)
    path.write_text("- {name: a, tag: '[Other]'}\n- {name: b, tag: '[B]'}\n")
    expected = Modes([Mode("a", "[A]"), Mode("b", "[B]")])
    assert DualGRPOSettings.from_config(config.algorithm.dual_grpo).modes == expected
    assert Modes.from_config(config.reward.custom_reward_function.reward_kwargs.modes) == expected


def test_the_trainer_fixes_the_modes_in_the_config_that_verl_hands_on(config, monkeypatch):
    seen = []
    monkeypatch.setattr("personadual.trainer.PPOTrainer.__init__", lambda self, config: seen.append(config))
    _, config = config
    OmegaConf.set_struct(config, True)
    DualGRPOTrainerSync(config)
    assert seen[0] is config
    assert [mode.name for mode in config.algorithm.dual_grpo.modes] == ["a", "b"]
    assert config.reward.custom_reward_function.reward_kwargs.modes == config.algorithm.dual_grpo.modes


def test_modes_of_a_foreign_reward_are_left_alone(config):
    path, config = config
    config.reward.custom_reward_function.path = "pkg://mine.rewards"
    fix_modes(config, Modes.from_file(path))
    assert config.reward.custom_reward_function.reward_kwargs.modes == str(path)


@pytest.fixture
def starting(config, monkeypatch):
    """A function that has a trainer of these settings read its data; returns what verl then read."""
    _, config = config
    read = []
    monkeypatch.setattr("personadual.trainer.PPOTrainer._init_dataloader", lambda self: read.append(1))

    def start(tokenizer, template_kwargs=None, **settings):
        read.clear()
        config.algorithm.dual_grpo.update(settings)
        config.data.apply_chat_template_kwargs = template_kwargs or {}
        trainer = object.__new__(DualGRPOTrainerSync)
        trainer.config, trainer.tokenizer = config, tokenizer
        trainer.dual_grpo = DualGRPOSettings.from_config(config.algorithm.dual_grpo)
        trainer.train_dataset = trainer.val_dataset = None
        trainer._init_dataloader()

    return start, read


SHARING = [{"name": "a", "tag": "<AB>"}, {"name": "b", "tag": "<AC>"}, {"name": "c", "tag": "<D>"}]


@pytest.mark.parametrize("anchor", [1.0, 0.0])
def test_a_deciding_token_of_two_modes_is_refused_or_warned_of_before_data_is_read(starting, caplog, anchor):
    start, read = starting
    values = {"modes": SHARING, "prefix_anchor": anchor}
    if anchor:
        with pytest.raises(ConfigError, match="'a' and 'b' share"):
            start(build_tiny_tokenizer(), **values)
        assert not read
        return
    with caplog.at_level(logging.WARNING, logger="personadual"):
        start(build_tiny_tokenizer(), **values)
    assert read and "'a' and 'b' share" in caplog.text


OPEN_THINKING = CHAT_TEMPLATE.replace("assistant\n' }}", "assistant\n<think>\n' }}")
TAGGED = CHAT_TEMPLATE.replace("assistant\n' }}", "assistant\n[General_mode]\n' }}")
GLUED = CHAT_TEMPLATE.replace("assistant\n' }}", "assistant<' }}")
SLASHES = [{"name": "facts", "tag": "/facts"}, {"name": "user", "tag": "/user"}]
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT_TEMPLATE


@pytest.mark.parametrize(
    ("template", "messages"),
    [
        (OPEN_THINKING, ["opens-thinking", "<think>", "enable_thinking=False", "free_share=1"]),
        (TAGGED, ["tag-in-generation-prompt", "[General_mode]", "take it out"]),
    ],
)
def test_a_place_where_no_tag_can_be_forced_is_refused_before_data_is_read(starting, caplog, template, messages):
    start, read = starting
    with pytest.raises(ConfigError) as refusal:
        start(tokenizer_with(template), modes=None)
    assert not read
    for message in messages:
        assert message in str(refusal.value)
    # Where nothing is forced only validation rows may be.
    with caplog.at_level(logging.WARNING, logger="personadual"):
        start(tokenizer_with(template), modes=None, free_share=1.0)
    assert read and messages[0] in caplog.text


@pytest.mark.parametrize(
    ("template", "kwargs", "modes", "warned"),
    [
        (CHAT_TEMPLATE, {}, None, []),
        # An empty think block is a closed one.
        (QWEN3.read_text(encoding="utf-8"), {"enable_thinking": False}, None, []),
        # The template's last character and the tag's first make one token, "</".
        (GLUED, {}, SLASHES, ["prefix-boundary"]),
        # What the user's own prompts may not have.
        (NO_SYSTEM, {}, None, ["no system"]),
        (None, {}, None, []),
    ],
)
def test_other_templates_are_trained_with_a_warning_at_most(starting, caplog, template, kwargs, modes, warned):
    start, read = starting
    tokenizer = tokenizer_with()
    tokenizer.chat_template = template
    with caplog.at_level(logging.WARNING, logger="personadual"):
        start(tokenizer, kwargs, modes=modes)
    assert read and bool(caplog.messages) == bool(warned)
    for word in warned:
        assert word in caplog.text


@pytest.mark.parametrize(("forced", "share"), [(True, 0.75), (False, 1.0)])
def test_a_forced_prefix_belongs_to_what_the_cache_could_serve(forced, share):
    """The engine reads a forced prefix behind the prompt; one that the model wrote it does not read."""
    fields = {"num_cached_tokens": 12, schema.ROLLOUT_FIELD: {"mode": 0, "prefix_len": 4, "forced": forced}}
    assert _cached_share(fields, {"prompt_len": 12}) == share


def test_the_share_is_unknown_where_the_engine_or_the_row_does_not_say():
    for fields, tag in (({}, {"prompt_len": 3}), ({"num_cached_tokens": 3}, {})):
        assert np.isnan(_cached_share(fields, tag))
