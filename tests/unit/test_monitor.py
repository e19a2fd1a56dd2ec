"""``personadual plot``: logs as verl writes them, attempts joined, the curves that a metric's name means, the signs."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from monitor_logs import metrics, plot, write

from personadual import schema
from personadual.monitor.logs import is_file_log, read_events, read_lines
from personadual.monitor.runs import read_run
from personadual.monitor.series import Curve, curve_of, curves_of, mode_names, pick

ROOT = Path(__file__).parents[2]
HOSTILE = "a $\\frac\x1b[31m _b"


# Reading


def test_both_loggers_of_verl_are_read(tmp_path, monkeypatch):
    from verl.utils.tracking import Tracking

    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(tmp_path / "lines" / "1700000000.jsonl"))
    monkeypatch.setenv("TENSORBOARD_DIR", str(tmp_path / "events"))
    (tmp_path / "lines").mkdir()
    tracking = Tracking("p", "e", default_backend=["file", "tensorboard"])
    logged = {0: {"val-dual/my/set/share_invalid/mean": 0.25}, 1: metrics(), 2: metrics(p=(0.9, 0.1))}
    for step, data in logged.items():
        tracking.log(data, step)
    tracking.finish()
    lines, events = (read_run(tmp_path / kind, kind).log for kind in ("lines", "events"))
    assert lines.index.tolist() == [0, 1, 2]
    assert lines.loc[2].dropna().to_dict() == logged[2]
    pd.testing.assert_frame_equal(lines, events, check_like=True, rtol=1e-6)
    # Both at once are one run.
    both = read_run(tmp_path, "both")
    pd.testing.assert_frame_equal(both.log, lines, check_like=True, check_exact=True)
    assert both.notes == []


def event_file(folder, steps):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, data in steps.items():
        values = [Summary.Value(tag=name, simple_value=value) for name, value in data.items()]
        writer.add_event(Event(step=step, summary=Summary(value=values)))
    writer.close()
    return sorted(folder.glob("*tfevents*"), key=lambda path: path.stat().st_mtime_ns)[-1]


def test_event_file_of_a_killed_run_is_read_up_to_the_cut(tmp_path):
    path = event_file(tmp_path, {s: {"critic/score/mean": s / 8} for s in range(1, 5)})
    path.write_bytes(path.read_bytes()[:-7])
    assert read_events(path).steps == {s: {"critic/score/mean": s / 8} for s in range(1, 4)}
    path.write_bytes(b"no event file" * 10)
    with pytest.raises(ValueError, match="with scalars is needed"):
        read_events(path)


def test_a_run_that_was_killed_inside_a_step_is_drawn_and_judged(tmp_path, capsys):
    """verl logs a step's metrics one by one, the scores before the lengths."""
    begun = {"critic/score/mean": 0.5, "critic/score/max": 1.0, "critic/score/min": 0.0}
    event_file(tmp_path / "run", {1: metrics(lengths=(40, 0.1, 0.0, 0.5)), 2: begun})
    assert plot(tmp_path / "run", "--out", tmp_path / "o") == 0
    assert "run: steps 1 to 2" in capsys.readouterr().out


def test_missing_tensorboard_is_named(tmp_path, monkeypatch, capsys):
    event_file(tmp_path / "run", {1: metrics()})
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_accumulator", None)
    assert plot(tmp_path / "run", "--out", tmp_path / "o") == 2
    assert "tensorboard is missing: pip install tensorboard" in capsys.readouterr().err
    # The file logger's numbers do without it.
    write(tmp_path / "run" / "1.jsonl", {1: metrics()})
    assert "pip install tensorboard" in read_run(tmp_path / "run", "r").notes[0]


