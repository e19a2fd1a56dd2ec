"""DualGRPO's advantage of each row against numbers computed by hand, verl's own GRPO, and invariants."""

import numpy as np
import pytest
import torch
from advantage_rows import HALVES, THREE, UNEVEN, advantage, halves, per_row, rows, switch, terms
from hypothesis import given
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from personadual.advantage import dual_grpo_advantage, dual_grpo_terms


@pytest.mark.parametrize(
    ("group", "intra", "inter", "std"),
    [
        (HALVES, [0.5, -0.5, 0, 0], [-0.5, -0.5, 0.5, 0.5], 0.5),
        (UNEVEN, [1 / 3, -2 / 3, 1 / 3, 0], [-4 / 3, -4 / 3, -4 / 3, 4 / 3], 0.8164966),
        # The mean of the other modes' means: (2 + 5) / 2 for the first two, (2 + 2) / 2 for the third.
        (THREE, [-1, 1, 0, 0, 1, -1], [-1.5, -1.5, -1.5, -1.5, 3, 3], 1.7888544),
    ],
)
def test_terms_computed_by_hand(group, intra, inter, std):
    plain = terms(*group, norm_by_std=False)
    assert plain.intra.tolist() == pytest.approx(intra)
    assert plain.inter.tolist() == pytest.approx(inter)
    scaled = terms(*group, norm_by_std=True)
    assert scaled.intra.tolist() == pytest.approx([value / std for value in intra], abs=1e-5)
    assert scaled.inter.tolist() == pytest.approx([value / std for value in inter], abs=1e-5)
    assert scaled.mode_gap.tolist() == pytest.approx(inter), "the gap is in units of reward"


@pytest.mark.parametrize(
    ("group", "norm_by_std", "expected"),
    [
        (HALVES, False, [0, -1, 0.5, 0.5]),
        (HALVES, True, [0, -2, 1, 1]),
        (UNEVEN, False, [-1, -2, -1, 4 / 3]),
        (UNEVEN, True, [-1.2247449, -2.4494897, -1.2247449, 1.6329932]),
        (THREE, False, [-2.5, -0.5, -1.5, -1.5, 4, 2]),
        (THREE, True, [-1.3975425, -0.2795085, -0.8385255, -0.8385255, 2.2360680, 1.1180340]),
    ],
)
def test_advantages_computed_by_hand(group, norm_by_std, expected):
    assert per_row(*group, norm_by_std=norm_by_std) == pytest.approx(expected, abs=1e-5)


def test_the_coefficients_weigh_the_two_terms():
    # 2 * (0.5, -0.5, 0, 0) + 3 * (-0.5, -0.5, 0.5, 0.5)
    values = per_row(*HALVES, norm_by_std=False, intra_coef=2.0, inter_coef=3.0)
    assert values == pytest.approx([-0.5, -2.5, 1.5, 1.5])


@pytest.mark.parametrize(
    ("coef", "expected"),
    [
        # Mode 0 has 1 and 0.5 (mean 0.75), mode 1 has 0.5 and 0 (mean 0.25): intra 0.25 each way, inter 0.5 each way.
        (1.0, [0.75, 0.25, -0.25, -0.75]),
        (0.5, [0.75, 0.25, -0.375, -0.625]),
        (0.0, [0.75, 0.25, -0.5, -0.5]),
    ],
)
def test_the_intra_term_of_the_losing_mode_has_a_factor_of_its_own(coef, expected):
    rewards, modes = torch.tensor([1.0, 0.5, 0.5, 0.0]), torch.tensor([0, 0, 1, 1])
    rest = (torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.long), torch.ones(4, 1))
    found, _ = dual_grpo_advantage(rewards, modes, *rest, norm_by_std=False, losing_intra_coef=coef)
    assert found[:, 0].tolist() == pytest.approx(expected)
    # Where the modes are equal none loses.
    tie, _ = dual_grpo_advantage(rewards[[0, 3, 0, 3]], modes, *rest, norm_by_std=False, losing_intra_coef=coef)
    assert tie[:, 0].tolist() == pytest.approx([0.5, -0.5, 0.5, -0.5])


def test_the_std_of_each_mode_is_an_option():
    # Mode 0: sqrt(0.5); mode 1: no spread. The inter term keeps the group's 0.5: -+1.
    values = per_row(*HALVES, std_scope="mode")
    assert values == pytest.approx([0.7071068 - 1, -0.7071068 - 1, 1, 1], abs=1e-5)
    # A lone sample has no std of its own: intra 0, inter by the group's, 4/3 / 0.8164966.
    assert per_row(*UNEVEN, std_scope="mode")[3] == pytest.approx(1.6329932, abs=1e-5)


