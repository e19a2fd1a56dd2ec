"""The runs behind a report: which are one model, and what is told of runs that are not alike or lack answers."""

import json
import math

import pandas as pd
import pytest
from eval_rows import always_personalized, planted, right_choice, sampled, write_rows

from personadual.evaluation.report import read_report
from personadual.evaluation.runfile import meta_path
from personadual.evaluation.summary import lookup
from personadual.evaluation.text import foreign
from personadual.files import write_json


def seeds_of_one_label(tmp_path, fingerprints, label="m"):
    """Answers of a run of ``label`` for each fingerprint, seeds from 0 on; None: settings that have none."""
    paths = []
    for seed, fingerprint in enumerate(fingerprints):
        path = tmp_path / f"{label}_seed{seed}.jsonl"
        paths.append(write_rows(path, planted(label, right_choice, 12, seed, general=0.5 + seed / 10)))
        settings = {"label": label, "seed": seed} | ({"model_fingerprint": fingerprint} if fingerprint else {})
        write_json(meta_path(path), {"settings": settings, "sessions": []})
    return paths


def counted(report):
    return set(report.summary[report.summary["n"] > 0]["seeds"])


def test_one_model_under_several_seeds_is_one_run(tmp_path):
    paths = seeds_of_one_label(tmp_path, "aaa")
    same, one = read_report(paths[::-1], "t"), read_report(paths[:1], "t")
    assert any("seeds 1, 2 of <code>m</code> are the model of seed 0 again" in sentence for sentence in same.limits)
    assert any("a single training seed of <code>m</code>" in sentence for sentence in same.limits)
    pd.testing.assert_frame_equal(same.summary, one.summary)
    assert counted(same) == {1} and not len(same.seeds) and [m["seed"] for m in same.models] == [0]
    assert [found["seeds"] for found in same.verdicts] == [1]
    for apart in ("abc", [None] * 3, ["a", "b", None]):
        report = read_report(seeds_of_one_label(tmp_path, apart), "t")
        assert counted(report) == {3} and not any("same weights" in s for s in report.limits)
    # Another label may be the same model: a baseline beside what is made of it.
    two = read_report([*seeds_of_one_label(tmp_path, "ab"), *seeds_of_one_label(tmp_path, "ab", "other")], "t")
    assert counted(two) == {2}


def test_models_are_compared_over_the_runs_that_are_left(tmp_path):
    paths = [*seeds_of_one_label(tmp_path, "aab", "sft"), *seeds_of_one_label(tmp_path, "xyz", "rl")]
    report = read_report(paths, "t")
    found = lookup(report.comparisons, condition="none", measure="acc_free")
    # Right on 6, 8 and 9 of 12 under seeds 0, 1 and 2: of sft's the first and the last count.
    assert found.value == pytest.approx((6 + 8 + 9) / 36 - (6 + 9) / 24) and found.seeds == 2
    assert set(report.comparisons["test"]) == {"bootstrap"}


def limits(tmp_path, *models, named="", **more):
    """Sentences of a report's limits that hold ``named``."""
    paths = [write_rows(tmp_path / f"{index}.jsonl", rows) for index, rows in enumerate(models)]
    return [sentence for sentence in read_report(paths, "t", **more).limits if named in sentence]


def runs(model, seeds, **more):
    return [row for seed in seeds for row in planted(model, right_choice, 12, seed, **more)]


def test_runs_that_lack_answers_are_named_with_how_many(tmp_path):
    base, rl = runs("base", [0]), runs("rl", [0, 1, 2])
    assert not limits(tmp_path, base, rl, named="Incomplete")  # whole, however many seeds there are
    # As many answers as base, but to other items; and one forced answer is gone.
    one = [row for row in rl if (row["seed"], row["item"]) != (2, 7)]
    one.remove(next(r for r in one if (r["seed"], r["item"], r["asked_mode"]) == (1, 3, "personalized")))
    (told,) = limits(tmp_path, [row for row in base if row["item"] != 5], one, named="Incomplete")
    assert "<code>base</code>, seed 0, lacks free ones to 1 item and forced ones to 1 item" in told
    assert "<code>rl</code>, seed 1, lacks forced ones to 1 item;" in told
    assert "<code>rl</code>, seed 2, lacks free ones to 1 item and forced ones to 1 item)" in told
    assert "seed 0, lacks" not in told.split("</code>", 1)[1].split("rl", 1)[1]
    free = [row for row in base if row["asked_mode"] == "free"]
    (told,) = limits(tmp_path, free, rl, named="Incomplete")
    assert "(<code>base</code>, seed 0, lacks forced ones to 60 items)" in told
    assert not limits(tmp_path, free, named="Incomplete")  # nobody was asked in a mode


