"""``data build`` by its command: one source, presets, a dry run, a file of one's own, and a served model."""

import json
from collections import Counter

import published_rows as published
import pytest
from build_inputs import RL_NAMES, SFT_NAMES, config, rows_of, run, write_inputs
from chat_server import ChatServer, Reply
from published_rows import write_lines

from personadual import schema
from personadual.data_prep.attach import ATTACHED
from personadual.data_prep.baseline import file_lacks_baseline
from personadual.data_prep.build import build
from personadual.data_prep.build_config import PRESETS, BuildConfig, preset
from personadual.data_prep.columns import MODE
from personadual.data_prep.config_reading import read
from personadual.modes import parse_mode


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def test_one_source_with_personas_on_the_command_line(inputs, tmp_path, capsys):
    flags = ("--source", "flan", "--input", inputs / "flan.jsonl", "--personas", inputs / "persona.jsonl")
    assert run(*flags, "--task", "rl", "--out", tmp_path / "out", "--seed", 5, "--workers", 1) == 0
    printed = capsys.readouterr().out
    assert "unaligned" in printed and "translation task" in printed and "look at the licence" in printed
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["seed"] == 5


@pytest.mark.parametrize(
    ("flags", "modes"), [([], {"general", "personalized"}), (["--sft-modes", "right"], {"general"})]
)
def test_one_source_for_sft_in_the_modes_that_are_asked_for(inputs, tmp_path, flags, modes):
    common = ("--source", "flan", "--input", inputs / "flan.jsonl", "--task", "sft", "--workers", 1)
    assert run(*common, *flags, "--out", tmp_path / "out") == 0
    rows = rows_of(tmp_path / "out", "sft_train.parquet")
    assert {row[MODE] for row in rows} == modes
    assert len(rows) == len(modes) * len({row[schema.ITEM] for row in rows})


def test_files_that_got_no_row_are_named(tmp_path, capsys):
    rows = write_lines(tmp_path / "rows.jsonl", published.flan(2))
    assert run("--source", "flan", "--input", rows, "--task", "rl", "--out", tmp_path / "out", "--workers", 1) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not written")]
    for name in RL_NAMES:
        assert (tmp_path / "out" / name).exists() is (name not in line)


def test_a_dry_run_prints_a_configuration_that_builds_the_same(inputs, tmp_path, capsys):
    flags = ("--source", "flan", "--input", inputs / "flan.jsonl", "--task", "rl")
    assert run(*flags, "--dry-run") == 0
    (tmp_path / "build.yaml").write_text(capsys.readouterr().out)
    assert run("--config", tmp_path / "build.yaml", "--out", tmp_path / "one", "--workers", 1) == 0
    assert run(*flags, "--out", tmp_path / "two", "--workers", 1) == 0
    one, two = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole_configurations(name):
    assert read(BuildConfig, preset(name)).sources


def test_the_quickstart_preset_needs_no_input(tmp_path):
    assert run("--preset", "quickstart", "--out", tmp_path / "out", "--workers", 1) == 0
    assert len(rows_of(tmp_path / "out", *RL_NAMES)) > 100


def test_a_csv_of_ones_own(tmp_path):
    rows = "".join(f"Which is number {n}?,one {n},two {n},B\n" for n in range(80))
    (tmp_path / "mine.csv").write_text("q,a,b,right\n" + rows)
    (tmp_path / "mapping.yaml").write_text("question: q\noptions: [a, b]\nanswer: right\ndata_source: mine\n")
    flags = ("--source", "generic", "--input", tmp_path / "mine.csv", "--mapping", tmp_path / "mapping.yaml")
    assert run(*flags, "--task", "rl", "--out", tmp_path / "out", "--workers", 1) == 0
    row = rows_of(tmp_path / "out", "rl_train.parquet")[0]
    assert row[schema.DATA_SOURCE] == "mine" and row[schema.REWARD_MODEL][schema.GROUND_TRUTH] == "B"


