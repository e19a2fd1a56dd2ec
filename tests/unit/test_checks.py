"""Configurations that could not run, or would not be DualGRPO, are refused before a model is loaded."""

import logging

import pytest
from datasets import Dataset, concatenate_datasets
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from personadual.checks import (
    ConfigError,
    check_datasets,
    check_deciding_token,
    check_response_length,
    check_trainer_config,
    uses_our_reward,
)
from personadual.settings import DualGRPOSettings


@pytest.fixture(scope="module")
def paper():
    with initialize_config_module(config_module="personadual.config", version_base=None):
        return compose(config_name="dual_grpo_trainer")


@pytest.fixture
def changed(paper):
    """The paper's config with some values changed."""

    def change(values=None):
        config = OmegaConf.create(OmegaConf.to_container(paper, resolve=False))
        for key, value in (values or {}).items():
            OmegaConf.update(config, key, value, force_add=True, merge=False)
        return config

    return change


def check(config):
    check_trainer_config(config, DualGRPOSettings.from_config(config.algorithm.dual_grpo))


MANAGER = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
N = "actor_rollout_ref.rollout.n"
BYPASS = "algorithm.rollout_correction"
LOOP = "actor_rollout_ref.rollout.agent.default_agent_loop"
LOSS = "actor_rollout_ref.actor.policy_loss.loss_mode"
THREE = [{"name": name, "tag": f"<{name}>"} for name in ("a", "b", "c")]


def test_the_papers_config_passes_without_a_word(changed, caplog):
    with caplog.at_level(logging.WARNING, logger="personadual"):
        check(changed())
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        ({MANAGER: None}, [MANAGER, "personadual.rollout_manager.DualAgentLoopManager", "it is not set"]),
        ({"actor_rollout_ref.rollout.agent": {}}, [MANAGER, "+dual_grpo=default"]),
        ({N: 1}, [N, "at least 2, found 1", "the paper uses 8"]),
        ({N: 1, "algorithm.dual_grpo.free_share": 1.0}, [N, "at least 2, found 1"]),
        ({N: 2, "algorithm.dual_grpo.modes": THREE}, [f"{N}=2", "mode 'c' no sample", "at least 3"]),
        (
            {N: 8, "algorithm.dual_grpo.mode_shares": {"general": 95, "personalized": 5}},
            [f"{N}=8", "mode 'personalized' no sample", "0.05", "at least 20"],
        ),
        ({N: 2, "algorithm.dual_grpo.free_share": 0.5}, [f"{N}=2", "mode 'personalized' no sample", "at least 4"]),
        ({BYPASS: {"bypass_mode": True}}, [f"{BYPASS}.bypass_mode=True", "bypass_mode=False", "free_share=1"]),
        (
            {BYPASS: {"bypass_mode": True}, "algorithm.dual_grpo.free_share": 0.5},
            [f"{BYPASS}.bypass_mode=True", "algorithm.dual_grpo.free_share=1"],
        ),
        ({LOSS: "geo_mean"}, [f"{LOSS}=geo_mean", "Use vanilla"]),
        (
            {LOOP: "tool_agent"},
            [f"{LOOP}=tool_agent", "would never run", "DualModeAgentLoop", "agent_loop_config_path"],
        ),
    ],
)
def test_a_combination_that_cannot_work_is_refused_with_what_to_set(changed, values, messages):
    with pytest.raises(ConfigError) as refusal:
        check(changed(values))
    for message in messages:
        assert message in str(refusal.value)


@pytest.mark.parametrize(
    "values",
    [
        {BYPASS: {"bypass_mode": True}, "algorithm.dual_grpo.free_share": 1.0},
        {BYPASS: None},
        {LOSS: "gspo"},
        {LOOP: "single_turn_agent"},
        {LOOP: "dual_grpo_agent"},
        {LOOP: "tool_agent", MANAGER: "mine.Manager"},
        {"algorithm.adv_estimator": "grpo", N: 1},
        {"algorithm.dual_grpo.modes": THREE, N: 6},
        {"algorithm.dual_grpo.mode_shares": {"general": 1, "personalized": 0}, N: 2},
    ],
)
def test_combinations_that_work_pass_without_a_word(changed, values, caplog):
    with caplog.at_level(logging.WARNING, logger="personadual"):
        check(changed(values))
    assert caplog.messages == []


def test_one_sample_in_a_mode_is_allowed_with_a_warning(changed, caplog):
    with caplog.at_level(logging.WARNING, logger="personadual"):
        check(changed({N: 3}))
    assert len(caplog.messages) == 1
    assert f"{N}=3" in caplog.messages[0] and "4 or more" in caplog.messages[0]