@given(rows=rows, norm_by_std=switch, std_scope=st.sampled_from(["group", "mode"]))
def test_intra_sums_to_zero_in_each_mode_of_each_group(rows, norm_by_std, std_scope):
    groups, modes, rewards = (list(column) for column in zip(*rows, strict=True))
    intra = terms(rewards, modes, groups, norm_by_std=norm_by_std, std_scope=std_scope).intra
    for cell in {(group, mode) for group, mode in zip(groups, modes, strict=True) if mode >= 0}:
        inside = torch.tensor([pair == cell for pair in zip(groups, modes, strict=True)])
        assert float(intra[inside].sum()) == pytest.approx(0, abs=1e-6)


@given(pairs=halves, norm_by_std=switch)
def test_with_equal_halves_inter_of_the_two_modes_and_a_of_the_group_sum_to_zero(pairs, norm_by_std):
    rewards = [reward for pair in pairs for reward in pair]
    modes = [0, 1] * len(pairs)
    inter = terms(rewards, modes, norm_by_std=norm_by_std).inter
    assert float(inter[0] + inter[1]) == pytest.approx(0, abs=1e-9)
    assert sum(per_row(rewards, modes, norm_by_std=norm_by_std)) == pytest.approx(0, abs=1e-6)


@given(pairs=halves)
def test_with_equal_coefficients_a_is_the_reward_minus_the_other_modes_mean(pairs):
    rewards = [reward for pair in pairs for reward in pair]
    other = [np.mean([pair[1 - mode] for pair in pairs]) for mode in (0, 1)]
    expected = [reward - other[index % 2] for index, reward in enumerate(rewards)]
    assert per_row(rewards, [0, 1] * len(pairs), norm_by_std=False) == pytest.approx(expected)


def grpo(rewards, groups, norm_by_std, width=1):
    """verl's own GRPO, which takes rewards per token."""
    tokens = torch.zeros(len(rewards), width, dtype=torch.float64)
    tokens[:, -1] = torch.tensor(rewards, dtype=torch.float64)
    mask = torch.ones(len(rewards), width)
    index = np.array(groups, dtype=object)
    return compute_grpo_outcome_advantage(tokens, mask, index, norm_adv_by_std_in_grpo=norm_by_std)[0]