def served_reply(prompt, attempt):
    """A model that writes personas around the answer, and traces that reach the truth where they are shown it."""
    if "self-description" in prompt:
        answer = prompt.split("words in it: ")[1].splitlines()[0]
        return Reply(f"I am a careful clerk in a large office, and from my work I know well that it is {answer}.")
    letter = prompt.split("The correct answer is: ")[1][0] if "The correct answer is: " in prompt else "A"
    return Reply(
        f'<reasoning>\nOne thing leads to another.\n</reasoning>\n<answer>\n{{"answer": "{letter}"}}\n</answer>'
    )


def test_the_papers_test_questions_are_asked_without_a_persona_and_against_the_facts_as_well(inputs, tmp_path):
    content = dict(preset("paper"))
    content["sources"] = [{"name": "ultramedical", "input": str(inputs / "ultramedical.jsonl")}]
    content["personas"] = {**content["personas"], "input": str(inputs / "persona.jsonl")}
    with ChatServer(served_reply) as server:
        build(config(**{**content, "served": {"base_url": server.url, "model": "m"}}), tmp_path / "out")
    asked = [row[schema.EXTRA_INFO] for row in rows_of(tmp_path / "out", "test.parquet")]
    conditions = Counter(extra[schema.CONDITION] for extra in asked)
    assert set(conditions) == set(ATTACHED) and len(set(conditions.values())) == 1
    assert not file_lacks_baseline(tmp_path / "out" / "test.parquet")


def test_the_manifest_tells_builds_with_other_prompts_apart(inputs, tmp_path):
    content = {
        "sources": [{"name": "ultramedical", "input": str(inputs / "ultramedical.jsonl"), "limit": 10}],
        "splits": {"train": 1, "val": 0, "test": 0},
        "sft": {},
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "judge.jinja").write_text("{{ question }} {{ truth }} {{ candidate }}")
    found = []
    with ChatServer(served_reply) as server:
        served = {"base_url": server.url, "model": "m"}
        for place, changed in enumerate(({}, {"prompts": str(tmp_path / "mine")})):
            content["judge"] = {**served, **changed}
            found.append(build(config(**content, served=served), tmp_path / str(place))["config"])
    assert found[0]["served"] == found[1]["served"] and len(found[0]["served"]["prompts"]) == 6
    one, two = (dict(blocks["judge"]["prompts"]) for blocks in found)
    assert one.pop("judge") != two.pop("judge") and one == two
    assert str(tmp_path) not in json.dumps(found)


def stage_of(prompt):
    if "self-description" in prompt:
        return "persona"
    return "trace" if "The correct answer is: " in prompt else "filter"


@pytest.mark.parametrize("stage", ["persona", "filter", "trace"])
def test_nothing_is_published_while_the_server_leaves_requests_unanswered(inputs, tmp_path, stage):
    content = {
        "sources": [{"name": "ultramedical", "input": str(inputs / "ultramedical.jsonl"), "limit": 40}],
        "personas": {"shares": {"aligned": 1.0}},
        "sft": {},
    }
    down = [True]

    def reply(prompt, attempt):
        if down[0] and stage_of(prompt) == stage and server.hits.total() % 7 == 0:
            return Reply(status=503, message="restarting")
        return served_reply(prompt, attempt)

    with ChatServer(reply) as server:
        arguments = config(**content, served={"base_url": server.url, "model": "m", "max_attempts": 1})
        with pytest.raises(ValueError, match=r"had no answer after 1 attempt.*503: restarting.*the same command asks"):
            build(arguments, tmp_path / "one")
        assert not (tmp_path / "one").exists()
        down[0], asked = False, server.hits.total()
        again = build(arguments, tmp_path / "one")
        assert 0 < server.hits.total() - asked < asked
        assert build(arguments, tmp_path / "two") == again and "server error" not in again["served_dropped"]


