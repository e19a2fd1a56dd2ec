"""DualGRPO's advantage of each token, whatever the order of the rows, and which inputs are refused."""

import numpy as np
import pytest
import torch
from advantage_rows import HALVES, UNEVEN, advantage, per_row, rows
from hypothesis import given
from hypothesis import strategies as st

from personadual.advantage import dual_grpo_advantage


def test_the_weight_falls_on_prefix_columns_and_the_mask_on_everything():
    # A is (0, -1, 1/2, 1/2); prefixes of 2 and 3 tokens; the second row's first prefix token and tail are masked.
    mask = [[1, 1, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
    found, returns = advantage(*HALVES, prefixes=[2, 2, 3, 3], mask=mask, norm_by_std=False, prefix_weight=2.0)
    assert found.tolist() == [[0, 0, 0, 0], [0, -2, -1, 0], [1, 1, 1, 0.5], [1, 0, 0, 0]]
    assert returns is found, "a second tensor of the batch's size says nothing that these don't"


def test_decoupled_credit_gives_each_action_its_own_term():
    found, _ = advantage(
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


def test_decoupled_credit_leaves_an_invalid_rows_body_its_plain_advantage():
    found, _ = advantage([1.0, 0.0, 2.0, 5.0], [0, 0, 1, -1], norm_by_std=False, credit="decoupled")
    assert found[3].tolist() == [3, 3, 3]


def test_an_empty_response_has_no_token_to_learn_from_and_leaves_the_others_finite():
    mask = [[1, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 0]]
    found, _ = advantage([1.0, 0.0, 2.0, 0.0], [0, 0, 1, -1], prefixes=[0] * 4, mask=mask, norm_by_std=False)
    # Modes' means 1/2 and 2: what is in no mode changes neither.
    assert found.tolist() == [[-1, -1, -1], [-2, -2, 0], [1.5, 1.5, 1.5], [0, 0, 0]]
    alone, _ = advantage([0.0], [-1], prefixes=[0], mask=[[0, 0, 0]])
    assert alone.tolist() == [[0, 0, 0]]


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


@pytest.mark.parametrize(("scope", "others"), [("all", [2.0, 2.0]), ("deciding", [0.0, 0.0])])
def test_the_anchor_is_added_to_every_prefix_token_but_the_deciding_one(scope, others):
    # Two modes of one sample each, rewards 1 and 0: inter +1 and -1, intra 0; a prefix of three tokens, then a body.
    options = {"prefixes": [3, 3], "norm_by_std": False, "prefix_scope": scope, "deciding_position": 1, "width": 4}
    plain, _ = advantage([1.0, 0.0], [0, 1], credit="decoupled", **options)
    held, _ = advantage([1.0, 0.0], [0, 1], credit="decoupled", prefix_anchor=0.5, **options)
    assert plain[0].tolist() == [others[0], 2.0, others[1], 0.0]
    assert (held - plain).tolist() == [[0.5, 0.0, 0.5, 0.0]] * 2


def test_the_anchor_leaves_rows_without_a_prefix_alone():
    options = {"prefixes": [0, 0], "deciding_position": 1, "norm_by_std": False}
    plain, _ = advantage([1.0, 0.0], [-1, -1], **options)
    assert torch.equal(advantage([1.0, 0.0], [-1, -1], prefix_anchor=1.0, **options)[0], plain)


# Two rows of each mode, inter +1 and -1, intra 0; the second of each is free and spells its tag in four tokens.
SPELLED = {"prefixes": [2, 4, 2, 4], "usual_tokens": torch.tensor([True, False] * 2), "width": 5, "norm_by_std": False}


@pytest.mark.parametrize("credit", ["shared", "decoupled"])
def test_a_tag_in_other_tokens_has_no_deciding_one_and_is_not_anchored(credit):
    options = {"prefix_scope": "deciding", "deciding_position": 1, "prefix_weight": 4.0, "prefix_anchor": 0.5}
    found, _ = advantage([1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1], credit=credit, **options, **SPELLED)
    body = 1.0 if credit == "shared" else 0.0
    assert found[0].tolist() == [0.5, 4, body, body, body]
    assert found[1].tolist() == [body] * 5 and found[3].tolist() == [-body] * 5


def test_all_tokens_of_a_tag_in_other_tokens_are_its_prefix():
    found, _ = advantage([1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1], credit="decoupled", prefix_weight=2.0, **SPELLED)
    assert found[1].tolist() == [2, 2, 2, 2, 0] and found[3].tolist() == [-2, -2, -2, -2, 0]


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
        ({"prefix_scope": "deciding"}, "need deciding_position"),
        ({"prefix_anchor": 1.0}, "need deciding_position"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        advantage(**{"rewards": HALVES[0], "modes": HALVES[1], **change})


def test_a_prefix_may_fill_the_whole_response():
    found, _ = advantage(*HALVES, prefixes=[3, 3, 3, 3], norm_by_std=False)
    assert found[1].tolist() == [-2, -2, -2]