@given(groups=st.lists(halves.filter(lambda pairs: len(pairs) > 1), min_size=1, max_size=3), norm_by_std=switch)
def test_half_the_gap_and_no_prefix_weight_is_verls_grpo(groups, norm_by_std):
    rewards = [reward for pairs in groups for pair in pairs for reward in pair]
    uids = [f"uid-{index}" for index, pairs in enumerate(groups) for _ in range(2 * len(pairs))]
    modes = [row % 2 for row in range(len(rewards))]
    ours, returns = advantage(
        rewards,
        modes,
        uids,
        prefixes=[2] * len(rewards),
        inter_coef=0.5,
        prefix_weight=1.0,
        norm_by_std=norm_by_std,
    )
    expected = grpo(rewards, uids, norm_by_std, width=3)
    torch.testing.assert_close(ours, expected.to(ours.dtype), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(returns, ours)


def released_formula(rewards, modes):
    """What the authors' released function computes: sample minus the other mode's mean, plus sample minus its own
    mode's mean, of advantages that GRPO has already normalised in the group."""
    normalised = grpo(rewards, [0] * len(rewards), norm_by_std=True)[:, 0]
    means = [normalised[torch.tensor(modes) == mode].mean() for mode in (0, 1)]
    return torch.stack(
        [(value - means[1 - mode]) + (value - means[mode]) for value, mode in zip(normalised, modes, strict=True)]
    )


@given(pairs=halves.filter(lambda pairs: len({reward for pair in pairs for reward in pair}) > 1))
def test_the_released_formula_is_twice_grpo(pairs):
    rewards, modes = [reward for pair in pairs for reward in pair], [0, 1] * len(pairs)
    twice = 2 * grpo(rewards, [0] * len(rewards), norm_by_std=True)[:, 0]
    torch.testing.assert_close(released_formula(rewards, modes), twice, atol=1e-4, rtol=1e-4)


def test_ours_is_not_a_multiple_of_the_released_formula():
    released = released_formula(*HALVES)
    ours = torch.tensor(per_row(*HALVES))
    # GRPO of HALVES: (0.5, -1.5, 0.5, 0.5); ours: (0, -2, 1, 1).
    assert released.tolist() == pytest.approx([1, -3, 1, 1], abs=1e-5)
    assert ours.tolist() == pytest.approx([0, -2, 1, 1], abs=1e-5)


@pytest.mark.parametrize("norm_by_std", [False, True])
@pytest.mark.parametrize("std_scope", ["group", "mode"])
def test_a_group_of_equal_rewards_has_no_advantage(norm_by_std, std_scope):
    values = per_row([0.7] * 6, [0, 0, 0, 1, 1, 1], norm_by_std=norm_by_std, std_scope=std_scope)
    assert values == pytest.approx([0] * 6, abs=1e-9)


def test_modes_that_are_uniform_inside_but_differ_have_an_inter_term_only():
    found = terms([1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1], norm_by_std=False)
    assert found.intra.tolist() == [0, 0, 0, 0]
    assert found.inter.tolist() == [1, 1, -1, -1]


@pytest.mark.parametrize("absent", [0, 1])
def test_a_mode_that_is_absent_from_its_group_leaves_no_inter_term(absent):
    found = terms([1.0, 0.0, 0.0], [1 - absent] * 3, norm_by_std=False)
    assert found.inter.tolist() == [0, 0, 0]
    assert found.intra.tolist() == pytest.approx([2 / 3, -1 / 3, -1 / 3])
    assert found.mode_means[0].isnan().tolist() == [mode == absent for mode in range(found.mode_means.shape[1])]


def test_an_absent_mode_of_three_is_left_out_of_the_mean_of_the_others():
    found = terms([1.0, 3.0, 4.0, 8.0], [0, 0, 2, 2], norm_by_std=False)
    assert found.inter.tolist() == [-4, -4, 4, 4]


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_three_modes_that_are_equal_neither_win_nor_lose(scale):
    # (0.1 + 0.1 + 0.1) - 0.1 is not 0.1 + 0.1.
    assert terms([0.1 * scale] * 3, [0, 1, 2], norm_by_std=False).mode_gap.tolist() == [0, 0, 0]
    # Means of other rewards may differ in the last bit too: (0.1 + 0.2 + 0.3) is not (0.3 + 0.2 + 0.1).
    mixed = [part * scale for part in (0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.2, 0.1, 0.3)]
    modes = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert not terms(mixed, modes, norm_by_std=False).mode_gap.any()
    plain, less = (per_row(mixed, modes, norm_by_std=False, losing_intra_coef=coef) for coef in (1.0, 0.0))
    assert plain == less and any(less)


# Right answers without the form (.9) and the form alone (.1) against a whole one and none; and means that cancel.
TIES = [([0.9, 0.1], [1.0, 0.0]), ([0.3, -0.2, -0.1], [0.5, -0.5])]


@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e5 / 7])
@pytest.mark.parametrize(("first", "second"), TIES)
def test_two_modes_whose_rewards_add_up_to_the_same_tie_in_float32(first, second, scale, third):
    values = torch.tensor([*first, *second], dtype=torch.float64).mul(scale).float()
    modes, groups = [0] * len(first) + [1] * len(second), ["a"] * len(values)
    means = [float(part.double().mean()) for part in values.split([len(first), len(second)])]
    assert means[0] != means[1], "what is to be seen through"
    if third:  # one that only another group has
        values, modes, groups = torch.cat([values, values[:1]]), [*modes, 2], [*groups, "b"]
    found = dual_grpo_terms(values, torch.tensor(modes), groups, norm_by_std=False, gap_centering=1.0)
    assert not found.mode_gap.any() and not found.inter.any()
    assert found.mode_means[0, 0] == found.mode_means[0, 1] == pytest.approx(means[0], abs=1e-6 * scale)
    plain, less = (
        dual_grpo_advantage(
            values, torch.tensor(modes), groups, torch.zeros(len(values)).long(), torch.ones(len(values), 1),
            losing_intra_coef=coef,
        )[0]
        for coef in (1.0, 0.0)
    )  # fmt: skip
    assert torch.equal(plain, less) and less.any(), "neither loses"


@pytest.mark.parametrize("difference", [3e-6, 1e-3])
def test_two_modes_that_differ_keep_their_gap_to_the_last_bit(difference):
    rewards, modes = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1 + 3 * difference], [0, 0, 0, 1, 1, 1]
    means = np.bincount(modes, weights=rewards) / 3
    gap = means[0] - (means.sum() - means[0])
    # Also where a third mode is in the batch, but not in the group.
    found = terms([*rewards, 1.0], [*modes, 2], [0] * 6 + [1], norm_by_std=False)
    assert found.mode_gap[0] == gap == pytest.approx(-difference)
    assert found.mode_means[0, :2].tolist() == means.tolist()


def test_a_mode_that_only_another_group_has_does_not_count():
    found = terms([1.0, 3.0, 5.0, 9.0], [0, 0, 0, 1], ["a", "a", "b", "b"], norm_by_std=False)
    assert found.inter.tolist() == [0, 0, -4, 4]


