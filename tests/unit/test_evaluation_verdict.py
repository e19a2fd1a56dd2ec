"""The falsification verdict: planted models through the whole report, and the rule by tables."""

import math

import numpy as np
import pandas as pd
import pytest
from eval_rows import MODES, RIGHT, always_personalized, answers, planted, right_choice, table, write_rows

from personadual.evaluation import measures
from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.grid import to_grid
from personadual.evaluation.options import Statistics
from personadual.evaluation.report import read_report
from personadual.evaluation.summary import lookup
from personadual.evaluation.verdict import (
    FALSIFIED,
    NOT_FALSIFIED,
    UNDECIDED,
    judge,
    over_personalization_cost,
    verdicts,
)

ENOUGH = 200  # questions; a margin of 0.02 takes about 150 to show even of a model that loses none
TESTED = ("none", "unaligned", "conflicting")


def report_of(tmp_path, *models, **statistics):
    paths = [write_rows(tmp_path / f"{index}.jsonl", rows) for index, rows in enumerate(models)]
    return read_report(paths, "t", statistics=Statistics(**statistics))


def verdict_of(tmp_path, *models, **statistics):
    return {found["model"]: found for found in report_of(tmp_path, *models, **statistics).verdicts}


def test_a_model_that_always_personalizes_is_falsified_and_one_that_chooses_right_is_not(tmp_path):
    bad, good = planted("bad", always_personalized, ENOUGH), planted("good", right_choice, ENOUGH)
    found = verdict_of(tmp_path, bad, good)
    assert found["bad"]["verdict"] == FALSIFIED and found["good"]["verdict"] == NOT_FALSIFIED
    assert found["bad"]["value"] == pytest.approx(-0.7) and found["good"]["value"] == 0
    assert found["bad"]["accuracy"] == pytest.approx(0.1) and found["bad"]["baseline_accuracy"] == pytest.approx(0.8)
    assert (found["bad"]["n"], found["bad"]["clusters"], found["bad"]["seeds"]) == (2 * ENOUGH, ENOUGH, 1)
    assert found["bad"]["baseline"] is None and found["bad"]["margin"] == 0.02
    sentence = found["bad"]["sentence"]
    assert "falsified" in sentence and "0.10" in sentence and "0.80" in sentence and "n = 400 items" in sentence
    assert "200 questions, 1 training seed" in sentence and "its own answers forced into" in sentence


@pytest.mark.parametrize("questions, bad, good", [(10, UNDECIDED, UNDECIDED), (30, FALSIFIED, UNDECIDED)])
def test_too_few_items_decide_nothing(questions, bad, good, tmp_path):
    """Thirty questions show a loss of 70 points, but not that one of 2 points is absent."""
    found = verdict_of(
        tmp_path, planted("bad", always_personalized, questions), planted("good", right_choice, questions)
    )
    assert (found["bad"]["verdict"], found["good"]["verdict"]) == (bad, good)
    assert ("20 questions are needed" in found["bad"]["sentence"]) == (questions < 20)


def test_without_the_conditions_there_is_no_verdict(tmp_path):
    found = verdict_of(tmp_path, planted("m", right_choice, ENOUGH, conditions=("none", "aligned", "personal")))["m"]
    assert found["verdict"] == UNDECIDED and (found["n"], found["clusters"]) == (0, 0) and math.isnan(found["value"])
    assert "No question stands both without a persona and with" in found["sentence"]


def test_a_named_baseline_shows_what_training_took_from_both_modes(tmp_path):
    plain = planted("plain", lambda condition: "general", ENOUGH, general=0.9, conditions=TESTED)
    worse = planted("worse", right_choice, ENOUGH, general=0.6, conditions=TESTED)
    assert verdict_of(tmp_path, plain, worse)["worse"]["verdict"] == NOT_FALSIFIED
    found = verdict_of(tmp_path, plain, worse, baseline="plain")
    assert found["worse"]["verdict"] == FALSIFIED and found["worse"]["value"] == pytest.approx(-0.3)
    assert "the free answers of <code>plain</code>" in found["worse"]["sentence"]
    assert found["plain"]["verdict"] == NOT_FALSIFIED
    wider = verdict_of(tmp_path, plain, worse, baseline="plain", margin=0.4)
    assert wider["worse"]["verdict"] == NOT_FALSIFIED


def test_a_baseline_that_knows_nothing_lets_nobody_pass(tmp_path):
    base = planted("base", right_choice, ENOUGH, general=0.0, personalized=0.0, conditions=TESTED)
    found = verdict_of(tmp_path, base, planted("good", right_choice, ENOUGH, conditions=TESTED), baseline="base")
    assert {entry["verdict"] for entry in found.values()} == {UNDECIDED}
    assert "the baseline has no accuracy to fall below" in found["good"]["sentence"]