@pytest.mark.parametrize(("length", "fits"), [(6, False), (7, False), (8, True)])
def test_the_longest_prefix_must_leave_room_for_an_answer(changed, length, fits):
    prefixes = [[1] * 6, [1] * 7]
    config = changed({"data.max_response_length": length})
    if fits:
        check_response_length(config, DualGRPOSettings(), prefixes)
        return
    with pytest.raises(ConfigError) as refusal:
        check_response_length(config, DualGRPOSettings(), prefixes)
    for message in (f"data.max_response_length={length}", "'personalized' (7 tokens)", "at least 8"):
        assert message in str(refusal.value)


class Words:
    """A tokenizer of which only the reading of one token is needed."""

    def decode(self, ids):
        return f"word{ids[0]}"


SHARING = [[1, 2, 5], [1, 2, 6], [1, 3]]
"""Prefixes of three modes, of which two have the same token where they part."""
DUAL = "algorithm.dual_grpo"


def decided(config, prefixes) -> str:
    return check_deciding_token(config, DualGRPOSettings.from_config(config.algorithm.dual_grpo), prefixes, Words())


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("prefix_scope", "deciding", "prefix_scope=deciding"),
        ("prefix_anchor", 1.0, "prefix_anchor=1"),
        ("prob_floor", 0.05, "prob_floor=0.05"),
        ("prefix_taper", 1.0, "prefix_taper=1"),
        ("prefix_importance", 0.5, "prefix_importance=0.5"),
    ],
)
def test_a_deciding_token_that_two_modes_share_is_refused_where_training_uses_it(changed, setting, value, said):
    values = {f"{DUAL}.modes": THREE, f"{DUAL}.{setting}": value}
    with pytest.raises(ConfigError) as refusal:
        decided(changed(values), SHARING)
    for message in ("token 2", "'a' and 'b' share 'word2'", said, f"tags under {DUAL}.modes", "every pair"):
        assert message in str(refusal.value)
    # An advantage of verl's own reads none of these settings.
    assert "share" in decided(changed({**values, "algorithm.adv_estimator": "grpo"}), SHARING)
    assert decided(changed(values), [[1, 2], [1, 3], [1, 4]]) == ""


def test_with_the_papers_settings_it_is_a_matter_of_metrics(changed):
    warning = decided(changed({f"{DUAL}.modes": THREE}), SHARING)
    assert "'a' and 'b' share 'word2'" in warning and "prob_*" in warning
    assert decided(changed(), [[1, 2, 5], [1, 3]]) == ""


def rows(sources=("flan", "AlignX"), asked=("free", None)) -> Dataset:
    infos = [{"index": index, "asked_mode": mode} for index, mode in enumerate(asked)]
    return Dataset.from_dict({"data_source": list(sources), "extra_info": infos})


def datasets_pass(config, dataset) -> None:
    check_datasets(config, DualGRPOSettings.from_config(config.algorithm.dual_grpo), {"data.val_files": dataset})


@pytest.mark.parametrize(
    "dataset",
    [
        rows(),
        rows(asked=("general", "personalized")),
        rows(sources=("quickstart_none", "UltraMedical")),
        Dataset.from_dict({"data_source": ["flan"], "extra_info": [{"index": 0}]}),
        Dataset.from_dict({"data_source": ["flan"], "extra_info": [None]}),
        Dataset.from_dict({"data_source": ["flan"]}),
        Dataset.from_dict({"prompt": ["x"]}),
    ],
)
def test_known_sources_and_modes_pass(changed, dataset):
    datasets_pass(changed(), dataset)


def test_an_unknown_source_is_refused_with_the_key_and_the_override(changed):
    with pytest.raises(ConfigError) as refusal:
        datasets_pass(changed(), rows(sources=("flan", "my_data")))
    message = str(refusal.value)
    assert message.startswith("data.val_files: ")
    assert "'my_data'" in message and "reward_kwargs.graders" in message and "'flan'" not in message


def test_a_source_that_the_config_grades_passes(changed):
    key = "reward.custom_reward_function.reward_kwargs.graders"
    datasets_pass(changed({key: {"my_data": "objective"}}), rows(sources=("flan", "my_data")))


@pytest.mark.parametrize(
    "values",
    [
        {"reward.custom_reward_function.path": "pkg://mine.rewards"},
        {"reward.custom_reward_function.path": None, "reward.reward_manager.name": "naive"},
        {"reward.custom_reward_function.path": None, "reward.reward_manager.name": "objective"},
        {"reward.custom_reward_function.path": None, "reward.reward_manager.name": "personalized"},
    ],
)
def test_sources_are_free_where_another_reward_or_a_single_grader_scores_them(changed, values):
    datasets_pass(changed(values), rows(sources=("my", "data")))


