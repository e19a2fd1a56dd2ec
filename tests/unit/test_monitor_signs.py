"""Failure signs of a run: when each shows, and what it names."""

import pandas as pd
import pytest
from monitor_logs import metrics, plot, write

from personadual.monitor.series import curves_of
from personadual.monitor.signs import judge
from personadual.monitor.thresholds import COLLAPSE_BELOW, GAP_BELOW


def signs_of(steps, **options):
    log = pd.DataFrame.from_dict(steps, orient="index")
    return {sign.name: sign for sign in judge(log, curves_of(log), **options)}


FORMAT_ONLY = ((0.1, 0.1), (0.1, 0.05))


@pytest.mark.parametrize(
    "steps, expected",
    [
        ({s: metrics(p=(0.5 + s / 50, 0.5 - s / 50)) for s in range(1, 21)}, set()),
        ({s: metrics(p=(0.99, 0.97)) for s in range(1, 9)}, {"collapse"}),
        # One source decided is what training is for.
        ({s: metrics(p=(0.99, 0.5)) for s in range(1, 9)}, set()),
        # Early values are not judged ...
        ({s: metrics(p=(0.99, 0.97) if s < 10 else (0.8, 0.2)) for s in range(1, 21)}, set()),
        ({s: metrics(invalid=1.0) for s in (1, 2)}, {"no mode learnt in SFT", "invalid tags"}),
        # ... except whether SFT had taught the tags.
        ({1: metrics(invalid=0.98), **{s: metrics() for s in range(2, 21)}}, {"no mode learnt in SFT"}),
        ({s: metrics(invalid=0.03) for s in range(1, 9)}, {"invalid tags"}),
        ({s: metrics(invalid=0.01) for s in range(1, 9)}, set()),
        ({s: metrics(reward=FORMAT_ONLY) for s in range(1, 9)}, {"reward 0"}),
        ({s: metrics(reward=((1.0, 0.2), (0.1, 0.1))) for s in range(1, 9)}, {"reward 0"}),
        ({s: metrics(reward=FORMAT_ONLY if s != 2 else ((0.3, 0), (0, 0.3))) for s in range(1, 9)}, set()),
        ({s: metrics(gap=GAP_BELOW / 2) for s in range(1, 9)}, {"no contrast"}),
        ({s: metrics(lengths=(40, s / 20, 0.0)) for s in range(1, 9)}, {"lengths drift"}),
        # verl's clip_ratio is the share of the batch's longest: here they differ from step to step ...
        ({s: metrics(lengths=(50 - s, 1.0, 0.0)) for s in range(1, 9)}, set()),
        # ... and here all are as long, but each has an answer block.
        ({s: metrics(lengths=(40, 1.0, 0.1)) for s in range(1, 9)}, set()),
        # All are as long, some have no reward: not more than one in a hundred, or the mean could not be as high.
        ({s: metrics(lengths=(40, 1.0, 0.0, 0.99)) for s in range(1, 9)}, set()),
        ({s: metrics(lengths=(40, 1.0, 0.0, 0.5)) for s in range(1, 9)}, {"lengths drift"}),
    ],
)
def test_signs(steps, expected):
    assert {name for name, sign in signs_of(steps).items() if sign.shows} == expected


def test_a_sign_names_the_metric_and_the_value():
    signs = signs_of({s: metrics(p=(0.99, 0.97), reward=((1.0, 0.2), (0.1, 0.1))) for s in range(1, 9)})
    collapse = signs["collapse"]
    assert collapse.metric == "dual_grpo/quickstart_personal/prob_personalized/mean"
    assert collapse.value == "personalized has 0.03 in personal, its highest" and "kl_loss_coef" in collapse.look_next
    assert "in personal" in signs["reward 0"].value and "none" not in signs["reward 0"].value