def test_a_seed_that_has_not_got_so_far_is_no_seed_of_what_it_lacks(tmp_path):
    late = [row for row in runs("m", [0, 1, 2], conditions=("none", "personal")) if row["seed"] < 2]
    late += [row for row in runs("m", [2], conditions=("none", "personal")) if row["condition"] == "none"]
    report = read_report([write_rows(tmp_path / "m.jsonl", late)], "t")
    seeds = report.summary[report.summary["measure"] == "acc_free"].set_index("condition")["seeds"].to_dict()
    assert seeds == {"none": 3, "personal": 2, "factual": 3, "all": 3}
    (told,) = [sentence for sentence in report.limits if sentence.startswith("Seed 2 of <code>m</code> has no ")]
    assert "`acc_free`" in told and "under <code>personal</code>: " in told and "<code>none</code>" not in told


def test_a_comparison_that_a_run_prevents_is_told(tmp_path):
    old, new = runs("old", [0, 1, 2]), runs("new", [0, 1, 2])
    assert not limits(tmp_path, old, new, named="Not compared")
    personal = [row for row in new if row["seed"] < 2 or row["condition"] != "personal"]
    (told,) = limits(tmp_path, old, personal, named="Not compared")
    assert "<code>old</code> and <code>new</code> both have `selection_error` (<code>personal</code>); " in told
    assert "<code>none</code>" not in told and "<code>all</code>" not in told
    # Nothing at all in common: there is a second model all the same.
    half = [row for row in new if row["item"] % 2], [row for row in old if not row["item"] % 2]
    paths = [write_rows(tmp_path / f"{index}.jsonl", rows) for index, rows in enumerate(half)]
    report = read_report(paths, "t")
    assert not any("There is no second model" in sentence for sentence in report.shows)
    assert all("no item has answers of every run of two models" in sentence for sentence in report.shows)
    assert any("**Not compared**" in sentence for sentence in report.limits)


@pytest.mark.parametrize(
    ("name", "values", "shown"),
    [
        ("reward_kwargs", ({"profile": "authors"}, {}), '{"profile": "authors"}|{}'),
        ("reward_kwargs", ({"a": 1, "b": 2}, {"b": 2, "a": 1}), None),
        ("way", (None, "chat"), "chat|not recorded"),
        ("way", ("chat", "chat"), None),
    ],
)
def test_graders_and_ways_of_asking_that_differ_are_named(name, values, shown, tmp_path):
    for index, value in enumerate(values):
        settings = {"label": "ab"[index], "seed": 0} | ({} if value is None else {name: value})
        write_json(meta_path(tmp_path / f"{index}.jsonl"), {"settings": settings, "sessions": []})
    told = limits(tmp_path, runs("a", [0]), runs("b", [0]), named="not run alike")
    if shown is None:
        assert not told
    else:
        listed = ", ".join(map(foreign, shown.split("|")))
        assert told == [f"**The models were not run alike**: {name} is {listed}. Their differences mix both causes."]


def test_a_model_to_which_samples_are_still_being_added_is_named(tmp_path):
    a, b = runs("a", [0]), runs("b", [0])
    whole = a + sampled(a, 1) + sampled(a, 2)
    half = b + sampled([row for row in b if row["item"] < 30], 1) + sampled([row for row in b if row["item"] < 15], 2)
    (told,) = limits(tmp_path, whole, half, named="sampled alike")
    assert "<code>b</code>" in told and "0 to 2 sampled answers" in told and "none to 90 of 180" in told
    assert not limits(tmp_path, whole, named="sampled alike") and not limits(tmp_path, a, b, named="sampled alike")


def decided(rows, p=0.97):
    """The rows with a choice that is certain."""
    chances = {math.log(0.9): math.log(p), math.log(0.1): math.log(1 - p)}
    return [row | {"tag_logprob": chances.get(row["tag_logprob"])} for row in json.loads(json.dumps(rows))]


@pytest.mark.parametrize(
    ("conditions", "choose", "told"),
    [
        (("none", "unaligned"), right_choice, None),  # general is right in both
        (("aligned", "personal"), always_personalized, None),
        (("none", "aligned"), right_choice, None),
        (("none", "aligned"), always_personalized, "above 0.9"),
        (("none", "aligned"), lambda condition: "general", "below 0.1"),
        (("none", "unaligned", "conflicting", "aligned", "personal"), always_personalized, "above 0.9"),
    ],
)
def test_a_model_has_not_learnt_to_choose_only_where_there_is_something_to_choose(conditions, choose, told, tmp_path):
    models = [decided(planted(name, choose, 12, conditions=conditions)) for name in ("old", "new")]
    paths = [write_rows(tmp_path / f"{index}.jsonl", rows) for index, rows in enumerate(models)]
    found = [sentence for sentence in read_report(paths, "t").shows if "not learnt to choose" in sentence]
    assert bool(found) == (told is not None)
    assert all(f"of <code>new</code> is {told} in every condition with a right mode" in sentence for sentence in found)
