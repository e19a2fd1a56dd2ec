"""The report: from files of generations to tables, figures and sentences, and hostile text on the way."""

import argparse
import gzip
import json
import math
import random
import re
import shutil

import pytest
from eval_rows import always_personalized, planted, right_choice

from personadual.evaluation.cli import add_report_arguments, run_report
from personadual.evaluation.curves import Panel, default_panels, matching, plot_training, read_training_log
from personadual.evaluation.load import read_generations
from personadual.evaluation.options import Statistics, add_statistics_arguments, statistics_from
from personadual.evaluation.report import as_json, as_markdown, read_report
from personadual.evaluation.runfile import meta_path
from personadual.files import write_json

HOSTILE = (
    "a | b\n\n# head `code` <script>alert(1)</script> [x](http://e.vil) ![i](u) @me $x^2$ &amp; \\| \u202e www.e.vil"
)


def row(model, item, condition, right, asked, mode, acc=1.0, prob=None, response="ok", **more):
    logprob = None if prob is None else math.log(prob)
    return {
        "model": model, "seed": 0, "item": item, "question_id": f"q{item}", "data_source": "d", "source": None,
        "condition": condition, "right_mode": right, "asked_mode": asked, "persona": "", "question": "?",
        "ground_truth": "x", "response": response, "mode": mode, "acc": acc, "format": 1.0, "score": acc,
        "tag_logprob": logprob, "deciding_logprob": logprob, "n_tokens": 3, "truncated": False, **more,
    }  # fmt: skip


def generations(model, p_personal, p_fact, count=20, **more):
    """``count`` items, half personal and half without a persona, with the given P(personalized)."""
    rows = []
    for item in range(count):
        condition, right, p = ("personal", "personalized", p_personal) if item % 2 else ("none", "general", p_fact)
        p = min(max(p + 0.02 * (item % 5 - 2), 0.001), 0.999)
        chosen = "personalized" if p > 0.5 else "general"
        rows.append(row(model, item, condition, right, "free", chosen, acc=float(chosen == right), **more))
        for mode, prob in (("general", 1 - p), ("personalized", p)):
            rows.append(row(model, item, condition, right, mode, mode, acc=float(mode == right), prob=prob, **more))
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows), encoding="utf-8")
    return path


def report_arguments(*arguments):
    parser = argparse.ArgumentParser()
    add_report_arguments(parser)
    return parser.parse_args(list(map(str, arguments)))


@pytest.fixture
def files(tmp_path):
    models = {"base": (0.5, 0.5), "sft": (0.5, 0.5), "dualgrpo": (0.95, 0.6)}
    return [write(tmp_path / f"{name}.jsonl", generations(name, *p, count=40)) for name, p in models.items()]


