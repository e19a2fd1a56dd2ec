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
        ({"baseline": "x"}, "baseline 'x' is none of the models: m, n"),
        ({"margin": -0.1}, "margin must be at least 0 and below 1, in accuracy; found -0.1"),
        ({"compare": [("m", "x")]}, "--compare m x: 'x' is none of the models: m, n"),
        ({"correction": "x"}, "correction 'x' does not exist; it is one of holm, bh"),
    ],
)
def test_wrong_choices_are_refused(statistics, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        report_of(tmp_path, planted("m", right_choice, 2), planted("n", right_choice, 2), **statistics)


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


QUESTIONS = "abcd"
RIGHT_OF_THREE = ((1, 0, 0, 1), (1, 1, 0, 1), (1, 1, 1, 1))


def rows_of(model, seed, condition, right, modes=("general",) * 4):
    """An answer to each question, freely in these modes; forced into general mode never right."""
    forced = {"general": (0.0, 0.5), "personalized": (0.0, 0.5)}
    place = 4 * (condition != "none")
    return [
        row
        for number, answer in enumerate(zip(modes, right, strict=True))
        for row in answers(
            place + number, QUESTIONS[number], condition, "general", answer, forced, model=model, seed=seed
        )
    ]


@pytest.mark.parametrize(
    ("plain", "chosen", "loss", "cost"),
    [
        # One run of the baseline, right on a, b and d. The model's losses: (-1 -1 +1 -1) / 4, 0 and (-1 -1) / 4.
        # Of these personalized answers cost (1 + 1 - 1 + 1) / 4, nothing, and 1 / 4 (d was lost in general mode).
        (
            [(1, 1, 0, 1)],
            [
                ((0, 0, 1, 0), ("personalized",) * 4),
                ((1, 1, 0, 1), ("general",) * 4),
                ((0, 1, 0, 0), ("personalized", "general", "general", "general")),
            ],
            (-0.5 + 0 - 0.5) / 3,
            (0.5 + 0 + 0.25) / 3,
        ),
        # Three runs of the baseline: 0.5, 0.75 and 1. One of the model: 0.25, all of it personalized.
        (RIGHT_OF_THREE, [((0, 0, 1, 0), ("personalized",) * 4)], 0.25 - 0.75, 0.75 - 0.25),
        # As many runs of both, paired: 0 - 0.5, 1 - 0.75 and 1 - 1; only the first is personalized.
        (
            RIGHT_OF_THREE,
            [((0,) * 4, ("personalized",) * 4), ((1,) * 4, ("general",) * 4), ((1,) * 4, ("general",) * 4)],
            (-0.5 + 0.25 + 0) / 3,
            0.5 / 3,
        ),
    ],
)
def test_loss_and_cost_against_a_baseline_by_hand(plain, chosen, loss, cost):
    rows = [row for seed, right in enumerate(plain) for row in rows_of("plain", seed, "none", right)]
    for seed, (right, modes) in enumerate(chosen):
        rows += rows_of("m", seed, "none", (0,) * 4) + rows_of("m", seed, "unaligned", right, modes)
    grid = to_grid(measures.item_values(pd.DataFrame(rows), MODES))
    (found,) = [entry for entry in verdicts(grid, MODES, "plain") if entry["model"] == "m"]
    assert found["value"] == pytest.approx(loss) and found["low"] < loss < found["high"]
    assert (found["n"], found["clusters"], found["seeds"]) == (4, 4, min(len(plain), len(chosen)))
    assert found["baseline_accuracy"] == pytest.approx(np.mean(plain))
    told = lookup(over_personalization_cost(grid, MODES, "plain"), model="m", effect="over_personalization_cost")
    assert told.value == pytest.approx(cost) and told.n == 4


def test_only_items_that_the_model_has_answered_are_counted(tmp_path):
    """The other model answers two objective items of each question, this one the unaligned alone."""
    whole = planted("a", right_choice, 30, conditions=TESTED)
    some = [row for row in planted("b", right_choice, 30, conditions=TESTED) if row["condition"] != "conflicting"]
    found = verdict_of(tmp_path, whole, some)
    assert (found["a"]["n"], found["b"]["n"], found["b"]["clusters"]) == (60, 30, 30)
    assert "n = 30 items, 30 questions" in found["b"]["sentence"]


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
