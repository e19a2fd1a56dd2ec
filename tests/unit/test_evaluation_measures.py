"""Measures of an item, and their means, against values computed by hand."""

import math

import pandas as pd
import pytest
from eval_rows import MODES, answers, planted, right_choice, sampled, table

from personadual.evaluation import measures
from personadual.evaluation.columns import ALL
from personadual.evaluation.grid import to_grid
from personadual.evaluation.load import mode_names
from personadual.evaluation.summary import FACTUAL, by_source, conditions_of, lookup, seed_spread, summarise

HAND = table(
    answers(0, "a", "none", "general", ("general", 1.0), {"general": (1.0, 0.6), "personalized": (0.0, 0.2)}),
    answers(1, "b", "none", "general", ("personalized", 0.0), {"general": (1.0, 0.1), "personalized": (0.0, 0.3)}),
    answers(2, "a", "conflicting", "general", ("invalid", 1.0), {"general": (0.0, 0.2), "personalized": (0.0, 0.2)}),
    answers(3, "b", "conflicting", "general", ("general", 0.0), {"general": (0.0, 0.9), "personalized": (0.0, 0.1)}),
    answers(4, "c", "personal", "personalized", ("personalized", 1.0), {"general": (0, 0.5), "personalized": (1, 0.5)}),
    answers(5, "d", "ambiguous", None, ("general", 0.0), {"general": (0.0, 0.5), "personalized": (1.0, 0.25)}),
)


def grid_of(rows):
    return to_grid(measures.item_values(rows, MODES))


def hand(measure, condition, rows=HAND):
    return lookup(summarise(grid_of(rows), MODES), model="m", condition=condition, measure=measure)


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
        ("over_personalized", "none", 0.5),
        ("over_personalized", ALL, 0.25),  # of the four items whose right mode is general
        ("acc_free", ALL, 3 / 6),
        ("acc_general", ALL, 2 / 6),
        ("hybrid", "none", 0.5),
        ("hybrid", "conflicting", 0.5),  # a tie is right with a valid tag, wrong without one
        ("hybrid", "ambiguous", 0.0),
        ("regret", "none", 0.5),
        ("regret", "conflicting", -0.5),  # the invalid answer was right where neither mode is
        ("regret", "ambiguous", 1.0),
        ("both_tags", ALL, 0.0),
        ("tokens_free", ALL, 3.0),
    ],
)
def test_measures_by_hand(measure, condition, value):
    assert hand(measure, condition).value == pytest.approx(value)


def test_items_without_a_right_mode_are_in_no_selection_error():
    assert hand("selection_error", "ambiguous") is None and hand("over_personalized", "personal") is None
    assert hand("selection_error", ALL).n == 5
    assert hand("prob_personalized", ALL).n == 6


def test_a_missing_answer_is_left_out_and_never_guessed():
    rows = table(answers(0, "a", "none", "general", None, {"general": (1.0, 0.6)}))
    rows = pd.concat([HAND[HAND["item"] > 0], rows])
    for measure in ("tag_validity", "hybrid", "regret", "share_general", "choice_error", "greedy_error", "tokens_free"):
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


def test_samples_of_an_item_are_averaged_and_the_greedy_answer_counts_for_the_greedy_choice():
    greedy = answers(0, "a", "none", "general", ("personalized", 0.0), {"general": (0, 0.7), "personalized": (1, 0.2)})
    free = answers(0, "a", "none", "general", ("general", 1.0))
    other = answers(0, "a", "none", "general", ("personalized", 1.0), {"general": (1, 0.7), "personalized": (1, 0.2)})
    for row in other:
        row.update(n_tokens=9, truncated=True, tag_logprob=None)
    values = measures.item_values(table(greedy, sampled(free, 1), sampled(other, 2), sampled(free, 3)), MODES)
    assert len(values) == 1
    value = values.iloc[0]
    assert value["share_general"] == pytest.approx(2 / 3) and value["share_personalized"] == pytest.approx(1 / 3)
    assert value["acc_free"] == 1.0 and value["tokens_free"] == 5.0 and value["truncated"] == pytest.approx(1 / 3)
    assert value["greedy_error"] == 1.0  # the greedy answer alone
    assert value["acc_general"] == 1.0  # the sampled answer, not the greedy one
    assert value["hybrid"] == 1.0 and value["regret"] == 0.0  # both modes are always right when sampled
    assert value["acc_as_personalized"] == pytest.approx(1 / 3)
    assert value["selection_error"] == pytest.approx(0.3)  # of the prompt: from the rows that have it
    only_sampled = measures.item_values(table(sampled(free, 1), sampled(other, 2)), MODES).iloc[0]
    assert only_sampled["acc_free"] == 1.0 and math.isnan(only_sampled["greedy_error"])


