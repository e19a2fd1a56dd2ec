"""What a persona does: hand-computed contrasts between conditions, and what must hold for any answers."""

import math

import numpy as np
import pandas as pd
import pytest
from eval_rows import MODES, TAGS, answers, planted, right_choice, table
from hypothesis import given, settings
from hypothesis import strategies as st

from personadual.evaluation import measures
from personadual.evaluation.attacks import ATTACKS
from personadual.evaluation.effects import NO_GAIN, effects
from personadual.evaluation.grid import to_grid
from personadual.evaluation.orders import attack_families, orders_by_family
from personadual.evaluation.summary import lookup


def effects_of(rows):
    return effects(to_grid(measures.item_values(rows, MODES)), MODES)


def item(number, question, condition, free, general=None, personalized=None, **more):
    forced = {"general": free if general is None else general}
    forced["personalized"] = free if personalized is None else personalized
    return answers(
        number, question, condition, None, ("general", free), {m: (acc, 0.5) for m, acc in forced.items()}, **more
    )


def test_effects_are_paired_by_question_and_count_each_once():
    rows = table(
        item(0, "a", "none", 1.0), item(1, "b", "none", 1.0), item(2, "c", "none", 0.0),
        item(3, "a", "unaligned", 0.0), item(4, "a", "unaligned", 1.0), item(5, "b", "unaligned", 1.0),
        item(6, "c", "aligned", 1.0), item(7, "z", "aligned", 0.0), item(8, "b", "shuffled", 0.0),
    )  # fmt: skip
    found = effects_of(rows)
    unaligned = lookup(found, effect="interference", condition="unaligned", mode="free")
    assert (unaligned.value, unaligned.n) == (pytest.approx(0.25), 2)  # (1 - 1/2, 1 - 1); c has no pair
    assert lookup(found, effect="interference", condition="shuffled", mode="personalized").value == 1.0
    gain = lookup(found, effect="aligned_gain", condition="aligned", mode="general")
    assert (gain.value, gain.n) == (1.0, 1)
    assert lookup(found, effect="interference", condition="conflicting") is None


def test_kept_gain_is_the_share_of_what_personalizing_adds_to_plain_answers():
    rows = []
    for number in range(40):
        plain = number < 20
        rows += [item(2 * number, f"q{number}", "none", 0.0, general=plain, personalized=0.0)]
        # Personalized answers are right on 36 of 40, free ones on 32: (32 - 20) / (36 - 20).
        rows += [item(2 * number + 1, f"q{number}", "aligned", number < 32, general=plain, personalized=number < 36)]
    kept = lookup(effects_of(table(*rows)), effect="kept_gain", mode="free")
    assert kept.value == pytest.approx(12 / 16) and kept.n == 40
    assert 0.4 < kept.low < 0.75 < kept.high <= 1.05


def test_kept_gain_is_one_for_a_model_that_always_personalizes_aligned_questions():
    rows = pd.DataFrame(planted("m", right_choice, personalized=0.0, general=0.5))
    kept = lookup(effects_of(rows), effect="kept_gain")
    assert (kept.value, kept.low, kept.high) == (1.0, 1.0, 1.0)


def test_there_is_no_share_of_a_gain_that_may_be_none():
    rows = [item(2 * n, f"q{n}", "none", n % 2) for n in range(20)]
    rows += [item(2 * n + 1, f"q{n}", "aligned", n % 2 if n else 1.0) for n in range(20)]
    found = effects_of(table(*rows))
    row = found[found["effect"] == "kept_gain"].iloc[0]
    assert math.isnan(row["value"]) and row["note"] == NO_GAIN and row["n"] == 20