def test_values_that_are_no_finite_numbers_are_left_out(tmp_path):
    path = tmp_path / "l.jsonl"
    path.write_text(
        '{"step": 1, "data": {"a": NaN, "b": null, "c": "x", "d": true, "e": Infinity, "f": 1, "g": 1e999}}\n'
    )
    assert read_lines(path).steps == {1: {"f": 1.0}}
    path.write_text('{"step": 1, "data": {"a": ' + "9" * 400 + "}}\n")
    assert read_lines(path).steps == {1: {}}


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"step": 1}', '{"step": "1", "data": {}}', '{"step": 1.5, "data": {}}', '{"step": 1, "data": []}', "",
     '{"step": true, "data": {}}', '{"step": 1e999, "data": {}}', "[" * 100_000],
)  # fmt: skip
def test_a_malformed_line_is_named(line, tmp_path, capsys):
    path = write(tmp_path / "run.jsonl", {1: metrics()})
    path.write_text(f"{path.read_text()}{line}\n{path.read_text()}")
    assert plot(path, "--out", tmp_path / "o") == 2
    assert f"{path}:2: " in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_cut_off_last_line_is_left_out_and_told(tmp_path, capsys):
    path = write(tmp_path / "run" / "1.jsonl", {1: metrics(), 2: metrics()})
    path.write_bytes(path.read_bytes()[:-30])
    assert plot(tmp_path / "run", "--out", tmp_path / "o") == 0
    printed = capsys.readouterr().out
    assert "steps 1 to 1" in printed and "1.jsonl: the last line is cut off and left out" in printed


# Attempts and folders


def test_attempts_are_joined_and_the_later_one_wins(tmp_path):
    value = "dual_grpo/mode_gap/mean"
    write(tmp_path / "m" / "1000.jsonl", {s: {value: 1.0} for s in range(1, 10)})
    # Resumed from the checkpoint of step 5, which it validates before it trains; killed at step 7.
    write(tmp_path / "m" / "999999.jsonl", {5: {"val-dual/d/acc_free/mean": 0.5}, 6: {value: 2.0}, 7: {value: 2.0}})
    run = read_run(tmp_path, "r")
    assert run.log[value].to_dict() == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 2}
    assert run.log.loc[5, "val-dual/d/acc_free/mean"] == 0.5
    assert run.notes == ["2 attempts joined by step: 1000.jsonl (1 to 9), 999999.jsonl (5 to 7)"]


@pytest.mark.parametrize("name", ["{}.jsonl", "events.out.tfevents.{}.host.7.0"])
def test_an_attempt_that_was_given_up_is_not_joined_behind_the_live_one(name, tmp_path):
    """Resumed at 40, collapsed; then resumed at 20, and still running: not at 60, where the dead one ends."""
    value = "critic/score/mean"
    attempts = {1000: range(1, 51), 1001: range(41, 61), 1002: range(21, 31)}
    for time, steps in attempts.items():
        logged = {s: {value: float(time)} for s in steps}
        if name.endswith(".jsonl"):
            write(tmp_path / name.format(time), logged)
        else:
            event_file(tmp_path / "made" / str(time), logged).rename(tmp_path / name.format(time))
    found = read_run(tmp_path, "r").log[value].to_dict()
    assert found == {s: 1000.0 if s <= 20 else 1002.0 for s in range(1, 31)}


def test_attempts_without_a_time_in_their_names_are_joined_by_their_first_steps(tmp_path):
    value = "critic/score/mean"
    for name, steps in {"later": range(4, 8), "sooner": range(1, 6), "9": range(6, 10)}.items():
        write(tmp_path / f"{name}.jsonl", {s: {value: float(steps.start)} for s in steps})
    assert read_run(tmp_path, "r").log[value].to_dict() == {s: 1.0 for s in (1, 2, 3)} | {4: 4.0, 5: 4.0} | {
        s: 6.0 for s in range(6, 10)
    }


def test_an_attempt_that_began_anew_replaces_the_one_before(tmp_path):
    write(tmp_path / "999.jsonl", {1: {"critic/score/mean": 1.0}, 2: {"critic/score/mean": 1.0}})
    write(tmp_path / "1000.jsonl", {1: {"critic/score/mean": 2.0}})
    assert read_run(tmp_path, "r").log["critic/score/mean"].to_dict() == {1: 2.0}


def test_event_files_of_one_folder_are_attempts(tmp_path):
    event_file(tmp_path, {s: {"critic/score/mean": 1.0} for s in (1, 2, 3)})
    event_file(tmp_path, {s: {"critic/score/mean": 2.0} for s in (3, 4)})
    assert read_run(tmp_path, "r").log["critic/score/mean"].to_dict() == {1: 1, 2: 1, 3: 2, 4: 2}


