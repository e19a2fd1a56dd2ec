"""Differences between models: paired, tested by the test that fits, and corrected for their number."""

from math import comb

import numpy as np
import pandas as pd
import pytest
from eval_rows import MODES, always_personalized, answers, planted, right_choice, table
from hypothesis import given, settings
from hypothesis import strategies as st

from personadual.evaluation import measures
from personadual.evaluation.columns import ALL
from personadual.evaluation.comparisons import adjusted, checks, comparisons, mcnemar_p
from personadual.evaluation.grid import to_grid
from personadual.evaluation.summary import FACTUAL, lookup


def compared(rows, old="sft", new="rl", function=comparisons, correction="holm"):
    return function(to_grid(measures.item_values(rows, MODES)), [(old, new)], MODES, correction)


def test_differences_cancel_what_the_models_share():
    rng = np.random.default_rng(0)
    old, new = [], []
    for item, p in enumerate(rng.uniform(0.2, 0.7, 40)):
        condition = "personal" if item % 2 else "none"
        right = "personalized" if item % 2 else "general"
        for rows, model, shift in ((old, "sft", 0.0), (new, "rl", 0.1)):
            forced = {right: (1.0, p + shift), MODES[item % 2 == 0]: (0.0, 0.1)}
            rows.append(answers(item, f"q{item}", condition, right, ("general", 1.0), forced, model=model))
    found = compared(table(*old, *new))
    for condition in ("personal", "none", FACTUAL, ALL):
        estimate = lookup(found, condition=condition, measure="selection_error")
        assert estimate.value == pytest.approx(-0.1)
        assert estimate.high - estimate.low < 1e-6
    row = found[(found["condition"] == ALL) & (found["measure"] == "selection_error")].iloc[0]
    assert row["n"] == 40 and row["new_value"] - row["old_value"] == pytest.approx(-0.1)
    assert row["p"] < row["p_adjusted"] < 1e-6


def test_seeds_of_a_model_are_averaged_before_pairing():
    forced = {"general": (1.0, 0.5), "personalized": (0.0, 0.5)}
    better = {"general": (1.0, 0.9), "personalized": (0.0, 0.1)}
    rows = table(
        answers(0, "a", "none", "general", ("general", 1.0), forced, model="sft"),
        answers(0, "a", "none", "general", ("general", 1.0), forced, model="rl", seed=0),
        answers(0, "a", "none", "general", ("general", 1.0), better, model="rl", seed=1),
    )
    estimate = lookup(compared(rows), condition=ALL, measure="selection_error")
    assert (estimate.value, estimate.n) == (pytest.approx(-0.2), 1)


def test_items_that_one_model_did_not_answer_are_in_no_comparison():
    rows = pd.DataFrame(planted("sft", right_choice, questions=10) + planted("rl", right_choice, questions=10))
    half = rows[(rows["model"] == "sft") | (rows["item"] % 2 == 0)]
    assert lookup(compared(half), condition=ALL, measure="acc_free").n == 25
    assert lookup(compared(rows), condition=ALL, measure="acc_free").n == 50


@settings(max_examples=50)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_of_the_answers_that_differ(worse, better, same):
    old = np.array([0.0] * worse + [1.0] * better + [1.0] * same + [np.nan])
    new = np.array([1.0] * worse + [0.0] * better + [1.0] * same + [0.0])
    differ = worse + better
    tail = sum(comb(differ, k) for k in range(min(worse, better) + 1)) / 2**differ
    assert mcnemar_p(old, new) == pytest.approx(min(1.0, 2 * tail))


