"""The runs behind a report: which are one model, and what is told of runs that are not alike or lack answers."""

import pandas as pd
import pytest
from eval_rows import planted, right_choice, write_rows

from personadual.evaluation.report import read_report
from personadual.evaluation.runfile import meta_path
from personadual.evaluation.summary import lookup
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


def test_one_model_under_several_seeds_is_one_run(tmp_path):
    paths = seeds_of_one_label(tmp_path, "aaa")
    same, one = read_report(paths[::-1], "t"), read_report(paths[:1], "t")
    assert any("seeds 1, 2 of <code>m</code> are the model of seed 0 again" in sentence for sentence in same.limits)
    assert any("a single training seed of <code>m</code>" in sentence for sentence in same.limits)
    pd.testing.assert_frame_equal(same.summary, one.summary)
    assert set(same.summary["seeds"]) == {1} and not len(same.seeds) and [m["seed"] for m in same.models] == [0]
    assert [found["seeds"] for found in same.verdicts] == [1]
    for apart in ("abc", [None] * 3, ["a", "b", None]):
        report = read_report(seeds_of_one_label(tmp_path, apart), "t")
        assert set(report.summary["seeds"]) == {3} and not any("same weights" in s for s in report.limits)
    # Another label may be the same model: a baseline beside what is made of it.
    two = read_report([*seeds_of_one_label(tmp_path, "ab"), *seeds_of_one_label(tmp_path, "ab", "other")], "t")
    assert set(two.summary["seeds"]) == {2}


def test_models_are_compared_over_the_runs_that_are_left(tmp_path):
    paths = [*seeds_of_one_label(tmp_path, "aab", "sft"), *seeds_of_one_label(tmp_path, "xyz", "rl")]
    report = read_report(paths, "t")
    found = lookup(report.comparisons, condition="none", measure="acc_free")
    # Right on 6, 8 and 9 of 12 under seeds 0, 1 and 2: of sft's the first and the last count.
    assert found.value == pytest.approx((6 + 8 + 9) / 36 - (6 + 9) / 24) and found.seeds == 2
    assert set(report.comparisons["test"]) == {"bootstrap"}