@pytest.mark.parametrize(
    "response, both",
    [
        ("[General_mode]\nParis", 0.0),
        ("[General_mode]\nParis [General_mode]", 0.0),
        ("[General_mode]\nI was told [Personalized_mode].", 1.0),
        ("no tag in front, [General_mode]\n[Personalized_mode]\n", 1.0),
        ("no tag in front, [General_mode]", 0.0),
    ],
)
def test_two_tags_in_one_answer_are_seen_wherever_they_stand(response, both):
    rows = answers(0, "a", "none", "general", ("general", 1.0), {m: (1, 0.5) for m in MODES})
    rows[0]["response"] = response
    assert measures.item_values(table(rows), MODES)["both_tags"][0] == both


def test_tags_that_the_answers_do_not_show_are_not_guessed():
    rows = answers(0, "a", "none", "general", ("general", 1.0), {"general": (1, 0.5)})
    assert measures.tags_of(table(rows), MODES) == []
    assert math.isnan(measures.item_values(table(rows), MODES)["both_tags"][0])


def test_derived_conditions_are_in_no_group():
    forced = {m: (1.0, 0.5) for m in MODES}
    rows = [answers(0, "a", "none", "general", ("general", 1.0), forced)]
    rows += [answers(9, "a", name, "general", ("general", 0.0), forced) for name in ("shuffled",)]
    rows += [answers(10, "a", "orders_personalized", "general", ("general", 0.0), forced, base_item=0)]
    summary = summarise(grid_of(table(*rows)), MODES)
    assert lookup(summary, condition=ALL, measure="acc_free").n == 1
    assert lookup(summary, condition=FACTUAL, measure="acc_free").value == 1.0
    assert lookup(summary, condition="shuffled", measure="acc_free").value == 0.0
    assert conditions_of(summary) == ["none", "shuffled", "orders_personalized"]


def test_values_per_source_fall_back_on_the_data_source_and_need_two():
    forced = {mode: (1.0, 0.5) for mode in MODES}
    one = answers(0, "a", "none", "general", ("general", 1.0), forced, source="facts", data_source="x")
    other = answers(1, "b", "none", "general", ("general", 0.0), forced, data_source="mmlu")
    rows = table(one, other, answers(2, "c", "unaligned", "general", ("general", 1.0), forced, data_source="mmlu"))
    found = by_source(grid_of(rows), MODES)
    assert lookup(found, source="facts", condition=ALL, measure="acc_free").value == 1.0
    assert lookup(found, source="mmlu", condition=ALL, measure="acc_free").value == 0.5
    assert lookup(found, source="mmlu", condition="none", measure="acc_free").value == 0.0
    assert lookup(found, source="facts", condition="unaligned", measure="acc_free") is None
    assert not len(by_source(grid_of(rows[rows["item"] > 0]), MODES))


def test_spread_over_seeds_by_hand():
    rows = []
    for seed, right in enumerate((0, 1, 1)):
        rows += [answers(0, "a", "none", "general", ("general", right), {m: (1, 0.5) for m in MODES}, seed=seed)]
        rows += [answers(1, "b", "none", "general", ("general", 1.0), {m: (1, 0.5) for m in MODES}, seed=seed)]
    found = seed_spread(grid_of(table(*rows)), MODES)
    row = found[(found["measure"] == "acc_free") & (found["condition"] == ALL)].iloc[0]
    assert (row["seeds"], row["min"], row["max"]) == (3, 0.5, 1.0)
    assert row["mean"] == pytest.approx(5 / 6) and row["sd"] == pytest.approx(math.sqrt(1 / 12))
    assert not len(seed_spread(grid_of(HAND), MODES))


def test_summary_counts_items_once_however_many_seeds():
    rows = [row for seed in range(3) for row in planted("m", right_choice, questions=10, seed=seed)]
    estimate = hand("acc_free", ALL, pd.DataFrame(rows))
    assert (estimate.n, estimate.clusters, estimate.seeds) == (50, 10, 3)


def test_mode_names_keep_their_order_and_know_the_right_mode():
    rows = HAND.assign(asked_mode=HAND["asked_mode"].replace("general", "terse"), mode="terse")
    assert mode_names(HAND.iloc[::-1]) == MODES
    with pytest.raises(ValueError, match=r"right_mode \['general'\] is none of the modes"):
        mode_names(rows)
