"""The estimator as verl calls it: by name, with rewards per token, and with modes only from our trainers."""

import gc
import weakref

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from personadual.advantage import dual_grpo_advantage
from personadual.estimator import ROLLOUT_ROWS, RolloutRows, dual_grpo

UIDS = ["b", "a", "b", "a", "b", "a", "pad1"]
MODES = [0, 0, 1, 1, 0, -1, -1]
LENGTHS = [1, 1, 2, 2, 1, 0, 0]
# One of the two prefixes of two tokens is spelled in others than the usual.
USUAL = [True, True, True, False, True, False, False]
REWARDS = [1.0, 0.0, 0.5, 1.0, 0.0, 0.25, 0.0]
SPELLED = {"usual_tokens": torch.tensor(USUAL)}
NAN = float("nan")
PROBS = [0.97, 0.5, 0.02, 0.5, 0.97, NAN, NAN]


def rollout_rows() -> RolloutRows:
    return RolloutRows(
        modes=torch.tensor(MODES),
        prefix_lengths=torch.tensor(LENGTHS),
        usual_tokens=torch.tensor(USUAL),
        forced=torch.tensor([True] * 5 + [False] * 2),
        padding=torch.tensor([False] * 6 + [True]),
        cached=torch.full((7,), float("nan")),
        deciding_position=0,
        choice_probs=torch.tensor(PROBS, dtype=torch.float64),
        step=3,
    )


def algorithm(norm_by_std=True, **settings):
    return OmegaConf.create({"norm_adv_by_std_in_grpo": norm_by_std, "dual_grpo": settings})


def batch() -> DataProto:
    mask = torch.ones(7, 4)
    mask[:, 3] = torch.tensor([1.0, 0, 1, 0, 1, 0, 0])
    mask[6] = 0
    tokens = torch.zeros(7, 4)
    last = (mask.sum(-1).long() - 1).clamp(min=0)
    tokens[torch.arange(7), last] = torch.tensor(REWARDS)
    return DataProto.from_dict(
        tensors={"token_level_rewards": tokens, "response_mask": mask},
        non_tensors={"uid": np.array(UIDS, dtype=object)},
    )


@pytest.fixture
def with_rows():
    token = ROLLOUT_ROWS.set(rollout_rows())
    yield
    ROLLOUT_ROWS.reset(token)


def through_verl(config, entry="ray_trainer"):
    data = batch()
    if entry == "ray_trainer":
        data = compute_advantage(data, adv_estimator="dual_grpo", config=config)
    else:
        keys = [f"{uid}_{row}_0" for row, uid in enumerate(UIDS)]
        data = compute_advantage_for_multi_trajectories(data, keys, adv_estimator="dual_grpo", config=config)
    return data.batch["advantages"], data.batch["returns"]


@pytest.mark.parametrize("entry", ["ray_trainer", "v1"])
@pytest.mark.parametrize(
    ("config", "options"),
    [
        (algorithm(), {}),
        (algorithm(norm_by_std=False), {"norm_by_std": False}),
        (algorithm(std_scope="mode"), {"std_scope": "mode"}),
        (
            algorithm(intra_coef=0.5, inter_coef=2, prefix_weight=3, credit="decoupled"),
            {"intra_coef": 0.5, "inter_coef": 2, "prefix_weight": 3, "credit": "decoupled"},
        ),
        (
            algorithm(prefix_scope="deciding", normalize_prefix_length=True),
            {"prefix_scope": "deciding", "normalize_prefix_length": True, "deciding_position": 0, **SPELLED},
        ),
        # Step 3 of 4: half of the centring is left.
        (algorithm(gap_centering=0.8, gap_centering_steps=4), {"gap_centering": 0.4}),
        (algorithm(losing_intra_coef=0.25), {"losing_intra_coef": 0.25}),
        (algorithm(prefix_anchor=0.5), {"prefix_anchor": 0.5, "deciding_position": 0, **SPELLED}),
        (algorithm(prob_floor=0.05), {"prob_floor": 0.05, "choice_probs": torch.tensor(PROBS)}),
        (
            algorithm(prefix_importance=1.0, mode_shares={"general": 3, "personalized": 1}),
            {
                "prefix_importance": 1.0,
                "choice_probs": torch.tensor(PROBS),
                "sampling_shares": torch.tensor([0.75, 0.75, 0.25, 0.25, 0.75, 1, 1]),
            },
        ),
        (
            algorithm(prefix_taper=0.5),
            {
                "prefix_taper": 0.5,
                "choice_probs": torch.tensor(PROBS),
                "sampling_shares": torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5, 1, 1]),
            },
        ),
    ],
)
def test_verls_own_call_gives_the_pure_functions_result(with_rows, entry, config, options):
    rows = rollout_rows()
    expected = dual_grpo_advantage(
        torch.tensor(REWARDS), rows.modes, UIDS, rows.prefix_lengths, batch().batch["response_mask"], **options
    )
    found = through_verl(config, entry)
    torch.testing.assert_close(found, expected)
    assert found[0].any()
    assert not found[0][6].any()