def test_report_tells_what_got_better_and_what_got_worse(files, tmp_path, capsys):
    log = tmp_path / "metrics.jsonl"
    steps = [
        {"step": s, "data": {"critic/score/mean": s / 9, "dual_grpo/d/prob_personalized/mean": 0.5}} for s in range(9)
    ]
    write(log, steps)
    run = write(tmp_path / "run.json", [{"seconds": {"sft": 112}, "note": "<b>"}])
    manifest = write(tmp_path / "manifest.json", [{"files": {"test.parquet": {"sha256": "0"}}}])
    out = tmp_path / "out"
    arguments = [*files, "--out", out, "--training-log", log, "--run", run, "--manifest", manifest, "--title", "A *b*"]
    assert run_report(report_arguments(*arguments)) == 0
    printed = capsys.readouterr().out
    assert "Expected mode-selection error" in printed and "dualgrpo" in printed
    text = (out / "report.md").read_text()
    for name in ("mode_choice", "accuracy", "training"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{name}.png" in text
    shows = text.split("## What this shows")[1].split("## What it does not show")[0]
    personal = next(line for line in shows.splitlines() if "personal questions, expected selection error" in line)
    assert "0.50 with <code>sft</code>, 0.05 with <code>dualgrpo</code>; difference −0.45" in personal
    assert (
        personal.endswith("better.")
        and "(n = 20 items, 20 questions, 1 training seed; corrected p < 0.001)" in personal
    )
    factual = next(line for line in shows.splitlines() if "factual questions, expected selection error" in line)
    assert factual.endswith("worse.") and "+0.10" in factual
    assert "**Worse, expected selection error**: <code>none</code>" in shows
    # The pair before the last is told too, in short.
    assert "No clear difference between <code>base</code> and <code>sft</code>, all items: expected selection" in shows
    assert "0.50 with <code>base</code>" not in shows
    limits = text.split("## What it does not show")[1].split("## What was run")[0]
    assert "single training seed" in limits and "40 items of 40 questions" in limits
    assert "\n- <code>this report</code>: <code>personadual " in text.split("## Commands")[1]
    assert "<code>seconds&#46;sft</code>" in text and "<b>" not in text and "A &#42;b&#42;" in text

    found = json.loads((out / "report.json").read_text())
    assert [model["model"] for model in found["models"]] == ["base", "sft", "dualgrpo"]
    assert {"measures", "effects", "comparisons", "checks", "sources", "seeds", "verdicts", "statistics"} <= set(found)
    assert found["statistics"]["correction"] == "holm" and found["statistics"]["baseline"] is None
    assert [entry["verdict"] for entry in found["verdicts"]] == ["undecided"] * 3
    assert {(entry["old"], entry["new"]) for entry in found["comparisons"]} == {("base", "sft"), ("sft", "dualgrpo")}
    error = [m for m in found["measures"] if m["measure"] == "selection_error" and m["model"] == "dualgrpo"]
    assert {m["condition"]: round(m["value"], 3) for m in error} == {
        "none": 0.6, "personal": 0.05, "factual": 0.6, "all": 0.325
    }  # fmt: skip
    assert found["run"]["seconds"]["sft"] == 112 and found["training"]["reward"]["step"] == list(range(9))
    assert not list(out.glob(".*"))


def test_report_is_the_same_twice(files, tmp_path):
    texts = []
    for name in ("one", "two"):
        run_report(report_arguments(*files, "--out", tmp_path / name))
        texts.append((tmp_path / name / "report.md").read_bytes() + (tmp_path / name / "report.json").read_bytes())
    assert texts[0] == texts[1]


def test_pairs_baseline_and_correction_are_chosen(files, tmp_path):
    parser = argparse.ArgumentParser()
    add_statistics_arguments(parser)
    arguments = ["--compare", "base", "dualgrpo", "--correction", "bh", "--baseline", "sft", "--margin", "0.05"]
    statistics = statistics_from(parser.parse_args(arguments))
    report = read_report(files, "t", statistics=statistics)
    assert set(report.comparisons["old"]) == {"base"} and set(report.comparisons["new"]) == {"dualgrpo"}
    assert {found["baseline"] for found in report.verdicts} == {"sft"} and report.verdicts[0]["margin"] == 0.05
    assert any("Benjamini and Hochberg" in sentence for sentence in report.limits)
    assert statistics_from(parser.parse_args([])) == Statistics(compare=[])


def test_no_p_is_written_as_0(tmp_path):
    """60 questions under which the old model is always wrong and the new one never: p = 2 / 2^60."""
    models = {"old": always_personalized, "new": right_choice}
    report = read_report([write(tmp_path / name, planted(name, choose)) for name, choose in models.items()], "t")
    found = json.loads(json.dumps(as_json(report)))["comparisons"]
    p = {entry["condition"]: entry["p"] for entry in found if entry["measure"] == "greedy_error"}
    assert p["unaligned"] == pytest.approx(2 / 2**60, rel=1e-9)
    assert all(entry[name] > 0 for entry in found for name in ("p", "p_adjusted"))


def test_models_sampled_at_different_temperatures_are_named(tmp_path):
    rows = generations("a", 0.5, 0.5) + generations("b", 0.5, 0.5, sample=1, temperature=0.7)
    report = read_report([write(tmp_path / "g.jsonl", rows)], "t")
    assert any("temperature of free answers is <code>a</code> 0.00, <code>b</code> 0.70" in s for s in report.limits)


def test_one_model_alone_is_reported(files, tmp_path):
    assert run_report(report_arguments(files[0], "--out", tmp_path / "o")) == 0
    assert "There is no second model to compare" in (tmp_path / "o/report.md").read_text()


def test_runs_that_were_not_alike_are_named(files, tmp_path):
    for path, tokens in zip(files, (48, 48, 64), strict=True):
        settings = {"label": path.stem, "seed": 0, "max_tokens": tokens, "data_sha256": "1"}
        (tmp_path / f"{path.stem}.meta.json").write_text(json.dumps({"settings": settings}))
    manifest = write(tmp_path / "manifest.json", [{"files": {"test.parquet": {"sha256": "0"}}}])
    limits = read_report(files, "t", extras={"manifest": manifest}).limits
    assert any("max_tokens is <code>48</code>, <code>64</code>" in sentence for sentence in limits)
    assert any("not one of the manifest's files" in sentence for sentence in limits)


CUSTOM = [{"name": "plain", "tag": "[P]"}, {"name": "warm", "tag": "[W]"}]


def custom(path, modes=CUSTOM):
    """Answers in two modes of one's own, the second one first in the file, with their settings."""
    names = {"general": "plain", "personalized": "warm"}
    rows = [
        {key: names.get(value, value) if key.endswith("mode") else value for key, value in entry.items()}
        for entry in reversed(generations(path.stem, 0.95, 0.4))
    ]
    if modes is not None:
        settings = {"label": path.stem, "seed": 0, "modes": modes}
        write_json(meta_path(path), {"settings": settings, "sessions": []})
    return write(path, rows)


def test_the_plain_mode_is_the_first_of_the_settings_in_whatever_order_answers_came(tmp_path):
    for shuffle in range(6):
        path = custom(tmp_path / "m.jsonl")
        lines = path.read_text().splitlines(keepends=True)
        random.Random(shuffle).shuffle(lines)
        path.write_text("".join(lines))
        report = read_report([path], "t")
        assert report.modes == ["plain", "warm"]
        rates = report.summary[report.summary["measure"] == "over_personalized"].set_index("condition")["n"]
        assert rates.to_dict() == {"none": 10, "personal": 0, "factual": 10, "all": 10}
    # Of free answers alone too, none of which is in any mode.
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write(path, [entry | {"mode": "invalid"} for entry in rows if entry["asked_mode"] == "free"])
    assert read_report([path], "t").modes == ["plain", "warm"]


def test_without_settings_modes_stand_as_the_answers_name_them(tmp_path):
    assert read_report([custom(tmp_path / "m.jsonl", None)], "t").modes == ["warm", "plain"]
    beside = [custom(tmp_path / "a.jsonl", None), custom(tmp_path / "b.jsonl")]
    assert read_report(beside, "t").modes == ["plain", "warm"]


@pytest.mark.parametrize(
    ("modes", "message"),
    [
        (CUSTOM[::-1], r"b.meta.json: the modes are warm, plain here and plain, warm in .*a.meta.json"),
        ([*CUSTOM, {"name": "terse", "tag": "[T]"}], "the modes are plain, warm, terse here and plain, warm in"),
        (CUSTOM[:1], r"b.meta.json: settings.modes: at least 2 are needed, found 1"),
        ("modes.yaml", r"b.meta.json: settings.modes: a list of .* is needed, found 'modes.yaml'"),
    ],
)
def test_settings_whose_modes_disagree_or_are_none_are_refused(modes, message, tmp_path):
    paths = [custom(tmp_path / "a.jsonl"), custom(tmp_path / "b.jsonl", modes)]
    with pytest.raises(ValueError, match=message):
        read_report(paths, "t")


@pytest.mark.parametrize(
    ("column", "name", "message"),
    [
        ("asked_mode", "<b>[x](http://e.vil)", "is no name of a mode"),
        ("mode", "two words", "is no name of a mode"),
        ("asked_mode", "invalid", "is no name of a mode"),
        ("mode", "free", "is no name of a mode"),
    ],
)
def test_names_that_no_mode_can_have_are_refused_by_line_and_field(column, name, message, tmp_path):
    rows = generations("m", 0.5, 0.5, count=2)
    rows[4][column] = name
    with pytest.raises(ValueError, match=rf"g.jsonl:5: item 1: field '{column}': {re.escape(repr(name))} {message}"):
        read_generations([write(tmp_path / "g.jsonl", rows)])


def test_a_mode_that_the_settings_do_not_know_is_refused(tmp_path):
    path = custom(tmp_path / "m.jsonl")
    write(path, generations("m", 0.5, 0.5))
    with pytest.raises(
        ValueError, match=r"m.jsonl:2: item 0: field 'asked_mode': 'general' is none of the modes plain"
    ):
        read_generations([path])


def test_hostile_text_breaks_no_table(tmp_path):
    rows = generations("m|<i>", 0.5, 0.5, response=HOSTILE, persona=HOSTILE, question=HOSTILE, ground_truth=HOSTILE)
    rows += generations("$\\frac", 0.9, 0.1, response=HOSTILE, persona=HOSTILE, question=HOSTILE, ground_truth=HOSTILE)
    path = write(tmp_path / "g.jsonl", rows)
    assert run_report(report_arguments(path, "--out", tmp_path / "o", "--title", HOSTILE)) == 0
    text = (tmp_path / "o/report.md").read_text()
    assert "<script" not in text and "](http" not in text and "@me" not in text and "www.e" not in text
    assert "\u202e" not in text and "`code`" not in text and "$x" not in text
    assert set(re.findall(r"<[/!?a-zA-Z][^>]*>", text)) == {"<code>", "</code>"}
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda r: r.pop("acc"), r"g.jsonl:2: missing field\(s\) acc"),
        (lambda r: r.update(extra=1), r"g.jsonl:2: unknown field\(s\) extra"),
        (lambda r: r.update(acc="1"), r"g.jsonl:2: field 'acc' must be int or float, found '1'"),
        (lambda r: r.update(item=True), r"g.jsonl:2: field 'item' must be int, found True"),
        (lambda r: r.update(persona=None), r"g.jsonl:2: field 'persona' must be str, found None"),
        (lambda r: r.update(tag_logprob=float("nan")), r"g.jsonl:2: field 'tag_logprob' must be .* or null, found nan"),
        (lambda r: r.update(asked_mode="free"), r"g.jsonl:2: .* is there twice"),
        (lambda r: r.update(response="a\ud800"), r"g.jsonl:2: field 'response' has a lone surrogate.*'a.ud800'"),
        (lambda r: r.update(question_id="z"), r"g.jsonl:2: item 0: field 'question_id' is 'z' here and 'q0'"),
        (lambda r: r.update(persona="z"), r"g.jsonl:2: item 0: field 'persona' is 'z' here and "),
        (lambda r: r.update(question="z"), r"g.jsonl:2: item 0: field 'question' is 'z' here and "),
    ],
)
def test_bad_rows_are_named_by_file_line_and_field(change, message, tmp_path):
    rows = generations("m", 0.5, 0.5, count=2)
    change(rows[1])
    with pytest.raises(ValueError, match=message):
        read_generations([write(tmp_path / "g.jsonl", rows)])


