"""DualGRPO's advantage against numbers computed by hand, verl's own GRPO, and invariants.

The hand-computed groups, used again below:

    HALVES   rewards 1 0 | 1 1          means 1/2, 1      group mean 3/4, std sqrt(0.75 / 3) = 1/2
    UNEVEN   rewards 1 0 1 | 2          means 2/3, 2      group mean 1,   std sqrt(2 / 3)    = 0.8164966
    THREE    rewards 1 3 | 2 2 | 6 4    means 2, 2, 5     group mean 3,   std sqrt(16 / 5)   = 1.7888544
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from personadual.advantage import dual_grpo_advantage, dual_grpo_terms

HALVES = ([1.0, 0.0, 1.0, 1.0], [0, 0, 1, 1])
UNEVEN = ([1.0, 0.0, 1.0, 2.0], [0, 0, 0, 1])
THREE = ([1.0, 3.0, 2.0, 2.0, 6.0, 4.0], [0, 0, 1, 1, 2, 2])


def advantage(rewards, modes, groups=None, prefixes=None, mask=None, width=3, dtype=torch.float64, **options):
    """``dual_grpo_advantage`` of plain lists; without ``mask`` every token counts, without ``prefixes`` none is one."""
    size = len(rewards)
    return dual_grpo_advantage(
        rewards=torch.tensor(rewards, dtype=dtype),
        modes=torch.tensor(modes, dtype=torch.int64),
        groups=[0] * size if groups is None else groups,
        prefix_lengths=torch.tensor([0] * size if prefixes is None else prefixes, dtype=torch.int64),
        response_mask=torch.ones(size, width) if mask is None else torch.tensor(mask),
        **options,
    )


def per_row(rewards, modes, groups=None, **options) -> list[float]:
    """A of each row: the value on its only token."""
    return advantage(rewards, modes, groups, width=1, **options)[0][:, 0].tolist()


def terms(rewards, modes, groups=None, **options):
    rows = torch.tensor(rewards, dtype=torch.float64)
    return dual_grpo_terms(rows, torch.tensor(modes), [0] * len(rewards) if groups is None else groups, **options)


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


def test_the_std_of_each_mode_is_an_option():
    # Mode 0: sqrt(0.5); mode 1: no spread. The inter term keeps the group's 0.5: -+1.
    values = per_row(*HALVES, std_scope="mode")
    assert values == pytest.approx([0.7071068 - 1, -0.7071068 - 1, 1, 1], abs=1e-5)
    # A lone sample has no std of its own: intra 0, inter by the group's, 4/3 / 0.8164966.
    assert per_row(*UNEVEN, std_scope="mode")[3] == pytest.approx(1.6329932, abs=1e-5)


# Rewards in quarters, so that equal sums are equal whatever the order of adding.
quarters = st.integers(-20, 20).map(lambda value: value / 4)
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2), quarters), min_size=1, max_size=16)
switch = st.booleans()


@given(rows=rows, norm_by_std=switch, std_scope=st.sampled_from(["group", "mode"]))
def test_intra_sums_to_zero_in_each_mode_of_each_group(rows, norm_by_std, std_scope):
    groups, modes, rewards = (list(column) for column in zip(*rows, strict=True))
    intra = terms(rewards, modes, groups, norm_by_std=norm_by_std, std_scope=std_scope).intra
    for cell in {(group, mode) for group, mode in zip(groups, modes, strict=True) if mode >= 0}:
        inside = torch.tensor([pair == cell for pair in zip(groups, modes, strict=True)])
        assert float(intra[inside].sum()) == pytest.approx(0, abs=1e-6)


halves = st.lists(st.tuples(quarters, quarters), min_size=1, max_size=6)


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


def test_the_weight_falls_on_prefix_columns_and_the_mask_on_everything():
    # A is (0, -1, 1/2, 1/2); prefixes of 2 and 3 tokens; the second row's first prefix token and tail are masked.
    mask = [[1, 1, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
    found, returns = advantage(*HALVES, prefixes=[2, 2, 3, 3], mask=mask, norm_by_std=False, prefix_weight=2.0)
    assert found.tolist() == [[0, 0, 0, 0], [0, -2, -1, 0], [1, 1, 1, 0.5], [1, 0, 0, 0]]
    assert returns.tolist() == [[0, 0, 0, 0], [0, -1, -1, 0], [0.5, 0.5, 0.5, 0.5], [0.5, 0, 0, 0]]


def test_decoupled_credit_gives_each_action_its_own_term():
    found, returns = advantage(
        *HALVES,
        prefixes=[1, 1, 2, 2],
        norm_by_std=False,
        credit="decoupled",
        intra_coef=1.0,
        inter_coef=4.0,
        prefix_weight=2.0,
    )
    # Prefix: 2 * 4 * inter = -+4; body: intra.
    assert found.tolist() == [[-4, 0.5, 0.5], [-4, -0.5, -0.5], [4, 4, 0], [4, 4, 0]]
    assert returns[:, 0].tolist() == [-1.5, -2.5, 2, 2], "returns are intra + inter on every token"


def test_decoupled_credit_leaves_an_invalid_rows_body_its_plain_advantage():
    found, _ = advantage([1.0, 0.0, 2.0, 5.0], [0, 0, 1, -1], norm_by_std=False, credit="decoupled")
    assert found[3].tolist() == [3, 3, 3]


@pytest.mark.parametrize("credit", ["shared", "decoupled"])
def test_only_the_deciding_token_is_weighted_and_its_neighbours_get_nothing(credit):
    found, _ = advantage(
        [1.0, 1.0, 0.0, 0.0],
        [0, 0, 1, 1],
        prefixes=[3, 3, 2, 2],
        width=4,
        norm_by_std=False,
        credit=credit,
        prefix_scope="deciding",
        deciding_position=1,
        prefix_weight=2.0,
    )
    body = 1 if credit == "shared" else 0
    assert found[0].tolist() == [0, 2, 0, body]
    assert found[2].tolist() == [0, -2, -body, -body]


def test_a_row_without_a_prefix_has_no_deciding_token():
    found, _ = advantage([1.0, 0.0], [-1, -1], norm_by_std=False, prefix_scope="deciding", deciding_position=1)
    assert found.tolist() == [[0.5] * 3, [-0.5] * 3]


def test_the_weight_can_be_divided_among_the_prefix_tokens():
    found, _ = advantage(
        [1.0, 1.0, 0.0, 0.0],
        [0, 0, 1, 1],
        prefixes=[2, 2, 4, 4],
        width=5,
        norm_by_std=False,
        prefix_weight=2.0,
        normalize_prefix_length=True,
    )
    assert found[0].tolist() == [1, 1, 1, 1, 1]
    assert found[2].tolist() == [-0.5, -0.5, -0.5, -0.5, -1]
    assert abs(found[0, :2].sum()) == abs(found[2, :4].sum()) == 2, "a longer tag weighs no more"


def test_dividing_the_weight_of_the_deciding_token_alone_leaves_it_whole():
    options = {"prefixes": [3, 3, 2, 2], "prefix_scope": "deciding", "deciding_position": 1, "norm_by_std": False}
    once, _ = advantage(*HALVES, normalize_prefix_length=True, **options)
    plain, _ = advantage(*HALVES, normalize_prefix_length=False, **options)
    assert once.tolist() == plain.tolist()


@given(rows=rows, order=st.randoms(use_true_random=False), std_scope=st.sampled_from(["group", "mode"]))
def test_permuting_the_rows_permutes_the_output(rows, order, std_scope):
    """Groups and modes are labels: no row position counts, as verl reorders rows to balance its workers."""
    shuffled = list(range(len(rows)))
    order.shuffle(shuffled)

    def compute(picked):
        groups, modes, rewards = (list(column) for column in zip(*picked, strict=True))
        lengths = [mode + 1 for mode in modes]
        return advantage(rewards, modes, groups, prefixes=lengths, std_scope=std_scope)[0]

    straight = compute(rows)
    mixed = compute([rows[index] for index in shuffled])
    torch.testing.assert_close(mixed, straight[shuffled], atol=1e-6, rtol=1e-6)


@given(rows=rows)
def test_groups_may_be_any_label(rows):
    groups, modes, rewards = (list(column) for column in zip(*rows, strict=True))
    expected = advantage(rewards, modes, groups)[0]
    for labels in (
        [f"uid {group}" for group in groups],
        [("uid", group) for group in groups],
        np.array([f"uid {group}" for group in groups], dtype=object),
        torch.tensor(groups),
        [7 - 3 * group for group in groups],
    ):
        torch.testing.assert_close(advantage(rewards, modes, labels)[0], expected)


def test_padding_rows_change_nothing_for_the_others():
    """verl pads with rows of a group of their own, without reward and mask."""
    alone, _ = advantage(*UNEVEN, ["a"] * 4, prefixes=[1, 1, 1, 2])
    rewards, modes = UNEVEN
    padded, _ = advantage(
        [0.0, *rewards, 0.0],
        [1, *modes, -1],
        ["pad1", *["a"] * 4, "pad2"],
        prefixes=[2, 1, 1, 1, 2, 0],
        mask=[[0, 0, 0], *[[1, 1, 1]] * 4, [0, 0, 0]],
    )
    assert padded[1:-1].tolist() == alone.tolist()
    assert not padded[0].any() and not padded[-1].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_dtype_of_the_rewards_is_kept(dtype):
    found, returns = advantage(*HALVES, prefixes=[1, 1, 1, 1], dtype=dtype)
    assert found.dtype == returns.dtype == dtype
    assert found[:, 2].tolist() == pytest.approx([0, -2, 1, 1], abs=2e-2)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_the_mask_may_be_of_any_dtype(dtype):
    mask = torch.tensor([[1, 0, 1]] * 4).to(dtype)
    rewards, modes = torch.tensor(HALVES[0]), torch.tensor(HALVES[1])
    lengths = torch.zeros(4, dtype=torch.int64)
    found, _ = dual_grpo_advantage(rewards, modes, [0] * 4, lengths, mask, norm_by_std=False)
    assert found[1].tolist() == [-1, 0, -1]


def test_large_rewards_that_hardly_differ_keep_their_difference():
    """The mean 2 ** 23 + 1/2 is no float32."""
    base = 2.0**23
    values = per_row([base, base + 1, base, base + 1], [0, 0, 1, 1], norm_by_std=False, dtype=torch.float32)
    assert values == [-0.5, 0.5, -0.5, 0.5]


def test_an_empty_batch_is_empty():
    found, returns = advantage([], [], mask=np.zeros((0, 3)))
    assert found.shape == returns.shape == (0, 3)


def test_the_inputs_are_left_as_they_were():
    rewards, mask = torch.tensor([1.0, 0.0]), torch.ones(2, 2)
    dual_grpo_advantage(rewards, torch.tensor([0, 1]), [0, 0], torch.tensor([1, 1]), mask)
    assert rewards.tolist() == [1, 0] and bool((mask == 1).all())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_reward_that_is_no_number_is_refused_with_its_row(bad):
    with pytest.raises(ValueError, match=f"reward of row 2 is {bad}"):
        advantage([1.0, 0.0, bad, 1.0], [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modes": [0, 0, 1]}, r"differ in length: \(4, 3, 4, 4, 4\)"),
        ({"groups": [0]}, r"differ in length: \(4, 4, 1, 4, 4\)"),
        ({"prefixes": [0, 0]}, r"differ in length: \(4, 4, 4, 2, 4\)"),
        ({"mask": [[1, 1]]}, r"differ in length: \(4, 4, 4, 4, 1\)"),
        ({"mask": [1, 1, 1, 1]}, r"response_mask \(B, T\), found \(4,\) and \(4,\)"),
        ({"rewards": [[1.0]] * 4}, r"rewards must be \(B,\)"),
        ({"prefixes": [0, 0, 0, 4]}, "a prefix of 4 tokens does not fit in 3"),
        ({"credit": "both"}, "credit='both' does not exist; it is one of shared, decoupled"),
        ({"prefix_scope": "some"}, "prefix_scope='some' does not exist; it is one of all, deciding"),
        ({"std_scope": "batch"}, "std_scope='batch' does not exist; it is one of group, mode"),
        ({"prefix_scope": "deciding"}, "needs deciding_position"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        advantage(**{"rewards": HALVES[0], "modes": HALVES[1], **change})


def test_a_prefix_may_fill_the_whole_response():
    found, _ = advantage(*HALVES, prefixes=[3, 3, 3, 3], norm_by_std=False)
    assert found[1].tolist() == [-2, -2, -2]


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