def test_other_files_of_a_run_are_not_taken_for_its_log(tmp_path):
    log = write(tmp_path / "metrics" / "1.jsonl", {1: metrics()})
    write(tmp_path / "sft" / "sft.jsonl", {1: {"train/loss": 2.0}})
    dump = tmp_path / "rollouts" / "1.jsonl"
    dump.parent.mkdir()
    dump.write_text('{"input": "?", "output": "!", "step": 1, "score": 0.1}\n')
    (tmp_path / "rollouts" / "2.jsonl").write_text("")
    assert read_run(tmp_path, "r").files == [log]
    assert is_file_log(log) and not is_file_log(dump)


@pytest.mark.parametrize("files", [("a/1.jsonl", "b/1.jsonl"), ("seed1.jsonl", "seed2.jsonl")])
def test_several_runs_in_one_folder_are_not_mixed(files, tmp_path, capsys):
    for name in files:
        write(tmp_path / name, {1: metrics(), 2: metrics()})
    assert plot(tmp_path, "--out", tmp_path / "o") == 2
    assert "name" in capsys.readouterr().err
    assert plot(*(tmp_path / name for name in files), "--out", tmp_path / "o") == 0


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: None, "no such file or folder"),
        (lambda p: p.mkdir(), "no log of an RL run in it"),
        (lambda p: p.write_text(""), "no whole line yet"),
        (lambda p: write(p, {1: {"train/loss": 1.0}}), "no metric of DualGRPO"),
    ],
)
def test_unusable_input_is_2(make, message, tmp_path, capsys):
    make(tmp_path / "run")
    assert plot(tmp_path / "run", "--out", tmp_path / "o") == 2
    assert message in capsys.readouterr().err


# Curves


@pytest.mark.parametrize(
    "metric, expected",
    [
        ("dual_grpo/prob_general/mean", ("dual_grpo", "", "prob", "general")),
        ("dual_grpo/open/set_2/reward_a_b/mean", ("dual_grpo", "open/set_2", "reward", "a_b")),
        ("dual_grpo/quickstart_none/mode_gap/mean", ("dual_grpo", "quickstart_none", "mode_gap", "")),
        ("dual_grpo/d/share_invalid/mean", ("dual_grpo", "d", "share_invalid", "")),
        ("val-dual/d/share_general/mean", ("val-dual", "d", "share", "general")),
        # Training writes a word by which verl aggregates with a dot inside; validation does not.
        ("val-dual/summary/hybrid_accuracy/mean", ("val-dual", "s.ummary", "hybrid_accuracy", "")),
        ("dual_grpo/s.ummary/win_m.in/mean", ("dual_grpo", "s.ummary", "win", "m.in")),
        ("actor/kl_loss", ("dual_grpo", "", "kl", "")),
        ("response_length/max", ("dual_grpo", "", "longest", "")),
    ],
)
def test_a_metrics_name_says_what_it_is(metric, expected):
    assert curve_of(metric) == Curve(metric, *expected)


@pytest.mark.parametrize(
    "metric",
    ["dual_grpo", "dual_grpo/mean", "dual_grpo/d/prob_general/max", "dual_grpo/collapsed/mean", "perf/mfu"],
)
def test_other_metrics_are_not_drawn(metric):
    assert curve_of(metric) is None


def test_names_are_those_that_training_and_validation_write():
    """``personadual.metrics`` is what writes them."""
    import torch

    from personadual.advantage import dual_grpo_terms
    from personadual.estimator import RolloutRows
    from personadual.metrics import training_metrics, validation_metrics
    from personadual.modes import DEFAULT_MODES

    written = validation_metrics(["d"] * 3, [0] * 3, [-1, 0, 1], [0, 0, 1], [1.0, 1.0, 0.0], DEFAULT_MODES)
    curves = curves_of(pd.DataFrame([written]))
    assert len(curves) == len(written) == 8
    assert mode_names(curves) == list(DEFAULT_MODES.names)

    modes, rewards = torch.tensor([0, 1]), torch.tensor([1.0, 0.0])
    rows = RolloutRows(
        modes=modes,
        prefix_lengths=torch.tensor([2, 3]),
        usual_tokens=torch.tensor([True, True]),
        forced=torch.tensor([True, True]),
        padding=torch.tensor([False, False]),
        cached=torch.tensor([0.0, 0.0]),
        deciding_position=1,
        choice_probs=torch.tensor([0.6, 0.4]),
        step=1,
    )
    terms = dual_grpo_terms(rewards, modes, ["a", "a"])
    written = training_metrics(rows, terms, rewards, ["d", "d"], DEFAULT_MODES, 0.05)
    own = {(c.measure, c.mode) for c in curves_of(pd.DataFrame([written])) if (c.where, c.source) == ("dual_grpo", "d")}
    per_mode = {(measure, mode) for measure in ("prob", "reward", "win", "share") for mode in DEFAULT_MODES.names}
    assert own == per_mode | {("mode_gap", ""), ("share_invalid", "")}