def test_files_of_different_test_sets_are_refused(tmp_path):
    other = [entry | {"condition": "aligned"} for entry in generations("b", 0.5, 0.5)]
    paths = [write(tmp_path / "a.jsonl", generations("a", 0.5, 0.5)), write(tmp_path / "b.jsonl", other)]
    with pytest.raises(ValueError, match=r"b.jsonl:1: item 0: field 'condition'"):
        read_generations(paths)


def test_torn_last_line_is_left_out_with_a_warning(tmp_path):
    path = write(tmp_path / "g.jsonl", generations("m", 0.5, 0.5, count=4))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(UserWarning, match="last line is incomplete"):
        assert len(read_generations([path])) == 11
    path.write_text("")
    with pytest.raises(ValueError, match="no generations"):
        read_generations([path])


def test_compressed_files_are_read_like_others_with_their_settings(files, tmp_path):
    packed = [tmp_path / "packed" / f"{path.name}.gz" for path in files]
    packed[0].parent.mkdir()
    for path, small in zip(files, packed, strict=True):
        small.write_bytes(gzip.compress(path.read_bytes()))
        write_json(meta_path(path), {"settings": {"label": path.stem, "seed": 0}, "sessions": []})
        shutil.copy(meta_path(path), packed[0].parent)
    plain, again = read_report(files, "t"), read_report(packed, "t")
    assert again.rows.equals(plain.rows) and again.models == plain.models
    assert all(model["settings"] for model in again.models)


