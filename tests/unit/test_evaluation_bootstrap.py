"""Properties of the resampling: reproducible, inside the data, and as often right as it says."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personadual.evaluation.bootstrap import cluster_mean, draw, estimates, p_values

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8)), min_size=2, max_size=60)


@settings(max_examples=50)
@given(PAIRS, st.integers(0, 3))
def test_interval_is_reproducible_and_lies_within_the_cluster_means(pairs, seed):
    values, clusters = zip(*pairs, strict=True)
    estimate = cluster_mean(values, clusters, resamples=200, seed=seed)
    assert repr(estimate) == repr(cluster_mean(values, clusters, resamples=200, seed=seed))
    means = pd.Series(values).groupby(pd.Series(clusters)).mean()
    if len(means) == 1:
        assert math.isnan(estimate.low) and math.isnan(estimate.high)
    else:
        assert means.min() - 1e-9 <= estimate.low <= estimate.high <= means.max() + 1e-9


@settings(max_examples=50)
@given(PAIRS)
def test_order_of_items_and_names_of_questions_do_not_matter(pairs):
    values, clusters = zip(*pairs, strict=True)
    names = [f"q{9 - cluster}" for cluster in clusters]
    one = cluster_mean(values, [9 - cluster for cluster in clusters], resamples=50)
    other = cluster_mean(values[::-1], sorted_names(names[::-1]), resamples=50)
    assert other == pytest.approx(one, nan_ok=True, abs=1e-9)


def sorted_names(names):
    """Codes in the order of the digits, as arrays of text."""
    return np.array([name[1:] for name in names])


@settings(max_examples=50)
@given(st.integers(3, 5), st.integers(2, 12), st.integers(0, 100))
def test_equal_models_have_no_difference_and_shifted_ones_exactly_the_shift(seeds, questions, salt):
    rng = np.random.default_rng(salt)
    old = rng.random((seeds, questions * 2, 2))
    clusters = np.repeat(np.arange(questions), 2)
    found = draw(old + np.array([0.0, 0.25]) - old, clusters, resamples=100)
    same, shifted = estimates(found)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((0.25, 0.25, 0.25))
    assert p_values(found)[0] == 1.0 and p_values(found)[1] == 2.0 ** (1 - questions)


def test_a_measure_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(5)
    values = rng.random((3, 40, 3))
    values[:, :12, 1] = np.nan  # questions without a value
    values[1, 20, 2] = np.nan  # one answer of one seed
    clusters = np.repeat(np.arange(10), 4)
    together = estimates(draw(values, clusters))
    for column in range(3):
        assert estimates(draw(values[:, :, [column]], clusters))[0] == pytest.approx(together[column], abs=1e-12)
    assert [(e.n, e.clusters) for e in together] == [(40, 10), (28, 7), (40, 10)]


def test_interval_contains_the_mean_and_widens_with_clustering():
    rng = np.random.default_rng(1)
    questions = np.repeat(np.arange(50), 4)
    values = (rng.random(50) < 0.4)[questions].astype(float)
    clustered, independent = cluster_mean(values, questions), cluster_mean(values, np.arange(200))
    assert clustered.low < clustered.value < clustered.high
    assert (clustered.n, clustered.clusters) == (200, 50)
    assert (clustered.high - clustered.low) > 1.6 * (independent.high - independent.low)
    width = 2 * 2.01 * values.std(ddof=1) / math.sqrt(50)
    assert clustered.high - clustered.low == pytest.approx(width, rel=0.08)


@pytest.mark.parametrize("seeds, seed_effect", [(1, 0.0), (3, 0.0), (3, 1.0), (5, 1.0), (3, 3.0)])
def test_intervals_cover_the_truth_and_p_is_small_about_as_often_as_they_say(seeds, seed_effect):
    """40 questions of 2 items; ``seed_effect``: spread of the seeds' mean over that of the questions'."""
    rng, runs, hits, small = np.random.default_rng(2), 300, 0, 0
    clusters = np.repeat(np.arange(40), 2)
    for _ in range(runs):
        spread = rng.normal(size=(seeds, 1)) * seed_effect * math.sqrt(seeds / 40)
        values = spread + rng.normal(size=40)[clusters] + rng.normal(size=(seeds, 80))
        found = draw(values[:, :, None], clusters, resamples=400)
        hits += estimates(found)[0].low <= 0 <= estimates(found)[0].high
        small += p_values(found)[0] < 0.05
    assert 0.90 <= hits / runs <= 0.995
    assert small / runs <= 0.10


def test_seeds_widen_the_interval_only_from_three_on():
    rng = np.random.default_rng(3)
    questions = rng.random(30)
    values = questions[None, :] + np.array([-0.2, 0.0, 0.2])[:, None]
    three = estimates(draw(values[:, :, None], np.arange(30)))[0]
    two = estimates(draw(values[[0, 2]][:, :, None], np.arange(30)))[0]
    assert two.value == pytest.approx(three.value) and (two.seeds, three.seeds) == (2, 3)
    assert three.high - three.low > 1.5 * (two.high - two.low)


def test_a_seed_without_any_value_is_no_seed():
    """Of one measure; the others keep it."""
    rng = np.random.default_rng(6)
    values = rng.random((4, 20, 2))
    values[2, :, 0] = np.nan
    clusters = np.repeat(np.arange(10), 2)
    first, second = estimates(draw(values, clusters))
    assert first == pytest.approx(estimates(draw(values[[0, 1, 3]][:, :, :1], clusters))[0]) and first.seeds == 3
    assert second == pytest.approx(estimates(draw(values[:, :, 1:], clusters))[0]) and second.seeds == 4
    values[3, :, 0] = np.nan
    two = draw(values, clusters)
    assert estimates(two)[0] == pytest.approx(estimates(draw(values[:2, :, :1], clusters))[0])
    assert [estimate.seeds for estimate in estimates(two)] == [2, 4]
    assert p_values(two) == pytest.approx(
        [p_values(draw(values[:2, :, :1], clusters))[0], p_values(draw(values[:, :, 1:], clusters))[0]]
    )


def test_models_with_different_numbers_of_seeds_differ_by_their_means():
    rng = np.random.default_rng(4)
    questions = rng.random(30)
    old = (questions[None] + np.array([-0.1, 0.0, 0.1])[:, None])[:, :, None]
    new = questions[None, :, None] + 0.5
    found = draw(new, np.arange(30)) - draw(old, np.arange(30))
    estimate = estimates(found)[0]
    assert estimate.value == pytest.approx(0.5) and (estimate.n, estimate.clusters, estimate.seeds) == (30, 30, 1)
    assert 0.1 < estimate.high - estimate.low < 0.6  # the questions cancel, the three seeds' spread stays
    assert p_values(found)[0] < 0.05


@pytest.mark.parametrize("clusters, floor", [(2, 0.5), (5, 0.0625), (10, 2**-9)])
def test_a_few_questions_that_all_agree_are_no_certainty(clusters, floor):
    assert p_values(draw(np.ones((1, clusters, 1)), np.arange(clusters)))[0] == floor


def test_nothing_is_said_of_nothing():
    nothing = draw(np.full((3, 4, 1), np.nan), np.arange(4))
    assert estimates(nothing)[0].n == 0 and math.isnan(estimates(nothing)[0].value) and math.isnan(p_values(nothing)[0])
    empty = draw(np.empty((1, 0, 2)), np.empty(0))
    assert [estimate.n for estimate in estimates(empty)] == [0, 0]
    one = draw(np.ones((1, 3, 1)), np.zeros(3))
    assert estimates(one)[0].value == 1 and math.isnan(estimates(one)[0].low) and math.isnan(p_values(one)[0])
