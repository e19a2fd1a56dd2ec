"""Measures against values computed by hand, and the properties of the bootstrap."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.evaluation import measures
from personadual.evaluation.bootstrap import cluster_mean
from personadual.evaluation.columns import ALL, FIELDS
from personadual.evaluation.load import mode_names
from personadual.evaluation.summary import FACTUAL, contrasts, lookup, paired_differences, summarise

MODES = ["general", "personalized"]


def answers(item, question, condition, right, free, forced, model="m", seed=0):
    """Rows of one item: ``free`` = (mode, acc), ``forced`` = {mode: (acc, probability of the tag)}."""
    common = {field.name: "" for field in FIELDS} | {
        "model": model,
        "seed": seed,
        "item": item,
        "question_id": question,
    }
    common |= {"condition": condition, "right_mode": right, "truncated": False, "n_tokens": 3}
    none = {"tag_logprob": None, "deciding_logprob": None}
    rows = [common | none | {"asked_mode": "free", "mode": free[0], "acc": free[1]}] if free else []
    for mode, (acc, prob) in forced.items():
        rows.append(common | {"asked_mode": mode, "mode": mode, "acc": acc, "tag_logprob": math.log(prob)})
    return rows


def table(*items):
    return pd.DataFrame([row for rows in items for row in rows])


HAND = table(
    answers(0, "a", "none", "general", ("general", 1.0), {"general": (1.0, 0.6), "personalized": (0.0, 0.2)}),
    answers(1, "b", "none", "general", ("personalized", 0.0), {"general": (1.0, 0.1), "personalized": (0.0, 0.3)}),
    answers(2, "a", "conflicting", "general", ("invalid", 1.0), {"general": (0.0, 0.2), "personalized": (0.0, 0.2)}),
    answers(3, "b", "conflicting", "general", ("general", 0.0), {"general": (0.0, 0.9), "personalized": (0.0, 0.1)}),
    answers(4, "c", "personal", "personalized", ("personalized", 1.0), {"general": (0, 0.5), "personalized": (1, 0.5)}),
    answers(5, "d", "ambiguous", None, ("general", 0.0), {"general": (0.0, 0.5), "personalized": (1.0, 0.25)}),
)


def hand(measure, condition, rows=HAND):
    return lookup(summarise(measures.item_values(rows, MODES), MODES), model="m", condition=condition, measure=measure)


@pytest.mark.parametrize(
    "measure, condition, value",
    [
        ("selection_error", "none", (0.4 + 0.9) / 2),
        ("selection_error", "conflicting", (0.8 + 0.1) / 2),
        ("selection_error", "personal", 0.5),
        ("selection_error", FACTUAL, (0.4 + 0.9 + 0.8 + 0.1) / 4),
        ("choice_error", "none", (0.25 + 0.75) / 2),
        ("choice_error", "conflicting", (0.5 + 0.1) / 2),
        ("prob_personalized", "none", 0.25),
        ("choice_personalized", "none", (0.25 + 0.75) / 2),
        ("tag_validity", "conflicting", 0.5),
        ("share_general", "conflicting", 0.5),
        ("share_personalized", "conflicting", 0.0),  # the invalid answer is in no mode
        ("greedy_error", "none", 0.5),
        ("greedy_error", "conflicting", 0.5),  # the invalid one is wrong
        ("acc_free", ALL, 3 / 6),
        ("acc_general", ALL, 2 / 6),
        ("hybrid", "none", 0.5),
        ("hybrid", "conflicting", 0.5),  # a tie is right with a valid tag, wrong without one
        ("hybrid", "ambiguous", 0.0),
        ("regret", "none", 0.5),
        ("regret", "conflicting", -0.5),  # the invalid answer was right where neither mode is
        ("regret", "ambiguous", 1.0),
    ],
)
def test_measures_by_hand(measure, condition, value):
    assert hand(measure, condition).value == pytest.approx(value)


def test_items_without_a_right_mode_are_in_no_selection_error():
    assert hand("selection_error", "ambiguous") is None
    assert hand("selection_error", ALL).n == 5
    assert hand("prob_personalized", ALL).n == 6


def test_a_missing_answer_is_left_out_and_never_guessed():
    rows = table(answers(0, "a", "none", "general", None, {"general": (1.0, 0.6)}))
    rows = pd.concat([HAND[HAND["item"] > 0], rows])
    for measure in ("tag_validity", "hybrid", "regret", "share_general", "choice_error", "greedy_error"):
        assert hand(measure, "none", rows).n == 1, measure
    assert hand("selection_error", "none", rows).n == 2


def test_normalised_choice_survives_underflow():
    rows = table(
        answers(0, "a", "none", "general", ("general", 1.0), {"general": (1.0, 0.5), "personalized": (1.0, 0.5)})
    )
    rows["tag_logprob"] = [None, -2000.0, -2001.0]
    values = measures.item_values(rows, MODES)
    assert values["selection_error"][0] == 1.0
    assert values["choice_error"][0] == pytest.approx(1 / (1 + math.e))


def test_contrasts_are_paired_by_question():
    def item(number, question, condition, acc):
        return answers(number, question, condition, None, ("general", acc), {m: (acc, 0.5) for m in MODES})

    rows = table(
        item(0, "a", "none", 1.0), item(1, "b", "none", 1.0), item(2, "c", "none", 0.0),
        item(3, "a", "unaligned", 0.0), item(4, "a", "unaligned", 1.0), item(5, "b", "unaligned", 1.0),
        item(6, "c", "aligned", 1.0), item(7, "z", "aligned", 0.0),
    )  # fmt: skip
    found = contrasts(measures.item_values(rows, MODES), MODES)
    unaligned = lookup(found, measure="interference_unaligned", asked_mode="free")
    assert (unaligned.value, unaligned.n) == (pytest.approx(0.25), 2)  # (1 - 1/2, 1 - 1); c has no pair
    gain = lookup(found, measure="aligned_gain", asked_mode="general")
    assert (gain.value, gain.n) == (1.0, 1)
    assert lookup(found, measure="interference_conflicting") is None


def test_paired_differences_cancel_what_the_models_share():
    rng = np.random.default_rng(0)
    old, new = [], []
    for item, p in enumerate(rng.uniform(0.2, 0.7, 40)):
        condition = "personal" if item % 2 else "none"
        right = "personalized" if item % 2 else "general"
        for rows, model, shift in ((old, "sft", 0.0), (new, "rl", 0.1)):
            forced = {right: (1.0, p + shift), MODES[item % 2 == 0]: (0.0, 0.1)}
            rows.append(answers(item, f"q{item}", condition, right, ("general", 1.0), forced, model=model))
    values = measures.item_values(table(*old, *new), MODES)
    found = paired_differences(values, "sft", "rl", ["selection_error"])
    for condition in ("personal", "none", FACTUAL, ALL):
        estimate = lookup(found, condition=condition)
        assert estimate.value == pytest.approx(-0.1)
        assert estimate.high - estimate.low < 1e-6
    assert lookup(found, condition=ALL).n == 40


def test_seeds_of_a_model_are_averaged_before_pairing():
    forced = {"general": (1.0, 0.5), "personalized": (0.0, 0.5)}
    better = {"general": (1.0, 0.9), "personalized": (0.0, 0.1)}
    rows = table(
        answers(0, "a", "none", "general", ("general", 1.0), forced, model="sft"),
        answers(0, "a", "none", "general", ("general", 1.0), forced, model="rl", seed=0),
        answers(0, "a", "none", "general", ("general", 1.0), better, model="rl", seed=1),
    )
    values = measures.item_values(rows, MODES)
    estimate = lookup(paired_differences(values, "sft", "rl", ["selection_error"]), condition=ALL)
    assert (estimate.value, estimate.n) == (pytest.approx(-0.2), 1)


def test_mode_names_keep_their_order_and_know_the_right_mode():
    rows = HAND.assign(asked_mode=HAND["asked_mode"].replace("general", "terse"), mode="terse")
    assert mode_names(HAND.iloc[::-1]) == MODES
    with pytest.raises(ValueError, match=r"right_mode \['general'\] is none of the modes"):
        mode_names(rows)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8)), min_size=2, max_size=60),
    st.integers(0, 3),
)
def test_interval_is_reproducible_and_lies_within_the_cluster_means(pairs, seed):
    values, clusters = zip(*pairs, strict=True)
    estimate = cluster_mean(values, clusters, resamples=200, seed=seed)
    assert repr(estimate) == repr(cluster_mean(values, clusters, resamples=200, seed=seed))
    means = pd.Series(values).groupby(pd.Series(clusters)).mean()
    if len(means) == 1:
        assert math.isnan(estimate.low) and math.isnan(estimate.high)
    else:
        assert means.min() - 1e-9 <= estimate.low <= estimate.high <= means.max() + 1e-9


def test_interval_contains_the_mean_and_widens_with_clustering():
    rng = np.random.default_rng(1)
    questions = np.repeat(np.arange(50), 4)
    values = (rng.random(50) < 0.4)[questions].astype(float)
    clustered, independent = cluster_mean(values, questions), cluster_mean(values, np.arange(200))
    assert clustered.low < clustered.value < clustered.high
    assert (clustered.n, clustered.clusters) == (200, 50)
    assert (clustered.high - clustered.low) > 1.6 * (independent.high - independent.low)
    width = 2 * 1.96 * values.std() / math.sqrt(50)
    assert clustered.high - clustered.low == pytest.approx(width, rel=0.1)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        clusters = np.repeat(np.arange(40), 3)
        values = np.repeat(rng.normal(size=40), 3) + rng.normal(size=120)
        estimate = cluster_mean(values, clusters, resamples=400)
        hits += estimate.low <= 0 <= estimate.high
    assert 0.88 <= hits / 200 <= 0.99