def test_the_curve_over_all_rows_is_drawn_where_there_is_no_other():
    every, one = curve_of("dual_grpo/mode_gap/mean"), curve_of("dual_grpo/d/mode_gap/mean")
    assert pick([every, one], "dual_grpo", "mode_gap") == [one]
    assert pick([every], "dual_grpo", "mode_gap") == [every]


# The command


def test_figures_and_files_of_two_runs(tmp_path, capsys):
    write(tmp_path / "a" / "1.jsonl", {s: metrics(p=(0.5 + s / 50, 0.5 - s / 50)) for s in range(1, 21)})
    write(tmp_path / "b" / "1.jsonl", {s: metrics(p=(0.99, 0.99)) for s in range(1, 41)})
    out = tmp_path / "o"
    assert plot(tmp_path / "a", tmp_path / "b", "--label", f"flat={tmp_path / 'b'}", "--out", out, "--smooth", 5) == 0
    for name in ("choice", "reward", "health"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{name}.png").stat().st_size < 150_000
    found = json.loads((out / "plot.json").read_text())["runs"]
    assert [run["run"] for run in found] == ["a", "flat"]
    metric = "dual_grpo/quickstart_none/prob_general/mean"
    assert found[1]["series"][metric] == {"step": list(range(1, 41)), "value": [0.99] * 40}
    assert [sign["name"] for sign in found[1]["signs"] if sign["shows"]] == ["collapse"]
    table = pd.read_csv(out / "plot.csv", keep_default_na=False)
    # As logged: smoothing is for the eye.
    assert len(table[(table["run"] == "flat") & (table["metric"] == metric) & (table["value"] == 0.99)]) == 40
    assert set(table.columns) == {"run", "metric", "where", "source", "measure", "mode", "step", "value"}
    printed = capsys.readouterr().out
    assert "a: steps 1 to 20" in printed and "none of these signs shows" in printed
    assert "collapse: look at which mode wins" in printed
    assert sorted(path.name for path in out.iterdir()) == [
        "choice.png",
        "health.png",
        "plot.csv",
        "plot.json",
        "reward.png",
    ]


def test_a_figure_without_metrics_is_not_drawn(tmp_path):
    path = write(tmp_path / "1.jsonl", {1: {"actor/kl_loss": 0.1}})
    assert plot(path, "--out", tmp_path / "o") == 0
    assert {path.name for path in (tmp_path / "o").glob("*.png")} == {"health.png"}


@pytest.mark.filterwarnings("error")
def test_hostile_names_are_shown_as_they_are(tmp_path, capsys):
    write(tmp_path / "r" / "1.jsonl", {s: metrics(p=(0.99, 0.97), sources=(HOSTILE, "_")) for s in (1, 2)})
    assert plot("--label", f"{HOSTILE}={tmp_path / 'r'}", "--out", tmp_path / "o") == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "\\u001b" in printed


def test_runs_of_the_same_name_are_told_apart_or_refused(tmp_path, capsys):
    paths = [write(tmp_path / name / "1.jsonl", {1: metrics()}) for name in "ab"]
    assert plot(*paths, "--out", tmp_path / "o") == 0
    assert [r["run"] for r in json.loads((tmp_path / "o/plot.json").read_text())["runs"]] == list(map(str, paths))
    labels = [argument for path in paths for argument in ("--label", f"x={path}")]
    assert plot(*labels, "--out", tmp_path / "o") == 2
    assert "two runs are called 'x'" in capsys.readouterr().err
    assert plot("--out", tmp_path / "o") == 2


def test_the_guides_data_has_a_right_mode_in_each_batch(tmp_path):
    script = ROOT / "examples" / "monitoring" / "make_data.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, timeout=120)
    for name, without_profile in (("train", 8), ("train_one_sided", 15)):
        sources = pd.read_parquet(tmp_path / f"{name}.parquet")[schema.DATA_SOURCE]
        counts = {(batch == "quickstart_none").sum() for _, batch in sources.groupby(sources.index // 16)}
        assert counts == {without_profile}