def test_one_sample_in_a_mode_has_no_intra_term():
    found = terms([1.0, 0.0, 5.0], [0, 0, 1], norm_by_std=False)
    assert found.intra[2] == 0
    assert found.inter[2] == 4.5


def test_an_invalid_row_is_measured_against_the_whole_group():
    # Means: mode 0 (1 + 0) / 2, mode 1 2; the group's (1 + 0 + 2 + 5) / 4 = 2. The invalid row enters no mode's mean.
    found = terms([1.0, 0.0, 2.0, 5.0], [0, 0, 1, -1], norm_by_std=False)
    assert found.intra.tolist() == [0.5, -0.5, 0, 3]
    assert found.inter.tolist() == [-1.5, -1.5, 1.5, 0]
    assert found.mode_means.tolist() == [[0.5, 2]]
    # It enters the std: deviations -1 -2 0 3, sqrt(14 / 3) = 2.1602469.
    scaled = terms([1.0, 0.0, 2.0, 5.0], [0, 0, 1, -1])
    assert scaled.intra.tolist() == pytest.approx([0.2314550, -0.2314550, 0, 1.3887301], abs=1e-5)


def test_an_invalid_row_is_not_scaled_by_the_coefficients():
    values = per_row([1.0, 0.0, 2.0, 5.0], [0, 0, 1, -1], norm_by_std=False, intra_coef=10.0, inter_coef=0.0)
    assert values == pytest.approx([5, -5, 0, 3])


def test_a_group_of_invalid_rows_is_plain_grpo():
    rewards = [1.0, 0.0, 4.0]
    expected = grpo(rewards, [0, 0, 0], norm_by_std=True)[:, 0].tolist()
    assert per_row(rewards, [-1, -1, -1]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("mode", [0, 1, -1])
@pytest.mark.parametrize("norm_by_std", [False, True])
def test_a_group_of_one_row_has_no_advantage(mode, norm_by_std):
    assert per_row([5.0], [mode], norm_by_std=norm_by_std) == [0]


# Centering


# Group a: gap 1 for mode 0; group b: gap 1/2; group c: all equal.
GAPS = {
    "rewards": [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
    "modes": [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1],
    "groups": ["a"] * 4 + ["b"] * 4 + ["c"] * 4,
}


@pytest.mark.parametrize(
    ("centering", "expected"),
    [
        (0.0, [1, -1, 0.5, -0.5, 0, 0]),
        (1.0, [0.25, -0.25, -0.25, 0.25, 0, 0]),
        (0.5, [0.625, -0.625, 0.125, -0.125, 0, 0]),
    ],
)
def test_centering_takes_the_batchs_mean_gap_off_the_groups_that_have_one(centering, expected):
    rewards, modes = torch.tensor(GAPS["rewards"]), torch.tensor(GAPS["modes"])
    terms = dual_grpo_terms(rewards, modes, GAPS["groups"], norm_by_std=False, gap_centering=centering)
    torch.testing.assert_close(terms.inter[::2], torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(terms.mode_gap[::2], torch.tensor([1, -1, 0.5, -0.5, 0, 0], dtype=torch.float64))


def test_a_group_weighs_the_same_in_the_mean_gap_however_many_rollouts_it_has():
    rewards = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    modes = torch.tensor([0, 0, 0, 0, 1, 0, 1])
    terms = dual_grpo_terms(rewards, modes, ["a"] * 5 + ["b"] * 2, norm_by_std=False, gap_centering=1.0)
    # The gaps of mode 0 are 1 and -1; their mean is 0.
    torch.testing.assert_close(terms.inter, torch.tensor([1, 1, 1, 1, -1, -1, 1], dtype=torch.float64))


@given(pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=24))
def test_centering_leaves_no_mean_gap_and_touches_neither_intra_nor_invalid_rows(pairs):
    groups, modes, rewards = (list(column) for column in zip(*pairs, strict=True))
    modes[0] = -1
    arguments = (torch.tensor(rewards, dtype=torch.float64), torch.tensor(modes), groups)
    plain, centred = dual_grpo_terms(*arguments), dual_grpo_terms(*arguments, gap_centering=1.0)
    torch.testing.assert_close(centred.intra, plain.intra)
    assert centred.inter[0] == 0
    for mode in (0, 1):
        of_mode = {
            g: float(centred.inter[i]) for i, g in enumerate(groups) if modes[i] == mode and plain.mode_gap[i] != 0
        }
        assert sum(of_mode.values()) == pytest.approx(0, abs=1e-9)
