"""The reward managers inside verl: found by name, built as verl builds them, and run on a DataProto."""

import asyncio

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
from verl.trainer.ppo.reward import load_reward_manager

from personadual.modes import GENERAL
from personadual.reward_fns import managers
from personadual.reward_fns.answer_block import render_block

RIGHT = GENERAL.prefix + "Because it is.\n\n" + render_block("b")


@pytest.fixture(scope="module")
def tokenizer():
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=["<pad>", "<eos>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    inner.train_from_iterator([RIGHT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>")


def config(manager, /, **function):
    function = {"path": None, "name": "compute_score", **function}
    found_by = {"source": "register", "name": manager, "module": None}
    return OmegaConf.create({"reward": {"custom_reward_function": function, "reward_manager": found_by}})


def run(tokenizer, config, text, source="AlignX", truth="coffee", router=None):
    """One response through the manager that verl builds for ``config``."""
    prompt, response = [0, 5, 6], tokenizer.encode(text, add_special_tokens=False) + [tokenizer.eos_token_id]
    pad = 4
    ids = torch.tensor([response + [0] * pad])
    mask = torch.tensor([[0, 1, 1] + [1] * len(response) + [0] * pad])
    row = {
        "data_source": source,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": 4, "options": np.array(["tea", "coffee"], dtype=object), "item": 9},
    }
    data = DataProto.from_dict(
        tensors={"prompts": torch.tensor([prompt]), "responses": ids, "attention_mask": mask},
        non_tensors={key: np.array([value], dtype=object) for key, value in row.items()},
    )

    async def one():
        manager = load_reward_manager(config, tokenizer, reward_router_address=router, reward_model_tokenizer=None)
        return await manager.run_single(data)

    return asyncio.run(one())


OUR_FUNCTION = {"path": "pkg://personadual.reward_fns"}


@pytest.mark.parametrize("name", ["dual_mode", "personalized", "objective"])
@pytest.mark.parametrize("function", [{}, OUR_FUNCTION, {"path": "pkg://personadual/reward_fns"}])
@pytest.mark.parametrize("router", [None, "127.0.0.1:1"])
def test_a_manager_scores_with_and_without_a_configured_function(tokenizer, name, function, router):
    result = run(tokenizer, config(name, **function), RIGHT, router=router)
    assert result["reward_score"] == pytest.approx(1.0)
    extra = result["reward_extra_info"]
    assert (extra["acc"], extra["format"], extra["mode_general"], extra["item"]) == (1, 1, 1, 9)


@pytest.mark.parametrize("function", [{}, OUR_FUNCTION])
def test_a_manager_reads_the_reward_kwargs_once(tokenizer, function):
    kwargs = {"accuracy_weight": 0.5, "format_weight": 0.25, "graders": {"mine": "objective"}}
    result = run(tokenizer, config("dual_mode", reward_kwargs=kwargs, **function), RIGHT, source="mine")
    assert result["reward_score"] == 0.75


def test_the_function_alone_works_with_verls_own_manager(tokenizer):
    function = config("naive", reward_kwargs={"accuracy_weight": 0.5}, **OUR_FUNCTION)
    result = run(tokenizer, function, RIGHT, router="127.0.0.1:1")
    assert result["reward_score"] == pytest.approx(0.6)


def test_one_grader_for_all_rows_or_one_by_data_source(tokenizer):
    for name in ("objective", "personalized"):
        assert run(tokenizer, config(name), RIGHT, source="unheard of")["reward_extra_info"]["acc"] == 1
    with pytest.raises(ValueError, match="'unheard of'"):
        run(tokenizer, config("dual_mode"), RIGHT, source="unheard of")


def test_a_broken_row_is_an_error_and_not_a_zero(tokenizer):
    with pytest.raises(ValueError, match="'AlignX', row 4"):
        run(tokenizer, config("dual_mode"), RIGHT, truth="")


@pytest.mark.parametrize("function", [{"path": "pkg://json", "name": "dumps"}, {**OUR_FUNCTION, "name": "grader_of"}])
def test_a_manager_refuses_a_function_that_it_would_not_call(tokenizer, function):
    with pytest.raises(ValueError, match="would not call"):
        run(tokenizer, config("objective", **function), RIGHT)


def test_wrong_reward_kwargs_are_refused_when_the_manager_is_built(tokenizer):
    with pytest.raises(TypeError, match="acuracy_weight"):
        run(tokenizer, config("dual_mode", reward_kwargs={"acuracy_weight": 1}), RIGHT)


def test_the_managers_are_registered_once_and_importing_again_changes_nothing():
    for name in ("objective", "personalized", "dual_mode"):
        cls = get_reward_manager_cls(name)
        assert cls.__module__ == managers.__name__
        assert managers.register(name)(cls) is cls