@pytest.mark.parametrize(
    ("path", "manager", "ours"),
    [
        ("pkg://personadual.reward_fns", "naive", True),
        ("pkg://personadual.reward_fns", "dual_mode", True),
        (None, "dual_mode", True),
        (None, "objective", True),
        (None, "naive", False),
        ("pkg://mine.rewards", "naive", False),
    ],
)
def test_whose_reward_it_is(changed, path, manager, ours):
    config = changed({"reward.custom_reward_function.path": path, "reward.reward_manager.name": manager})
    assert uses_our_reward(config) is ours


def test_a_row_that_asks_for_an_unknown_mode_is_refused_with_its_number(changed):
    dataset = concatenate_datasets([rows()] * 3 + [rows(asked=("general", "persona"))])
    with pytest.raises(ConfigError) as refusal:
        datasets_pass(changed(), dataset)
    message = str(refusal.value)
    assert message.startswith("data.val_files, row 7: extra_info.asked_mode is 'persona'")
    assert "'free' or one of the modes general, personalized" in message


def test_the_configured_modes_are_the_known_ones(changed):
    config = changed({"algorithm.dual_grpo.modes": THREE})
    datasets_pass(config, rows(asked=("a", "c")))
    with pytest.raises(ConfigError, match=r"row 1: extra_info\.asked_mode is 'general'.*a, b, c"):
        datasets_pass(config, rows(asked=("a", "general")))


OPTIONS = ["salt", "gold", "silk", "wool"]


def graded(truths, infos=None, sources=None) -> Dataset:
    infos = infos or [{"options": OPTIONS, "accept": None}] * len(truths)
    columns = {"data_source": sources or ["flan"] * len(truths), "extra_info": infos}
    return Dataset.from_dict({**columns, "reward_model": [{"style": "rule", "ground_truth": t} for t in truths]})


@pytest.mark.parametrize(
    ("dataset", "messages"),
    [
        (graded(["A", "gold", "E"]), ["row 2", "'E' is none of the 4 options"]),
        (graded(["A", None]), ["row 1", "must be a text or a number, found None"]),
        (graded(["A", " "]), ["row 1", "must be a text or a number, found ' '"]),
        (graded(["A"], [{"options": "salt, gold"}]), ["row 0", "extra_info.options must be a list of texts"]),
        (graded(["A"], [{"accept": "gold"}]), ["row 0", "extra_info.accept must be a list of texts"]),
        (graded(["A", "x"], [None, {"options": ["y"]}]), ["row 1", "'x' is none of the 1 options"]),
    ],
)
def test_a_row_whose_every_rollout_would_fail_is_refused_with_file_row_and_field(changed, dataset, messages):
    with pytest.raises(ConfigError) as refusal:
        datasets_pass(changed(), dataset)
    assert str(refusal.value).startswith("data.val_files, row ")
    for message in (*messages, "reward_model.ground_truth", "personadual data validate"):
        assert message in str(refusal.value)


@pytest.mark.parametrize(
    "dataset",
    [
        graded(["A", "wool", "(d)"]),
        graded(["Lima"], [{"accept": ["Lima, Peru"]}]),
        graded(["Lima"]).remove_columns("extra_info"),
        Dataset.from_dict({"data_source": ["flan"], "reward_model": [{"ground_truth": 42}]}),
    ],
)
def test_rows_that_can_be_graded_pass(changed, dataset):
    datasets_pass(changed(), dataset)


@pytest.mark.parametrize(
    "values",
    [
        {"reward.custom_reward_function.path": "pkg://mine.rewards"},
        {"data.custom_cls.path": "pkg://mine.data"},
        # The released rules compare texts and know no options.
        {"reward.custom_reward_function.reward_kwargs.profile": "authors"},
    ],
)
def test_a_truth_that_is_none_of_the_options_is_not_ours_to_judge(changed, values):
    datasets_pass(changed(values), graded(["A", "E"]))


def test_a_manager_that_grades_every_source_alike_is_asked_by_its_own_grader(changed):
    values = {"reward.custom_reward_function.path": None, "reward.reward_manager.name": "objective"}
    with pytest.raises(ConfigError, match=r"row 1.*none of the 4 options"):
        datasets_pass(changed(values), graded(["A", "E"], sources=["mine", "mine"]))


def test_a_keyword_that_the_reward_does_not_know_is_refused(changed):
    values = {"reward.custom_reward_function.reward_kwargs.weight": 1}
    with pytest.raises(ConfigError, match=r"reward\.custom_reward_function\.reward_kwargs: .*weight"):
        datasets_pass(changed(values), graded(["A"]))
