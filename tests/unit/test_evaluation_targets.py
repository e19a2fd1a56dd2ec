"""Which models are asked, by which label and seed, into which file."""

from pathlib import Path

import pytest

from personadual.evaluation.targets import Target, read_targets


def targets(*models, seeds=(0,), out="gens", served=False):
    found = read_targets(models, seeds, Path(out), served)
    return [(target.label, target.model, target.seed, str(target.out)) for target in found]


def test_labels_are_given_or_the_last_part_of_the_path():
    assert targets("models/sft", "rl=runs/x/huggingface/") == [
        ("sft", "models/sft", 0, "gens/sft.jsonl"),
        ("rl", "runs/x/huggingface/", 0, "gens/rl.jsonl"),
    ]
    assert targets("org/name:8b", "b=other", served=True) == [
        ("name:8b", "org/name:8b", 0, "gens/name:8b.jsonl"),
        ("b", "other", 0, "gens/b.jsonl"),
    ]


def test_an_equals_sign_in_a_path_is_no_label(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=3").mkdir()
    assert targets("runs/lr=1e-5/sft")[0][:2] == ("sft", "runs/lr=1e-5/sft")
    assert targets("lr=3")[0][:2] == ("lr=3", "lr=3")


def test_a_single_model_may_have_a_file():
    assert targets("a/sft", out="x/y.jsonl") == [("sft", "a/sft", 0, "x/y.jsonl")]


def test_runs_of_one_label_are_told_apart_by_their_seeds():
    assert targets("sft=a", "sft=b", "c", seeds=(1, 2, 1)) == [
        ("sft", "a", 1, "gens/sft_seed1.jsonl"),
        ("sft", "b", 2, "gens/sft_seed2.jsonl"),
        ("c", "c", 1, "gens/c.jsonl"),
    ]
    assert [seed for _, _, seed, _ in targets("a", "b", seeds=(5,))] == [5, 5]


@pytest.mark.parametrize(
    "models, options, message",
    [
        (("a/m", "b/m"), {}, "two models are called 'm' with seed 0"),
        (("a", "b", "c"), {"seeds": (1, 2)}, "--seed: one for all, or one for each of the 3 models, found 2"),
        (("a", "b"), {"out": "x.jsonl"}, "is a file, and 2 models need a folder"),
        (("x=",), {}, "a model is missing behind the ="),
        ((".=a",), {}, r"the label '\.' can't name a file"),
        (("=a",), {}, "the label '' can't name a file"),
        (("..",), {"served": True}, "can't name a file"),
        (("x=a", "x=b", "x_seed1=c"), {"seeds": (1, 2, 3)}, "two models would write to it"),
    ],
)
def test_what_is_ambiguous_is_refused(models, options, message):
    with pytest.raises(ValueError, match=message):
        targets(*models, **options)


def test_targets_are_what_they_say():
    assert read_targets(["a"], [3], Path("o"))[0] == Target("a", "a", 3, Path("o/a.jsonl"))