def test_half_a_compressed_file_is_named(tmp_path):
    path = tmp_path / "g.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * 9999)[:-12])
    with pytest.raises(ValueError, match=r"g\.jsonl\.gz: not a whole gzip file"):
        read_generations([path])


def test_report_of_bad_input_returns_2(tmp_path, capsys):
    path = tmp_path / "g.jsonl"
    path.write_text("{}\n")
    assert run_report(report_arguments(path, "--out", tmp_path / "o")) == 2
    assert "g.jsonl:1: missing field(s)" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {"b": [1, NaN]}}', r"run.json: a.b\[1\]: a finite number or null is needed, found nan"),
        ('{"a": 1e999}', r"run.json: a: a finite number or null is needed, found inf"),
        ('{"a": "x\\ud800"}', r"run.json: a: half a character, which is no text: 'x.ud800'"),
        ('{"x\\ud800": 1}', r"run.json: a key: half a character"),
        ("[" * 100_000, r"run.json: not JSON: "),
        ("[1]", r"run.json: a JSON object is needed, found list"),
    ],
)
@pytest.mark.parametrize("option", ["--run", "--manifest"])
def test_what_json_has_no_form_for_is_refused_before_anything_is_written(
    files, tmp_path, capsys, option, text, message
):
    (tmp_path / "run.json").write_text(text)
    assert run_report(report_arguments(files[0], "--out", tmp_path / "o", option, tmp_path / "run.json")) == 2
    assert re.search(f"error: .*{message}", capsys.readouterr().err)
    assert not (tmp_path / "o").exists()