def with_accuracy(free, forced, **given):
    accuracies = {f"{source}/acc_free/mean": free for source in ("none", "personal")}
    accuracies |= {f"{source}/acc_forced_general/mean": forced for source in ("none", "personal")}
    return metrics(**given) | {f"val-dual/quickstart_{name}": value for name, value in accuracies.items()}


def test_a_format_of_another_weight_is_named_or_seen_by_the_accuracy():
    """Rewards of 0.3 are nothing but form where form is worth 0.3."""
    form = ((0.3, 0.2), (0.3, 0.3))
    steps = {s: metrics(reward=form) for s in range(1, 9)}
    assert not signs_of(steps)["reward 0"].shows
    named = signs_of(steps, format_weight=0.3)["reward 0"]
    assert named.shows and "the format alone gives 0.30" in named.value
    seen = signs_of({s: with_accuracy(0.0, 0.0, reward=form) for s in range(1, 9)})["reward 0"]
    assert seen.shows and "no answer of any validation was right" in seen.value
    # One right answer in either kind of row is enough, at any step.
    assert not signs_of({s: with_accuracy(0.0, float(s == 3), reward=form) for s in range(1, 9)})["reward 0"].shows
    # Right in validation, and never in training: as before, the rewards say it.
    assert signs_of({s: with_accuracy(1.0, 1.0, reward=FORMAT_ONLY) for s in range(1, 9)})["reward 0"].shows


def test_the_formats_weight_is_an_option_of_the_command(tmp_path, capsys):
    path = write(tmp_path / "run.jsonl", {s: metrics(reward=((0.3, 0.2), (0.3, 0.3))) for s in range(1, 9)})
    for options, shows in (([], "no"), (["--format-weight", "0.3"], "YES")):
        assert plot(path, "--out", tmp_path / "o", *options) == 0
        line = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("reward 0 "))
        assert line.split()[2] == shows


def test_what_was_not_logged_is_not_judged():
    signs = signs_of({1: {"actor/kl_loss": 0.1}})
    assert {sign.shows for sign in signs.values()} == {None}


SCORE, LENGTH = {"critic/score/mean": 0.5, "critic/score/max": 1.0}, {"response_length/max": 40.0}


@pytest.mark.parametrize(
    "half",
    [SCORE, {**SCORE, "critic/score/min": 0.0, **LENGTH}, {**LENGTH, "response_length/clip_ratio": 0.0}],
    ids=["scores", "scores and a length", "lengths"],
)
def test_lengths_are_judged_on_steps_that_were_logged_whole(half):
    """A killed run ends inside a step, and a score that is no number is left out: neither says that answers end."""
    whole = {s: metrics(lengths=(40, 0.5, 0.0, 0.5)) for s in range(1, 9)}
    sign, cut = (signs_of(steps)["lengths drift"] for steps in (whole, {**whole, 9: half, 10: half}))
    assert sign.shows and cut.shows and cut.value.startswith("0.50 of the responses look cut off, at 40 tokens")
    assert signs_of({1: SCORE, 2: {**LENGTH, "response_length/clip_ratio": 1.0}})["lengths drift"].shows is None


def test_without_validation_the_tags_probability_tells():
    def training_only(**given):
        return {k: v for k, v in metrics(**given).items() if not k.startswith("val-dual/")}

    taught = signs_of({s: training_only(invalid=0.03) for s in (1, 2)})
    assert taught["no mode learnt in SFT"].shows is False and taught["invalid tags"].shows is False
    leaking = signs_of({s: training_only(invalid=0.3) for s in (1, 2)})
    assert leaking["invalid tags"].shows and "0.30" in leaking["invalid tags"].value
    assert signs_of({1: training_only(invalid=0.95)})["no mode learnt in SFT"].shows


def test_validation_alone_shows_a_collapse():
    data = {k: v for k, v in metrics(p=(1.0, 1 - COLLAPSE_BELOW / 2)).items() if k.startswith("val-dual/")}
    assert signs_of({0: data})["collapse"].shows