def test_every_training_seed_counts(tmp_path):
    good = [row for seed in range(3) for row in planted("m", right_choice, ENOUGH, seed, conditions=TESTED)]
    mixed = [row for seed in range(2) for row in planted("m", right_choice, ENOUGH, seed, conditions=TESTED)]
    mixed += planted("m", always_personalized, ENOUGH, 2, conditions=TESTED)
    assert verdict_of(tmp_path, good)["m"]["verdict"] == NOT_FALSIFIED
    found = verdict_of(tmp_path, mixed)["m"]
    assert found["verdict"] == UNDECIDED and found["value"] == pytest.approx(-0.7 / 3) and found["seeds"] == 3
    assert "3 training seeds" in found["sentence"]


@pytest.mark.parametrize(
    "low, high, questions, plain, named",
    [
        (-0.3, -0.1, 50, 0.8, FALSIFIED),
        (-0.3, -0.02, 50, 0.8, UNDECIDED),  # the interval must leave the margin out
        (-0.3, 0.0, 50, 0.8, UNDECIDED),
        (-0.02, 0.1, 50, 0.8, UNDECIDED),
        (-0.01, 0.1, 50, 0.8, NOT_FALSIFIED),
        (0.1, 0.2, 50, 0.8, NOT_FALSIFIED),
        (-0.3, -0.1, 19, 0.8, UNDECIDED),
        (0.1, 0.2, 19, 0.8, UNDECIDED),
        (0.0, 0.1, 50, 0.02, UNDECIDED),
        (np.nan, np.nan, 50, 0.8, UNDECIDED),
    ],
)
def test_the_rule(low, high, questions, plain, named):
    assert judge(Estimate(0.0, low, high, questions, questions), 0.02, plain) == named


@pytest.mark.parametrize(
    "statistics, message",
    [
        ({"baseline": "x"}, "baseline 'x' is none of the models: m"),
        ({"margin": -0.1}, "margin must be at least 0 and below 1, in accuracy; found -0.1"),
        ({"compare": [("m", "x")]}, "--compare m x: 'x' is none of the models: m"),
        ({"correction": "x"}, None),
    ],
)
def test_wrong_choices_are_refused(statistics, message, tmp_path):
    if message is None:  # nothing is compared, so nothing is corrected
        report_of(tmp_path, planted("m", right_choice, 2), **statistics)
        return
    with pytest.raises(ValueError, match=message):
        report_of(tmp_path, planted("m", right_choice, 2), **statistics)


def test_cost_of_over_personalizing_by_hand():
    def item(number, question, condition, mode, acc, plain):
        forced = {"general": (plain, 0.5), "personalized": (0.0, 0.5)}
        return answers(number, question, condition, RIGHT[condition], (mode, acc), forced)

    rows = table(
        item(0, "a", "none", "general", 1, 1), item(1, "a", "unaligned", "personalized", 0, 0),
        item(2, "a", "conflicting", "general", 0, 0),
        item(3, "b", "none", "general", 1, 1), item(4, "b", "unaligned", "personalized", 1, 0),
        item(5, "c", "none", "general", 0, 0), item(6, "c", "unaligned", "personalized", 1, 0),
    )  # fmt: skip
    grid = to_grid(measures.item_values(rows, MODES))
    cost = lookup(over_personalization_cost(grid, MODES), effect="over_personalization_cost")
    # a: half of its answers are personalized, and plain is right: 1/2 * 1 - 0; b: 1 * 1 - 1; c: 1 * 0 - 1.
    assert (cost.value, cost.n) == (pytest.approx((0.5 + 0 - 1) / 3), 3)


def test_all_of_the_loss_of_an_always_personalized_model_is_its_cost(tmp_path):
    report = report_of(tmp_path, planted("bad", always_personalized, 40))
    cost = lookup(report.effects, effect="over_personalization_cost", model="bad")
    assert cost.value == pytest.approx(-report.verdicts[0]["value"])
    assert lookup(report.summary, condition="all", measure="over_personalized").value == 1.0


def test_verdicts_do_not_depend_on_the_order_of_the_rows():
    rows = pd.DataFrame(planted("bad", always_personalized, 30) + planted("good", right_choice, 30))
    turned = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
    one, other = ({v["model"]: v for v in verdicts(to_grid(measures.item_values(r, MODES)), MODES)}
                  for r in (rows, turned))  # fmt: skip
    for model in one:
        assert one[model]["verdict"] == other[model]["verdict"]
        assert one[model]["value"] == pytest.approx(other[model]["value"])