def test_settings_beside_the_answers_are_held_to_the_same(files, tmp_path):
    meta_path(files[0]).write_text('{"settings": {"label": "base", "top_p": Infinity}}')
    with pytest.raises(ValueError, match=r"base.meta.json: settings.top_p: a finite number or null is needed"):
        read_report(files, "t")


@pytest.mark.parametrize("below", ["", "inside/deep"])
def test_out_that_is_a_file_is_refused_at_once(files, tmp_path, capsys, below):
    (tmp_path / "o").write_text("")
    missing = tmp_path / "none.jsonl"  # out is looked at before the answers
    assert run_report(report_arguments(missing, "--out", tmp_path / "o" / below)) == 2
    assert f"{tmp_path / 'o'} is a file; name another --out" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_one_line(files, tmp_path, capsys):
    (tmp_path / "o" / "report.json").mkdir(parents=True)
    assert run_report(report_arguments(files[0], "--out", tmp_path / "o")) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "report.json" in err and err.count("\n") == 1


def test_training_log_keeps_numbers_and_later_files_win(tmp_path):
    first = write(tmp_path / "a", [{"step": 1, "data": {"x": 1.0, "s": "text"}}, {"step": 2, "data": {"x": 2.0}}])
    second = write(tmp_path / "b", [{"step": 2, "data": {"x": 5.0}}, {"step": 3, "data": {"x": 6}}])
    log = read_training_log([first, second])
    assert list(log.columns) == ["x"] and log["x"].to_dict() == {1: 1.0, 2: 5.0, 3: 6.0}
    bad = write(tmp_path / "c", [{"step": 1, "data": {}}, {"stp": 1}])
    with pytest.raises(ValueError, match=r"c:2: "):
        read_training_log([bad])


def test_panels_find_metrics_by_pattern_and_skip_absent_ones(tmp_path):
    names = [
        f"dual_grpo/quickstart_{c}/prob_{m}/mean" for c in ("none", "personal") for m in ("general", "personalized")
    ]
    data = {name: 0.5 for name in names} | {"dual_grpo/prob_personalized/mean": 0.5, "actor/kl_loss": 0.1}
    log = read_training_log([write(tmp_path / "l", [{"step": s, "data": data} for s in (1, 2)])])
    panels = default_panels("personalized")
    assert [list(matching(log, panel)) for panel in panels] == [[], ["none", "personal"], ["actor/kl_loss"], []]
    assert plot_training(log, panels, tmp_path / "t.png") == tmp_path / "t.png"
    assert plot_training(log, [Panel("none", ("nothing",))], tmp_path / "n.png") is None
    assert not (tmp_path / "n.png").exists()


def test_report_has_no_figure_of_an_empty_log(files, tmp_path):
    log = write(tmp_path / "l", [{"step": 1, "data": {"other": 1.0}}])
    assert "The log has none of the metrics" in as_markdown(read_report(files, "t", [log]), has_curves=False)


def test_texts_of_private_sets_are_nowhere_in_a_report(tmp_path):
    rows = generations("m", 0.9, 0.1, data_source="gpqa", question="secret question", response="secret answer")
    write(tmp_path / "m.jsonl", rows)
    assert run_report(report_arguments(tmp_path / "m.jsonl", "--out", tmp_path / "out")) == 0
    for name in ("report.md", "report.html", "report.json"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "secret" not in text and ("not shown" in text or name == "report.json")