def test_the_reward_of_a_row_is_the_sum_over_its_tokens(with_rows):
    """With use_kl_in_reward every token has one."""
    data = batch()
    tokens, mask = data.batch["token_level_rewards"], data.batch["response_mask"]
    spread = tokens.sum(-1, keepdim=True).expand(-1, 4) / 4
    index = np.array(UIDS, dtype=object)
    last = dual_grpo(token_level_rewards=tokens, response_mask=mask, index=index, config=algorithm())
    even = dual_grpo(token_level_rewards=spread, response_mask=mask, index=index, config=algorithm())
    torch.testing.assert_close(last, even)


@pytest.mark.parametrize("settings", [{}, {"credit": "decoupled", "prefix_anchor": 1.0, "prefix_taper": 1.0}])
def test_no_tensor_of_a_batch_outlives_it(settings):
    data, rows = batch(), rollout_rows()
    token = ROLLOUT_ROWS.set(rows)
    data = compute_advantage(data, adv_estimator="dual_grpo", config=algorithm(**settings))
    ROLLOUT_ROWS.reset(token)
    tensors = [*data.batch.values(), rows.modes, rows.prefix_lengths, rows.choice_probs]
    watched = [weakref.ref(tensor) for tensor in tensors]
    assert len(watched) >= 7
    del data, rows, tensors, token
    gc.collect()
    assert not [kept for kept in watched if kept() is not None]


def test_without_the_trainers_rows_it_raises_and_names_the_trainers():
    assert ROLLOUT_ROWS.get() is None
    with pytest.raises(RuntimeError) as refusal:
        through_verl(algorithm())
    for name in ("trainer.v1.trainer_mode=dual_grpo_sync", "dual_grpo_colocate_async", "dual_grpo_separate_async"):
        assert name in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (OmegaConf.create({}), "algorithm.dual_grpo is missing"),
        (algorithm(alpha=2), "algorithm.dual_grpo.alpha is not a setting"),
        (algorithm(credit="half"), "algorithm.dual_grpo.credit must be one of shared, decoupled"),
    ],
)
def test_a_wrong_config_is_refused(with_rows, config, message):
    with pytest.raises(ValueError, match=message):
        through_verl(config)


@pytest.mark.parametrize("missing", ["index", "config"])
def test_uids_and_config_are_needed(with_rows, missing):
    data = batch()
    arguments = {"index": np.array(UIDS, dtype=object), "config": algorithm()}
    arguments[missing] = None
    with pytest.raises(RuntimeError, match="needs the algorithm's config and the prompts' uids"):
        dual_grpo(
            token_level_rewards=data.batch["token_level_rewards"],
            response_mask=data.batch["response_mask"],
            **arguments,
        )


def test_the_registered_function_is_ours():
    assert core_algos.get_adv_estimator_fn("dual_grpo") is dual_grpo