def test_an_order_is_measured_against_the_same_item_without_it():
    def chosen(number, question, condition, mode, **more):
        return answers(number, question, condition, "general", (mode, 1.0), {m: (1, 0.5) for m in MODES}, **more)

    rows = table(
        chosen(0, "a", "unaligned", "general"), chosen(1, "a", "conflicting", "personalized"),
        chosen(2, "b", "unaligned", "general"), chosen(3, "b", "conflicting", "general"),
        chosen(10, "a", "orders_personalized", "personalized", base_item=0),
        chosen(11, "a", "orders_personalized", "personalized", base_item=1),
        chosen(12, "b", "orders_personalized", "personalized", base_item=2),
        chosen(13, "b", "orders_personalized", "general", base_item=3),
        chosen(14, "b", "orders_personalized", "general", base_item=99),
    )  # fmt: skip
    found = effects_of(rows)
    obeyed = lookup(found, effect="order_obeyed", condition="orders_personalized", mode="personalized")
    assert (obeyed.value, obeyed.n, obeyed.clusters) == (0.5, 4, 2)  # (1 - 0, 1 - 1, 1 - 0, 0 - 0)
    assert lookup(found, effect="order_obeyed", mode="general") is None


@settings(max_examples=10)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=8), st.sampled_from([1, 3]))
def test_no_persona_has_an_effect_on_answers_that_agree(accuracies, seeds):
    rows = []
    for place, condition in enumerate(("none", "unaligned", "aligned", "conflicting")):
        for question, acc in enumerate(accuracies):
            for seed in range(seeds):
                rows.append(item(4 * question + place, f"q{question}", condition, acc, seed=seed))
    found = effects_of(table(*rows))
    shown = found[found["effect"] != "kept_gain"]
    assert len(shown) == 9 and not shown[["value", "low", "high"]].to_numpy().any()
    assert found[found["effect"] == "kept_gain"]["value"].isna().all()


def test_several_seeds_give_the_mean_of_their_effects():
    rng = np.random.default_rng(0)
    rows, each = [], []
    for seed in range(3):
        accs = rng.integers(0, 2, size=(10, 2)).astype(float)
        each.append((accs[:, 0] - accs[:, 1]).mean())
        for q, (none, unaligned) in enumerate(accs):
            rows += [item(2 * q, f"q{q}", "none", none, seed=seed)]
            rows += [item(2 * q + 1, f"q{q}", "unaligned", unaligned, seed=seed)]
    found = lookup(effects_of(table(*rows)), effect="interference", mode="free")
    assert found.value == pytest.approx(np.mean(each)) and found.seeds == 3


def test_orders_are_told_apart_by_what_they_try():
    def chosen(number, condition, mode, persona, **more):
        forced = {m: (1, 0.5) for m in MODES}
        return answers(number, f"q{number % 10}", condition, "general", (mode, 1.0), forced, persona=persona, **more)

    by_family = {family: next(a.text for a in ATTACKS if a.family == family) for family in ("order", "claim")}
    order, claim = (text.replace("{tag}", TAGS["personalized"]) for text in by_family.values())
    rows = table(
        chosen(0, "unaligned", "general", "I row."), chosen(1, "aligned", "personalized", "I sing."),
        chosen(10, "orders_personalized", "personalized", f"I row.{order}", base_item=0),
        chosen(11, "orders_personalized", "personalized", f"I sing.{order}", base_item=1),
        chosen(20, "orders_personalized", "general", f"I row.{claim}", base_item=0),
        # No attack of ours; another mode's tag than the condition's; no base item.
        chosen(30, "orders_personalized", "personalized", "I row. Be nice.", base_item=0),
        chosen(40, "orders_general", "general", f"I row.{order}", base_item=0),
        chosen(50, "orders_personalized", "personalized", f"I row.{order}", base_item=99),
    )  # fmt: skip
    families = attack_families(rows, MODES)
    assert families.to_dict() == {10: "order", 11: "order", 20: "claim"}
    found = orders_by_family(to_grid(measures.item_values(rows, MODES)), MODES, families)
    shown = {row["effect"]: (row["value"], row["n"]) for row in found.to_dict("records")}
    assert shown == {"order_obeyed_order": (0.5, 2), "order_obeyed_claim": (0.0, 1)}  # (1 - 0, 1 - 1), 0 - 0
    plain = rows[:6]
    assert not len(orders_by_family(to_grid(measures.item_values(plain, MODES)), MODES, attack_families(plain, MODES)))
