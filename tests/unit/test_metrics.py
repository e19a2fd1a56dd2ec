"""Training and validation metrics, computed by hand, and that verl averages every one of them over mini-steps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.trainer.ppo.v1.utils import MetricsAggregator

from personadual.advantage import dual_grpo_terms
from personadual.estimator import RolloutRows
from personadual.metrics import metric_label, training_metrics, validation_metrics
from personadual.modes import DEFAULT_MODES, Mode, Modes
from personadual.prefix import choice_probs

LOG = math.log


def metrics_of(
    rows, modes=DEFAULT_MODES, collapse_below=0.05, with_log_probs=True, deciding=1, norm_by_std=False, cached=None,
    asked=None,
):  # fmt: skip
    """``training_metrics`` of rows (source, group, mode, reward, probability of token 1, forced, padding)."""
    source, group, mode, reward, probability, forced, padding = zip(*rows, strict=True)
    rewards = torch.tensor(reward, dtype=torch.float32)
    old = torch.full((len(rows), 4), LOG(0.5))
    old[:, 1] = torch.tensor(probability).log()
    lengths = torch.tensor([0 if index < 0 else 2 + index for index in mode])
    was_forced = torch.tensor(forced) & with_log_probs
    state = RolloutRows(
        modes=torch.tensor(mode),
        prefix_lengths=lengths,
        usual_tokens=lengths > 0,
        forced=torch.tensor(forced),
        padding=torch.tensor(padding),
        cached=torch.full((len(rows),), float("nan")) if cached is None else torch.tensor(cached),
        deciding_position=deciding,
        choice_probs=choice_probs(old, lengths, was_forced, deciding),
        step=1,
    )
    terms = dual_grpo_terms(rewards, state.modes, list(group), norm_by_std=norm_by_std)
    return training_metrics(state, terms, rewards, source, modes, collapse_below, asked)


# source, group, mode, reward, probability, forced, padding
BATCH = [
    ("math", "a", 0, 1.0, 0.9, True, False),
    ("math", "a", 0, 0.0, 0.7, True, False),
    ("math", "a", 1, 0.0, 0.1, True, False),
    ("math", "a", 1, 0.0, 0.3, True, False),
    ("taste", "b", 0, 0.0, 0.8, True, False),
    ("taste", "b", 1, 1.0, 0.2, True, False),
    ("taste", "b", -1, 0.5, 0.6, False, False),
    ("taste", "b", 1, 1.0, 0.4, False, False),
    ("taste", "pad1", -1, 0.0, 0.5, False, True),
    ("taste", "pad2", 1, 9.0, 0.5, True, True),
]


def lacking(rows, *asked):
    """Shares of rollouts, of groups that lack some, and of groups that are not there."""
    found = metrics_of(rows, asked=asked)
    return tuple(found[f"dual_grpo/{name}/mean"] for name in ("missing", "short_groups", "lost_groups"))


def test_rollouts_that_failed_are_counted_against_what_was_asked():
    assert lacking(BATCH, 2, 4) == (0, 0, 0)
    assert lacking(BATCH[2:], 2, 4) == (2 / 8, 1 / 2, 0), "padding rows are no replacement for the two of a"
    assert lacking(BATCH[4:], 2, 4) == (4 / 8, 1 / 2, 1 / 2), "all of a are gone"
    assert lacking(BATCH[2:], 4, 4) == (10 / 16, 3 / 4, 2 / 4), "a is short, two further prompts have no row"
    assert not [name for name in metrics_of(BATCH) if "missing" in name or "groups" in name]


def test_a_prompt_with_more_rollouts_makes_up_for_no_other():
    assert lacking(BATCH, 2, 3) == (0, 0, 0)
    assert lacking(BATCH, 3, 3) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert lacking(BATCH[1:], 2, 2) == (0, 0, 0)
    # A sampler of one's own may give more prompts than were asked for.
    assert lacking(BATCH, 1, 4) == (0, 0, 0)


def test_verl_averages_what_is_missing_over_mini_steps():
    names = [name for name in metrics_of(BATCH, asked=(2, 4)) if name not in metrics_of(BATCH)]
    assert len(names) == 3 and set(aggregations(names).values()) == {"weighted_avg"}


def test_prompt_cache_hit_is_over_the_real_rows_that_know_it():
    nan = float("nan")
    found = metrics_of(BATCH, cached=[0.0, 0.5, 0.5, 1.0, nan, nan, nan, nan, 0.25, 0.25])
    assert found["dual_grpo/prompt_cache_hit/mean"] == 0.5
    assert "dual_grpo/prompt_cache_hit/mean" not in metrics_of(BATCH)


def test_training_metrics_computed_by_hand():
    found = metrics_of(BATCH)
    # Group a: means 1/2 and 0, gap +-1/2. Group b: means 0 and 1, gap +-1; its mean (0 + 1 + 0.5 + 1) / 4 = 0.625.
    expected = {
        "share_general": 3 / 8,
        "share_personalized": 4 / 8,
        "share_invalid": 1 / 8,
        "reward_general": 1 / 3,
        "reward_personalized": 2 / 4,
        "win_general": 1 / 2,
        "win_personalized": 1 / 2,
        "push_general": (0.5 + 0.5 - 1) / 3,
        "push_personalized": (-0.5 - 0.5 + 1 + 1) / 4,
        "prob_general": (0.9 + 0.7 + 0.8) / 3,
        "prob_personalized": (0.1 + 0.3 + 0.2) / 3,
        "mode_gap": (0.5 + 1) / 2,
        "intra_abs": (0.5 + 0.5 + 0 + 0 + 0 + 0 + 0.125 + 0) / 8,
        "inter_abs": (4 * 0.5 + 1 + 1 + 0 + 1) / 8,
        "collapsed": 0.0,
        "math/share_general": 1 / 2,
        "math/share_personalized": 1 / 2,
        "math/share_invalid": 0.0,
        "math/reward_general": 1 / 2,
        "math/reward_personalized": 0.0,
        "math/win_general": 1.0,
        "math/win_personalized": 0.0,
        "math/push_general": 0.5,
        "math/push_personalized": -0.5,
        "math/prob_general": 0.8,
        "math/prob_personalized": 0.2,
        "math/mode_gap": 0.5,
        "math/intra_abs": 1 / 4,
        "math/inter_abs": 1 / 2,
        "taste/share_general": 1 / 4,
        "taste/share_personalized": 2 / 4,
        "taste/share_invalid": 1 / 4,
        "taste/reward_general": 0.0,
        "taste/reward_personalized": 1.0,
        "taste/win_general": 0.0,
        "taste/win_personalized": 1.0,
        "taste/push_general": -1.0,
        "taste/push_personalized": 1.0,
        "taste/prob_general": 0.8,
        "taste/prob_personalized": 0.2,
        "taste/mode_gap": 1.0,
        "taste/intra_abs": 0.125 / 4,
        "taste/inter_abs": 3 / 4,
    }
    assert found == pytest.approx({f"dual_grpo/{name}/mean": value for name, value in expected.items()}, abs=1e-6)


def test_padding_rows_count_nowhere():
    assert metrics_of(BATCH) == pytest.approx(metrics_of(BATCH[:-2]))
    assert metrics_of(BATCH[-2:]) == {}


def test_invalid_is_never_counted_as_a_mode():
    found = metrics_of([("s", "a", -1, 1.0, 0.5, False, False)] * 3 + [("s", "a", 1, 1.0, 0.5, True, False)])
    assert found["dual_grpo/share_invalid/mean"] == 0.75
    assert found["dual_grpo/share_personalized/mean"] == 0.25
    assert found["dual_grpo/share_general/mean"] == 0.0
    assert "dual_grpo/reward_general/mean" not in found, "a mode without a row has no reward"


def test_a_tie_is_no_win():
    found = metrics_of([("s", "a", mode, 1.0, 0.5, True, False) for mode in (0, 0, 1, 1)])
    assert found["dual_grpo/win_general/mean"] == found["dual_grpo/win_personalized/mean"] == 0.0
    assert found["dual_grpo/mode_gap/mean"] == 0.0


def test_a_tie_but_for_rounding_is_no_win():
    """verl keeps rewards in float32, in which .9 + .1 is less than 1."""
    rewards = [(0, 0.9), (0, 0.1), (1, 1.0), (1, 0.0)]
    found = metrics_of([("s", "a", mode, reward, 0.5, True, False) for mode, reward in rewards])
    assert found["dual_grpo/win_general/mean"] == found["dual_grpo/win_personalized/mean"] == 0.0
    assert found["dual_grpo/mode_gap/mean"] == 0.0


def test_a_group_that_lacks_a_mode_takes_no_part_in_wins_and_gap():
    lacking = [("s", "b", 0, 5.0, 0.5, True, False)] * 2
    found = metrics_of([*BATCH[:4], *lacking])
    assert found["dual_grpo/win_general/mean"] == 1.0
    assert found["dual_grpo/mode_gap/mean"] == 0.5
    assert "dual_grpo/s/win_general/mean" not in found
    assert "dual_grpo/s/mode_gap/mean" not in found


def test_the_terms_are_logged_over_the_std():
    plain, scaled = metrics_of(BATCH[:4]), metrics_of(BATCH[:4], norm_by_std=True)
    # Rewards 1 0 0 0: std 1/2.
    assert scaled["dual_grpo/inter_abs/mean"] == pytest.approx(2 * plain["dual_grpo/inter_abs/mean"], abs=1e-4)
    assert scaled["dual_grpo/mode_gap/mean"] == plain["dual_grpo/mode_gap/mean"], "the gap is in units of reward"


@pytest.mark.parametrize(("probability", "collapsed"), [(0.04, 1.0), (0.06, 0.0)])
def test_collapsed_says_that_a_mode_became_improbable(probability, collapsed):
    rows = [("s", "a", 0, 1.0, 0.99, True, False), ("s", "a", 1, 0.0, probability, True, False)]
    assert metrics_of(rows, collapse_below=0.05)["dual_grpo/collapsed/mean"] == collapsed


def test_probabilities_are_left_out_where_there_are_none():
    without = metrics_of(BATCH, with_log_probs=False)
    beyond = metrics_of(BATCH, deciding=9)
    free = metrics_of([(*row[:5], False, row[6]) for row in BATCH])
    for found in (without, beyond, free):
        assert not [name for name in found if "prob_" in name or "collapsed" in name]
        assert found["dual_grpo/share_general/mean"] == 3 / 8


def test_three_modes():
    modes = Modes([Mode(name, f"<{name}>") for name in ("a", "b", "c")])
    rows = [("s", "g", mode, reward, 0.3, True, False) for mode, reward in [(0, 1.0), (1, 3.0), (2, 2.0)]]
    found = metrics_of(rows, modes=modes)
    assert [found[f"dual_grpo/win_{name}/mean"] for name in "abc"] == [0, 1, 0]
    assert found["dual_grpo/mode_gap/mean"] == 2.0
    # Gaps: 1 - 2.5, 3 - 1.5, 2 - 2.
    assert found["dual_grpo/inter_abs/mean"] == pytest.approx(1.0)


# source, item, asked, chosen, acc
VALIDATION = [
    # Item 1: general right, personalized wrong. Free: general, right; then invalid, wrong.
    ("math", 1, 0, 0, 1.0),
    ("math", 1, 1, 1, 0.0),
    ("math", 1, -1, 0, 1.0),
    ("math", 1, -1, -1, 0.0),
    # Item 2: personalized right. Free: general, wrong.
    ("math", 2, 0, 0, 0.0),
    ("math", 2, 1, 1, 1.0),
    ("math", 2, -1, 0, 0.0),
    # Item 3: both right. Free: personalized, right.
    ("math", 3, 0, 0, 1.0),
    ("math", 3, 1, 1, 1.0),
    ("math", 3, -1, 1, 1.0),
    # Item 4 was asked in one mode only, and a row without an item in none: neither says which mode is better.
    ("math", 4, 0, 0, 0.0),
    ("math", 4, -1, 1, 1.0),
    ("math", -1, -1, 1, 1.0),
    # A source without forced rows.
    ("taste", 5, -1, 1, 1.0),
    ("taste", 6, -1, -1, 0.0),
    # A source without free ones.
    ("forced", 7, 1, 1, 0.25),
]


def test_validation_metrics_computed_by_hand():
    found = validation_metrics(*map(list, zip(*VALIDATION, strict=True)), DEFAULT_MODES)
    expected = {
        "math/acc_free": 4 / 6,
        "math/share_general": 2 / 6,
        "math/share_personalized": 3 / 6,
        "math/share_invalid": 1 / 6,
        "math/acc_forced_general": 2 / 4,
        "math/acc_forced_personalized": 2 / 3,
        # Free samples of items 1 to 3: right, invalid, wrong, tie.
        "math/hybrid_accuracy": 2 / 4,
        # The better mode's accuracy is 1 for each of the four; theirs 1, 0, 0, 1.
        "math/regret": 2 / 4,
        "taste/acc_free": 1 / 2,
        "taste/share_general": 0.0,
        "taste/share_personalized": 1 / 2,
        "taste/share_invalid": 1 / 2,
        "forced/acc_forced_personalized": 0.25,
    }
    assert found == pytest.approx({f"val-dual/{name}/mean": value for name, value in expected.items()})


def test_several_samples_of_an_item_are_averaged_before_the_modes_are_compared():
    rows = [("s", 1, 0, 0, 1.0), ("s", 1, 0, 0, 0.0), ("s", 1, 1, 1, 0.75), ("s", 1, -1, 0, 1.0)]
    found = validation_metrics(*map(list, zip(*rows, strict=True)), DEFAULT_MODES)
    assert found["val-dual/s/hybrid_accuracy/mean"] == 0.0, "general has 0.5, personalized 0.75"
    assert found["val-dual/s/regret/mean"] == -0.25


def test_lost_samples_are_wrong_in_the_accuracy_of_what_they_were_asked_and_chose_nothing():
    rows = list(map(list, zip(*VALIDATION, strict=True)))
    whole = validation_metrics(*rows, DEFAULT_MODES)
    # Of math four free and two forced into general; of forced a free one, beside which there is no other.
    short = validation_metrics(*rows, DEFAULT_MODES, {("math", -1): 4, ("math", 0): 2, ("forced", -1): 1})
    changed = {name: value for name, value in short.items() if value != whole[name]}
    assert changed == pytest.approx(
        {"val-dual/math/acc_free/mean": 4 / 10, "val-dual/math/acc_forced_general/mean": 2 / 6}
    )
    assert short.keys() == whole.keys()


def test_no_samples_no_validation_metrics():
    assert validation_metrics([], [], [], [], [], DEFAULT_MODES) == {}


TRICKY_SOURCES = ["summary", "minimal", "total_max", "MAX", "assuming", "consummate", "timing_s", "a/lr", "lr"]


def aggregations(names) -> dict[str, str]:
    aggregator = MetricsAggregator()
    return {name: aggregator._get_aggregation_type(name) for name in names}


@pytest.mark.parametrize("source", TRICKY_SOURCES)
def test_verl_averages_every_training_metric_of_any_data_source(source):
    found = aggregations(metrics_of([(source, *row[1:]) for row in BATCH]))
    assert set(found.values()) == {"weighted_avg"}, found


@pytest.mark.parametrize("names", [("minimal", "maximal"), ("summing", "total"), ("assuming", "MAX")])
def test_verl_averages_every_training_metric_of_any_mode(names):
    modes = Modes([Mode(name, f"<{name}>") for name in names])
    found = aggregations(metrics_of(BATCH, modes=modes))
    assert set(found.values()) == {"weighted_avg"}, found


PIECES = ["max", "min", "sum", "total", "Max", "MIN", "m", "in", "ax", "um", "to", "tal", "_", "/"]


@given(source=st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_a_metric_label_never_picks_an_aggregation(source):
    name = f"dual_grpo/{metric_label(source)}/share_general/mean"
    assert aggregations([name]) == {name: "weighted_avg"}


@pytest.mark.parametrize("source", ["math", "quickstart_none", "my/source", "数据"])
def test_an_ordinary_data_source_is_its_own_label(source):
    assert metric_label(source) == source


def test_two_mini_steps_are_averaged_by_verl():
    aggregator = MetricsAggregator()
    rows = [("summary", *row[1:]) for row in BATCH]
    aggregator.add_step_metrics(metrics_of(rows[:4]), sample_count=4)
    aggregator.add_step_metrics(metrics_of(rows[4:]), sample_count=4)
    found = aggregator.get_aggregated_metrics()
    label = metric_label("summary")
    assert found[f"dual_grpo/{label}/share_general/mean"] == pytest.approx(3 / 8)
    assert found[f"dual_grpo/{label}/mode_gap/mean"] == pytest.approx(0.75)