def test_open_questions_get_conflicting_personas_with_an_answer_of_their_kind(tmp_path):
    rows = write_lines(tmp_path / "gsm8k.jsonl", published.gsm8k(30))
    content = {
        "sources": [{"name": "gsm8k", "input": str(rows)}],
        "personas": {"shares": {"conflicting": 1.0}},
        "splits": {"train": 0, "val": 0, "test": 1},
        "rl": {},
    }
    with ChatServer(served_reply) as server:
        manifest = build(config(**content, served={"base_url": server.url, "model": "m"}), tmp_path / "out")
    assert manifest["served_dropped"] == {} and manifest["dropped"] == {}
    asked = rows_of(tmp_path / "out", "test.parquet")
    truths = {row[schema.REWARD_MODEL][schema.GROUND_TRUTH] for row in asked}
    assert len(asked) == 30 and len(truths) == 30
    for row in asked:
        claimed = row[schema.EXTRA_INFO][schema.PERSONA].removesuffix(".").split()[-1]
        assert claimed in truths - {row[schema.REWARD_MODEL][schema.GROUND_TRUTH]}


def test_a_test_split_that_can_give_no_verdict_is_told(inputs, tmp_path, capsys):
    flags = ("--source", "flan", "--input", inputs / "flan.jsonl", "--personas", inputs / "persona.jsonl")
    for task, told in (("rl", True), ("eval", False)):
        assert run(*flags, "--task", task, "--out", tmp_path / task, "--workers", 1) == 0
        printed = capsys.readouterr().out
        assert ("test.parquet: no test questions asked both" in printed) is told
        assert ("set personas.every_condition_in: [test]" in printed) is told


def test_one_source_for_both_tasks_shows_no_question_in_both(inputs, tmp_path, capsys):
    flags = ("--source", "flan", "--input", inputs / "flan.jsonl", "--task", "both", "--workers", 1)
    assert run(*flags, "--out", tmp_path / "out", "--sft-modes", "right") == 0
    sft = {row["question_id"] for row in rows_of(tmp_path / "out", "sft_train.parquet")}
    rl = {row[schema.EXTRA_INFO][schema.QUESTION_ID] for row in rows_of(tmp_path / "out", "rl_train.parquet")}
    assert sft and rl and not sft & rl
    assert {path.name for path in (tmp_path / "out").glob("*.parquet")} == {*SFT_NAMES, *RL_NAMES}
    assert len(rows_of(tmp_path / "out", "sft_train.parquet")) == len(sft)
    assert run(*flags[:4], "--task", "rl", "--sft-modes", "right", "--out", tmp_path / "no") == 2
    assert "--sft-modes goes with --task sft or both" in capsys.readouterr().err


def test_traces_and_personas_of_a_served_model_and_again_from_the_cache_alone(inputs, tmp_path):
    content = {
        "sources": [{"name": "ultramedical", "input": str(inputs / "ultramedical.jsonl"), "limit": 40}],
        "personas": {"input": str(inputs / "persona.jsonl"), "shares": {"unaligned": 0.5, "aligned": 0.5}},
        "sft": {"modes": "all"},
    }
    with ChatServer(served_reply) as server:
        served = {"base_url": server.url, "model": "m"}
        first = build(config(**content, served=served), tmp_path / "one", answers=tmp_path / "answers.jsonl")
        asked = sum(server.hits.values())
    rows = rows_of(tmp_path / "one", "sft_train.parquet")
    shown = Counter((row[schema.CONDITION], row[MODE]) for row in rows)
    # Facts get a personalized trace under an aligned persona only, and only those that pass the filter.
    assert set(shown) == {("unaligned", "general"), ("aligned", "general"), ("aligned", "personalized")}
    assert 0 < shown["aligned", "personalized"] < shown["aligned", "general"]
    assert first["served_dropped"]["wrong answer"] > 0
    for row in rows:
        body = parse_mode(row[schema.MESSAGES][-1]["content"]).body
        assert body.startswith("One thing leads to another.\n\n<answer>")
        if row[schema.CONDITION] == "aligned":
            assert "careful clerk" in row[schema.MESSAGES][0]["content"]
    # The server is gone: everything comes from the cache, and the bytes are the same.
    again = build(config(**content, served=served), tmp_path / "two", answers=tmp_path / "answers.jsonl")
    assert again == first and asked == len((tmp_path / "answers.jsonl").read_text().splitlines())