def test_choices_are_tested_by_mcnemar_only_where_every_question_stands_once_under_one_seed():
    rows = pd.DataFrame(planted("sft", always_personalized, 12) + planted("rl", right_choice, 12))
    found = compared(rows).set_index(["measure", "condition"])
    unaligned = found.loc[("greedy_error", "unaligned")]
    assert unaligned["test"] == "mcnemar" and unaligned["p"] == pytest.approx(2 * 0.5**12)
    assert unaligned["difference"] == -1 and unaligned["n"] == 12
    assert found.loc[("greedy_error", ALL), "test"] == "bootstrap"  # five items of each question
    assert found.loc[("acc_free", "unaligned"), "test"] == "bootstrap"
    again = pd.concat([rows, rows.assign(seed=1)])
    assert set(compared(again)["test"]) == {"bootstrap"}


def test_correction_by_hand():
    p = [0.01, 0.04, 0.03, np.nan]
    assert adjusted(p, "holm") == pytest.approx([0.03, 0.06, 0.06, np.nan], nan_ok=True)
    assert adjusted(p, "bh") == pytest.approx([0.03, 0.04, 0.04, np.nan], nan_ok=True)
    with pytest.raises(ValueError, match="correction 'none' does not exist; it is one of holm, bh"):
        adjusted(p, "none")


@settings(max_examples=10)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_correction_never_lowers_p_and_holm_is_the_stricter(p):
    holm, bh = adjusted(p, "holm"), adjusted(p, "bh")
    assert (holm >= bh - 1e-12).all() and (bh >= np.array(p) - 1e-12).all() and (holm <= 1).all()


def test_each_family_is_corrected_by_itself():
    rows = pd.DataFrame(planted("sft", always_personalized) + planted("rl", right_choice))
    found = compared(rows, correction="bh")
    assert set(found[found["family"] == "groups"]["condition"]) == {"personal", FACTUAL, ALL}
    assert set(found[found["family"] == "conditions"]["condition"]) == {"none", "unaligned", "aligned", "conflicting"}
    for _, family in found.groupby("family"):
        assert family["p_adjusted"].to_numpy() == pytest.approx(adjusted(family["p"], "bh"), nan_ok=True)
    assert not found.duplicated(["measure", "condition"]).any()


def test_checks_see_lengths_tags_and_forced_accuracy():
    old = planted("sft", right_choice, questions=20)
    new = [{**row, "n_tokens": 9, "truncated": True} for row in planted("rl", right_choice, questions=20, general=0.4)]
    for row in new:
        if row["asked_mode"] == "free":
            row["response"] += " [General_mode] [Personalized_mode]"
    found = compared(pd.DataFrame(old + new), function=checks).set_index("measure")
    assert set(found["condition"]) == {ALL}
    assert found.loc["tokens_free", "difference"] == 6 and found.loc["tokens_general", "new_value"] == 9
    assert found.loc["acc_general", "difference"] == pytest.approx(-0.4 * 4 / 5)  # never right on personal items
    assert found.loc["both_tags", "difference"] == 1 and found.loc["truncated", "difference"] == 1


def test_derived_conditions_are_not_compared():
    rows = planted("sft", right_choice, questions=4) + planted("rl", right_choice, questions=4)
    shuffled = [{**row, "item": row["item"] + 100, "condition": "shuffled"} for row in rows]
    found = compared(pd.DataFrame(rows + shuffled))
    assert "shuffled" not in set(found["condition"]) and lookup(found, condition=ALL, measure="acc_free").n == 20


def test_three_seeds_a_side_are_enough_for_a_claim_only_if_they_agree():
    def runs(model, shifts):
        rows = []
        for seed, shift in enumerate(shifts):
            rows += planted(model, right_choice, questions=40, seed=seed, general=0.5 + shift)
        return rows

    steady = compared(pd.DataFrame(runs("sft", (0, 0, 0)) + runs("rl", (0.3, 0.35, 0.4))))
    shaky = compared(pd.DataFrame(runs("sft", (0, 0, 0)) + runs("rl", (-0.2, 0.25, 0.5))))
    key = {"condition": FACTUAL, "measure": "acc_free"}
    assert lookup(steady, **key).seeds == 3 and lookup(steady, **key).low > 0
    assert lookup(shaky, **key).low < 0 < lookup(shaky, **key).high
