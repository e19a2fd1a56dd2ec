"""The brakes on the choice of mode: which rows stop at the floor, what a forced prefix weighs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personadual.advantage import dual_grpo_advantage
from personadual.remedies import importance, saturated, taper

NAN = float("nan")
# One group of two modes, in which general wins: inter +1 and -1 without the std.
REWARDS = torch.tensor([1.0, 1.0, 0.0, 0.0])
MODES = torch.tensor([0, 0, 1, 1])


def advantage(probs, **options):
    found, _ = dual_grpo_advantage(
        REWARDS,
        MODES,
        torch.zeros(4, dtype=torch.long),
        torch.ones(4, dtype=torch.long),
        torch.ones(4, 2),
        prefix_weight=1.0,
        norm_by_std=False,
        choice_probs=torch.tensor(probs, dtype=torch.float64),
        **options,
    )
    return found


@pytest.mark.parametrize(
    ("prob", "inter", "stops"),
    [
        (0.04, -1.0, True),  # improbable, pushed down
        (0.04, 1.0, False),  # improbable, pushed up: the way back stays open
        (0.96, 1.0, True),
        (0.96, -1.0, False),
        (0.05, -1.0, False),  # at the floor is not below it
        (0.5, -1.0, False),
        (0.04, 0.0, False),
        (NAN, -1.0, False),
    ],
)
def test_what_stops_at_the_floor(prob, inter, stops):
    assert saturated(torch.tensor([prob]), torch.tensor([inter]), 0.05).tolist() == [stops]


def test_floor_takes_the_inter_term_from_saturated_prefixes_only():
    probs = [0.97, 0.5, 0.03, 0.5]
    assert advantage(probs, prob_floor=0.05).tolist() == [[0, 1], [1, 1], [0, -1], [-1, -1]]
    assert advantage(probs, prob_floor=0.05, credit="decoupled").tolist() == [[0, 0], [1, 0], [0, 0], [-1, 0]]


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.sampled_from(["shared", "decoupled"]))
def test_floor_never_adds_anything(probs, credit):
    plain, braked = advantage(probs, credit=credit), advantage(probs, credit=credit, prob_floor=0.1)
    assert ((braked == plain) | (braked == 0)).all()
    assert (braked[:, 1] == plain[:, 1]).all()


def test_importance_makes_the_expected_gradient_of_the_choice_that_of_on_policy_sampling():
    # Logit z, p = sigmoid(z): d log p / dz = 1 - p for general and -p for personalized. On policy: p (1 - p) * gap.
    p = 0.8
    prefix = advantage([p, p, 1 - p, 1 - p], prefix_importance=1.0, sampling_shares=torch.full((4,), 0.5))[:, 0]
    gradient = (prefix * torch.tensor([1 - p, 1 - p, -p, -p])).mean()
    on_policy = p * (1 - p) * 1.0 + (1 - p) * -p * -1.0
    assert float(gradient) == pytest.approx(on_policy)


@pytest.mark.parametrize(
    ("prob", "share", "power", "weight"),
    [(0.25, 0.5, 1.0, 0.5), (1.0, 0.5, 1.0, 2.0), (0.25, 0.25, 0.7, 1.0), (0.125, 0.5, 0.5, 0.5), (NAN, 1.0, 1.0, 1.0)],
)
def test_importance_by_hand(prob, share, power, weight):
    assert importance(torch.tensor([prob]), torch.tensor([share]), power).tolist() == [pytest.approx(weight)]


@pytest.mark.parametrize(
    ("prob", "value", "power", "weight"),
    [
        (0.25, -1.0, 1.0, 0.5),  # a losing mode that is unlikely: less
        (0.9, -1.0, 1.0, 1.0),  # a losing mode that is likely: in full, never more
        (0.01, 1.0, 1.0, 1.0),  # a winning mode: in full, however unlikely
        (0.125, -2.0, 0.5, 0.5),
        (NAN, -1.0, 1.0, 1.0),  # chosen by the policy
    ],
)
def test_taper_by_hand(prob, value, power, weight):
    found = taper(torch.tensor([prob]), torch.tensor([0.5]), torch.tensor([value]), power)
    assert found.tolist() == [pytest.approx(weight)]


@pytest.mark.parametrize(("p", "push"), [(0.01, 0.5), (0.5, 0.5), (0.75, 0.3125), (0.99, 0.0149)])
def test_with_the_taper_the_push_fades_where_the_better_mode_is_likely_and_nowhere_else(p, push):
    """General is better by 1; p is its probability. Without the taper its logit's gradient is 1 / 2 at any p."""
    gradients = torch.tensor([1 - p, 1 - p, -p, -p])
    probs = [p, p, 1 - p, 1 - p]
    tapered = advantage(probs, prefix_taper=1.0, sampling_shares=torch.full((4,), 0.5))
    assert float((advantage(probs)[:, 0] * gradients).mean()) == pytest.approx(0.5)
    assert float((tapered[:, 0] * gradients).mean()) == pytest.approx(push)


@pytest.mark.parametrize("option", ["prob_floor", "prefix_importance", "prefix_taper"])
def test_missing_probabilities_are_an_error(option):
    rest = (torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long), torch.ones(4, 2))
    with pytest.raises(ValueError, match="need choice_probs"):
        dual_grpo_advantage(REWARDS, MODES, *rest, **{option: 0.1})
