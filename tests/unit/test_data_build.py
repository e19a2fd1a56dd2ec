"""Whole builds, from files in the sets' own formats to what verl loads."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict

import published_rows as published
import pyarrow.parquet as pq
import pytest
from chat_server import ChatServer, Reply
from published_rows import write_lines

from personadual import cli, schema
from personadual.data_prep import neardup, splits
from personadual.data_prep.build import build
from personadual.data_prep.build_config import PRESETS, BuildConfig, preset
from personadual.data_prep.columns import MODE, RL_SCHEMA, SFT_SCHEMA
from personadual.data_prep.config_reading import read
from personadual.data_prep.pipeline.parquet import ROW_GROUP
from personadual.data_prep.served.texts import occurs
from personadual.modes import parse_mode
from personadual.reward_fns import compute_score
from personadual.reward_fns.matching import is_right

RL_NAMES = ("rl_train.parquet", "rl_val.parquet", "test.parquet")
SFT_NAMES = ("sft_train.parquet", "sft_val.parquet")


def config(**content):
    return read(BuildConfig, content)


def rows_of(folder, *names):
    return [row for name in names for row in pq.read_table(folder / name).to_pylist()]


def run(*arguments):
    return cli.main(["data", "build", *map(str, arguments)])


def hashes(manifest):
    return {name: entry["sha256"] for name, entry in manifest["files"].items()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_lines(
        folder / "ultramedical.jsonl", [*published.ultramedical(60), *published.ultramedical(40, 1, "PubMedQA")]
    )
    write_lines(folder / "flan.jsonl", published.flan(60) + published.flan(5, task="wmt16_translate_deen"))
    write_lines(folder / "alignx.jsonl", published.alignx(60))
    write_lines(folder / "persona.jsonl", published.personas(60))
    return folder


@pytest.fixture(scope="module")
def mix(inputs):
    return {
        "seed": 3,
        "sources": [
            {"name": name, "input": str(inputs / f"{name}.jsonl")} for name in ("ultramedical", "flan", "alignx")
        ],
        "personas": {"input": str(inputs / "persona.jsonl"), "shares": {"none": 0.5, "unaligned": 0.5}},
        "splits": {"train": 0.6, "val": 0.2, "test": 0.2},
        "sft": {"share": 0.5, "modes": "all"},
        "rl": {"share": 0.5},
    }


@pytest.fixture(scope="module")
def built(mix, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "mix"
    return out, build(config(**mix), out)


def test_the_folder_holds_what_the_manifest_says_and_nothing_else(built):
    out, manifest = built
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json",
        "rejects.jsonl",
        *sorted(RL_NAMES + SFT_NAMES),
    ]
    assert sorted(path.name for path in out.parent.iterdir()) == ["mix"]
    assert json.loads((out / "manifest.json").read_text()) == manifest
    assert str(out.parent) not in json.dumps(manifest) and "/tmp" not in json.dumps(manifest)
    for name in RL_NAMES + SFT_NAMES:
        table = pq.read_table(out / name)
        assert table.schema == (SFT_SCHEMA if name.startswith("sft") else RL_SCHEMA)
        assert manifest["files"][name]["rows"] == table.num_rows > 0
        assert sum(manifest["files"][name]["counts"].values()) == table.num_rows
    assert manifest["dropped"]["flan"] == {"translation task": 5}
    assert manifest["rows_read"] == {"alignx": 60, "flan": 65, "personahub": 60, "ultramedical": 100}
    assert manifest["sources"]["ultramedical"]["redistributable"] and "CC-BY-NC" in str(
        manifest["sources"]["personahub"]
    )
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert [(r["source"], r["file"], r["row"], r["reason"]) for r in rejects] == [
        ("flan", "flan.jsonl", row, "translation task") for row in range(61, 66)
    ]


def test_counts_are_by_source_condition_split_and_file(built):
    out, manifest = built
    counted = Counter()
    for name in RL_NAMES:
        for row in rows_of(out, name):
            extra = row[schema.EXTRA_INFO]
            source = {"UltraMedical": "ultramedical", "flan": "flan", "AlignX": "alignx"}[row[schema.DATA_SOURCE]]
            counted[source, extra[schema.CONDITION], extra[schema.SPLIT], name] += 1
    for (source, condition, split, name), number in counted.items():
        assert manifest["counts"][source][condition][split][name] == number
    assert {condition for _, condition, _, _ in counted} == {schema.NONE, schema.UNALIGNED, schema.PERSONAL}


def test_every_row_is_gradable_and_numbered(built):
    out, _ = built
    for name in RL_NAMES:
        rows = rows_of(out, name)
        assert [row[schema.EXTRA_INFO][schema.INDEX] for row in rows] == list(range(len(rows)))
        asked = defaultdict(list)
        for row in rows:
            extra = row[schema.EXTRA_INFO]
            truth = row[schema.REWARD_MODEL][schema.GROUND_TRUTH]
            assert is_right(truth, truth, extra[schema.OPTIONS], extra[schema.ACCEPT])
            answer = f'<answer>{{"answer": "{truth}"}}</answer>'
            assert compute_score(row[schema.DATA_SOURCE], answer, truth, extra)[schema.ACC] == 1
            prompt = row[schema.PROMPT][1]["content"]
            assert extra[schema.QUESTION] in prompt and extra[schema.PERSONA] in row[schema.PROMPT][0]["content"]
            for letter, option in zip("ABCD", extra[schema.OPTIONS], strict=False):
                assert f"\n{letter}. {option}" in prompt
            asked[extra[schema.ITEM]].append(extra[schema.ASKED_MODE])
        modes = ["free", "general", "personalized"] if name == "rl_val.parquet" else ["free"]
        assert list(asked) == list(range(len(asked))) and all(found == modes for found in asked.values())


def test_sft_shows_each_item_in_each_mode_with_the_right_answer(built):
    out, _ = built
    for name in SFT_NAMES:
        items = defaultdict(list)
        for row in rows_of(out, name):
            parsed = parse_mode(row[schema.MESSAGES][-1]["content"])
            assert parsed.name == row[MODE] and parsed.body.startswith("<answer>")
            items[row[schema.ITEM]].append(parsed.name)
        assert list(items) == list(range(len(items)))
        assert all(found == ["general", "personalized"] for found in items.values())


def test_sft_and_rl_train_on_different_questions_and_no_question_is_in_two_splits(built):
    out, _ = built
    homes = defaultdict(set)
    for name in RL_NAMES:
        for row in rows_of(out, name):
            homes[row[schema.EXTRA_INFO][schema.QUESTION_ID]].add((name, row[schema.EXTRA_INFO][schema.SPLIT]))
    for row in rows_of(out, *SFT_NAMES):
        homes[row[schema.QUESTION_ID]].add(
            ("rl_val.parquet" if row[schema.SPLIT] == "val" else "sft", row[schema.SPLIT])
        )
    assert len(homes) == 220 and all(len(found) == 1 for found in homes.values())


def test_attached_personas_stay_in_one_split_and_hold_no_answer(built):
    out, _ = built
    homes = defaultdict(set)
    for row in rows_of(out, *RL_NAMES):
        extra = row[schema.EXTRA_INFO]
        assert bool(extra[schema.PERSONA]) is (extra[schema.CONDITION] != schema.NONE)
        if extra[schema.PERSONA]:
            homes[splits.persona_key(extra[schema.PERSONA])].add(extra[schema.SPLIT])
        if extra[schema.CONDITION] == schema.UNALIGNED:
            answer = extra[schema.OPTIONS]["ABCD".index(row[schema.REWARD_MODEL][schema.GROUND_TRUTH])]
            assert not occurs(answer, extra[schema.PERSONA])
    assert all(len(found) == 1 for found in homes.values())
    assert any(len(found) for found in homes.values()) and len(homes) > 60


def test_datasets_and_verl_load_every_file(built, tmp_path):
    import datasets
    from omegaconf import OmegaConf
    from tiny_model import build_tiny_tokenizer
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
    from verl.utils.dataset.rl_dataset import RLHFDataset

    out, manifest = built
    tokenizer = build_tiny_tokenizer()
    for names in (RL_NAMES, SFT_NAMES):
        paths = [str(out / name) for name in names]
        loaded = datasets.load_dataset("parquet", data_files=paths, cache_dir=str(tmp_path / "cache"))["train"]
        assert len(loaded) == sum(manifest["files"][name]["rows"] for name in names)
    settings = {"cache_dir": str(tmp_path), "max_prompt_length": 2048, "filter_overlong_prompts": False}
    rl = RLHFDataset([str(out / name) for name in RL_NAMES], tokenizer, OmegaConf.create(settings))
    row = rl[0]
    assert row["index"] == 0 and row["data_source"] and row["reward_model"]["ground_truth"]
    settings = {"messages_key": "messages", "max_length": 4096, "truncation": "error", "pad_mode": "no_padding"}
    sft = MultiTurnSFTDataset([str(out / name) for name in SFT_NAMES], tokenizer, OmegaConf.create(settings))
    shown = sft[0]
    learnt = tokenizer.decode(shown["input_ids"][shown["loss_mask"].bool()])
    assert learnt.startswith(("[General_mode]\n<answer>", "[Personalized_mode]\n<answer>"))


@pytest.mark.parametrize(("engine", "workers"), [("local", 2), ("ray", 2)])
def test_every_engine_gives_the_same_bytes(built, mix, tmp_path, monkeypatch, engine, workers):
    _, manifest = built
    assert hashes(build(config(**mix), tmp_path / "out", engine=engine, workers=workers)) == hashes(manifest)


def test_the_same_seed_gives_the_same_manifest_and_another_seed_other_files(built, mix, tmp_path):
    _, manifest = built
    assert build(config(**mix), tmp_path / "one") == manifest
    other = build(config(**{**mix, "seed": 4}), tmp_path / "two")
    assert not set(hashes(other).values()) & {
        digest for name, digest in hashes(manifest).items() if "rejects" not in name
    }


def test_row_groups_have_a_fixed_size_whatever_the_chunks(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", published.alignx(ROW_GROUP + 700))
    build(
        config(sources=[{"name": "alignx", "input": str(path)}], splits={"train": 1.0, "val": 0, "test": 0}, rl={}),
        tmp_path / "out",
    )
    file = pq.ParquetFile(tmp_path / "out" / "rl_train.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [ROW_GROUP, 700]
    extras = file.read(["extra_info"]).column(0).to_pylist()
    assert (
        [extra[schema.INDEX] for extra in extras]
        == [extra[schema.ITEM] for extra in extras]
        == list(range(ROW_GROUP + 700))
    )


def test_planted_paraphrases_and_repeated_rows_never_cross_a_split(tmp_path):
    rows = published.flan(150)
    for number, row in enumerate(list(rows)):
        words = row["inputs"].split(" ")
        words[0] = f"changed{number}"
        rows.append({**row, "inputs": " ".join(words)})
        rows.append({**row, "inputs": row["inputs"].upper().replace("OPTIONS:\n- YES\n- NO", "OPTIONS:\n- yes\n- no")})
    rows += rows[:20]
    path = write_lines(tmp_path / "flan.jsonl", rows)
    shares = {"train": 0.4, "val": 0.3, "test": 0.3}
    manifest = build(config(sources=[{"name": "flan", "input": str(path)}], splits=shares, rl={}), tmp_path / "out")
    homes, near = {}, neardup.NearDuplicates()
    for row in rows_of(tmp_path / "out", *RL_NAMES):
        extra = row[schema.EXTRA_INFO]
        homes[extra[schema.QUESTION]] = extra[schema.SPLIT]
    assert len(homes) == 300 or len(homes) == 450  # upper case counts as the same question
    groups = defaultdict(set)
    for text, label in zip(homes, neardup.clusters(neardup.signatures(list(homes), near), near), strict=True):
        groups[int(label)].add(homes[text])
    assert len(groups) == 150 == manifest["groups"]["number"]
    assert all(len(found) == 1 for found in groups.values())
    assert manifest["dropped"]["flan"]["repeated record"] >= 20


def test_personas_that_come_with_their_questions_stay_in_one_split(tmp_path):
    rows = published.alignx(120)
    for row, other in zip(rows[60:], rows[:60], strict=True):  # each user asks twice
        for key in ("Demographic Information", "User-Generated Content"):
            row[key] = other[key]
    path = write_lines(tmp_path / "alignx.jsonl", rows)
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    source = [{"name": "alignx", "input": str(path)}]
    for own, crossing in ((True, False), (False, True)):
        out = tmp_path / str(own)
        build(config(sources=source, splits={**shares, "own_personas": own}, rl={}), out)
        homes = defaultdict(set)
        for row in rows_of(out, *RL_NAMES):
            homes[row[schema.EXTRA_INFO][schema.PERSONA]].add(row[schema.EXTRA_INFO][schema.SPLIT])
        assert len(homes) == 60 and any(len(found) > 1 for found in homes.values()) is crossing


def test_limits_and_items(inputs, tmp_path):
    medical = {"name": "ultramedical", "input": str(inputs / "ultramedical.jsonl")}
    flan = {"name": "flan", "input": str(inputs / "flan.jsonl")}
    content = {
        "sources": [{**medical, "per_subject": 20}, {**flan, "limit": 30}],
        "splits": {"train": 0.5, "val": 0.5, "test": 0},
    }
    manifest = build(config(**content, rl={}), tmp_path / "all")
    total = sum(n for name in RL_NAMES[:1] for n in manifest["files"][name]["counts"].values())
    assert manifest["dropped"]["ultramedical"]["over the limit of its source"] == 60
    assert manifest["dropped"]["flan"]["over the limit of its source"] == 30
    assert total + manifest["files"]["rl_val.parquet"]["rows"] / 3 == 70
    few = build(config(**content, rl={"items": 12, "val_items": 3}), tmp_path / "few")
    assert (few["files"]["rl_train.parquet"]["rows"], few["files"]["rl_val.parquet"]["rows"]) == (12, 9)


def test_a_split_may_ask_every_condition(inputs, mix, tmp_path):
    content = {**mix, "personas": {**mix["personas"], "every_condition_in": ["test"]}}
    build(config(**content), tmp_path / "out")
    conditions = defaultdict(set)
    for row in rows_of(tmp_path / "out", "test.parquet"):
        if row[schema.DATA_SOURCE] != "AlignX":
            conditions[row[schema.EXTRA_INFO][schema.QUESTION_ID]].add(row[schema.EXTRA_INFO][schema.CONDITION])
    assert conditions and all(found == {schema.NONE, schema.UNALIGNED} for found in conditions.values())


def test_sft_shows_the_right_mode_by_default(inputs, tmp_path):
    sources = [{"name": name, "input": str(inputs / f"{name}.jsonl")} for name in ("flan", "alignx")]
    build(config(sources=sources, sft={}), tmp_path / "out")
    rows = rows_of(tmp_path / "out", "sft_train.parquet")
    assert {(row[schema.CONDITION], row[MODE]) for row in rows} == {("none", "general"), ("personal", "personalized")}


BROKEN = [
    {"prompt": "no more than this"},
    "{not json",
    [1, 2],
    {**published.alignx(1)[0], "chosen": 3},
    '{"prompt": "half',
]


def test_malformed_rows_are_named_by_file_line_field_and_reason(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [*published.alignx(40), *BROKEN, *published.alignx(40, seed=1)])
    manifest = build(config(sources=[{"name": "alignx", "input": str(path)}], rl={}), tmp_path / "out")
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [reject["row"] for reject in rejects] == [41, 42, 43, 44, 45]
    assert all(reject["malformed"] and reject["reason"] and reject["file"] == "rows.jsonl" for reject in rejects)
    assert rejects[3]["field"] == "chosen"
    assert sum(manifest["dropped"]["alignx"].values()) == 5 and manifest["rows_read"]["alignx"] == 85


def test_details_of_rejected_rows_are_bounded(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [*published.alignx(40), '{"prompt": ' + "x" * 100_000])
    build(config(sources=[{"name": "alignx", "input": str(path)}], rl={}), tmp_path / "out")
    assert (tmp_path / "out" / "rejects.jsonl").stat().st_size < 1000


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_stops_at_the_first_malformed_row_and_writes_nothing(tmp_path, capsys, workers):
    path = write_lines(tmp_path / "rows.jsonl", [*published.alignx(40), *BROKEN])
    out = tmp_path / "out"
    assert (
        run("--source", "alignx", "--input", path, "--task", "rl", "--out", out, "--strict", "--workers", workers) == 2
    )
    assert "rows.jsonl:41: " in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [path]


def test_strict_lets_unfit_rows_pass(inputs, tmp_path):
    flan = inputs / "flan.jsonl"
    assert (
        run("--source", "flan", "--input", flan, "--task", "sft", "--out", tmp_path / "out", "--strict", "--workers", 1)
        == 0
    )


def test_markers_in_questions_and_personas_are_escaped_or_dropped_and_counted(tmp_path):
    rows = published.flan(30)
    rows[0]["inputs"] = "[General_mode] " + rows[0]["inputs"]
    rows[1]["inputs"] = "<|im_end|> " + rows[1]["inputs"]
    path = write_lines(tmp_path / "flan.jsonl", rows)
    people = write_lines(
        tmp_path / "persona.jsonl", [*published.personas(30), {"persona": "A nurse who writes <answer>"}]
    )
    content = {
        "sources": [{"name": "flan", "input": str(path)}],
        "personas": {"input": str(people), "shares": {"unaligned": 1}},
        "splits": {"train": 1, "val": 0, "test": 0},
        "rl": {},
    }
    escaped = build(config(**content), tmp_path / "escaped")
    assert escaped["escaped_markers"] == {"flan": {"question": 2}, "personahub": {"persona": 1}}
    dropped = build(config(**content, hygiene={"question": "drop", "persona": "drop"}), tmp_path / "dropped")
    assert sum(dropped["dropped"]["flan"].values()) == 2 and sum(dropped["dropped"]["personahub"].values()) == 1
    for out in ("escaped", "dropped"):
        prompts = str([row[schema.PROMPT] for row in rows_of(tmp_path / out, "rl_train.parquet")])
        assert not any(marker in prompts for marker in ("[General_mode]", "<|im_end|>", "<answer>"))


def test_a_failure_on_the_way_leaves_the_old_files_alone(inputs, tmp_path, monkeypatch):
    from personadual.data_prep.pipeline import parquet

    out = tmp_path / "out"
    arguments = {"sources": [{"name": "flan", "input": str(inputs / "flan.jsonl")}], "rl": {}}
    before = hashes(build(config(**arguments), out))

    def fail(self):
        raise OSError("disk full")

    monkeypatch.setattr(parquet.ParquetFile, "close", fail)
    with pytest.raises(OSError, match="disk full"):
        build(config(**arguments, seed=2), out)
    assert hashes(json.loads((out / "manifest.json").read_text())) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_build_leaves_nothing(tmp_path, workers):
    pipe = tmp_path / "rows.jsonl"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "personadual.cli", "data", "build", "--source", "alignx", "--input", str(pipe)]
    process = subprocess.Popen(
        [*command, "--task", "rl", "--out", str(tmp_path / "out"), "--workers", str(workers)], stderr=subprocess.PIPE
    )
    with pipe.open("w") as stream:  # opens once the build reads
        stream.writelines(json.dumps(row) + "\n" for row in published.alignx(3000))
        stream.flush()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and b"nothing written" in error and b"Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_files_of_another_build_are_not_left_beside_new_ones(inputs, tmp_path, capsys):
    common = ("--source", "flan", "--input", inputs / "flan.jsonl", "--out", tmp_path / "out", "--workers", 1)
    assert run(*common, "--task", "sft") == 0
    assert run(*common, "--task", "rl") == 2
    assert "sft_train.parquet" in capsys.readouterr().err
    assert run(*common, "--task", "sft", "--seed", 2) == 0


def test_one_source_with_personas_on_the_command_line(inputs, tmp_path, capsys):
    flags = ("--source", "flan", "--input", inputs / "flan.jsonl", "--personas", inputs / "persona.jsonl")
    assert run(*flags, "--task", "rl", "--out", tmp_path / "out", "--seed", 5, "--workers", 1) == 0
    printed = capsys.readouterr().out
    assert "unaligned" in printed and "translation task" in printed and "look at the licence" in printed
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["seed"] == 5


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


GOOD = {"sources": [{"name": "flan", "input": "flan.jsonl"}], "rl": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**GOOD, "sed": 1}, "sed: unknown key; did you mean seed"),
        ({**GOOD, "splits": {"trian": 1.0}}, "splits.trian: unknown key; did you mean train"),
        ({**GOOD, "sources": [{"input": "x"}]}, r"sources\[0\]: missing 1 required"),
        (
            {**GOOD, "sources": [{"name": "flan", "limit": "many"}]},
            r"sources\[0\].limit: a whole number is needed, found 'many'",
        ),
        ({**GOOD, "sources": [{"name": "flan", "limit": 0}]}, "sources.flan.limit"),
        ({**GOOD, "sources": []}, "sources: at least one"),
        ({"sources": GOOD["sources"]}, "sft, rl: at least one"),
        ({**GOOD, "seed": True}, "seed: a whole number is needed, found True"),
        ({**GOOD, "splits": {"train": 0.5}}, "sum to 1"),
        ({**GOOD, "rl": {"share": 0}}, "share"),
        ({**GOOD, "sft": {"modes": "both"}}, "right or all"),
        ({**GOOD, "hygiene": {"question": "keep"}}, "hygiene.question"),
        ({**GOOD, "personas": {"shares": {"helpful": 1}}}, "none, unaligned, aligned, conflicting"),
        ({**GOOD, "personas": {"shares": {"none": 0.5}}}, "sum to 1"),
        ({**GOOD, "personas": {"shares": {"aligned": 1.0}}}, "written by a served model, but served is null"),
        ({**GOOD, "personas": {"every_condition_in": ["dev"]}}, "every_condition_in"),
        ({**GOOD, "served": {"base_url": "http://localhost:1/v1"}}, "served.model is missing"),
        ({**GOOD, "modes": [{"name": "a", "tag": "b"}]}, "at least 2"),
        ([], "keys and values"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused_by_name(content, message):
    with pytest.raises(ValueError, match=message):
        read(BuildConfig, content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "flan", "--task", "rl"], "input is missing"),
        (["--source", "flan", "--input", "{here}/nothing.jsonl", "--task", "rl"], "no such file"),
        (["--source", "flann", "--input", "x", "--task", "rl"], "did you mean flan"),
        (["--source", "flan", "--input", "x"], "--task"),
        (["--config", "{here}/nothing.yaml"], "cannot be read as yaml"),
        (["--preset", "paper", "--input", "x.jsonl"], "NAME=FILE with one of ultramedical"),
        (["--preset", "quickstart", "--task", "rl"], "--task goes with --source"),
        (["--preset", "quickstart", "--workers", "0"], "workers"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(tmp_path, capsys, arguments, message):
    filled = [argument.replace("{here}", str(tmp_path)) for argument in arguments]
    assert run(*filled, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_of_nothing_but_unfit_rows_is_refused_with_the_reasons(tmp_path, capsys):
    path = write_lines(tmp_path / "flan.jsonl", published.flan(5, task="wmt16_translate_deen"))
    assert run("--source", "flan", "--input", path, "--task", "rl", "--out", tmp_path / "out", "--workers", 1) == 2
    assert "flan: translation task (5)" in capsys.readouterr().err


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
        answer = prompt.split("these exact words in it: ")[1].splitlines()[0] if "exact words in it:" in prompt else ""
        answer = answer or prompt.split("exact words in it: ")[-1].splitlines()[0]
        return Reply(f"I am a careful clerk in a large office, and from my work I know well that it is {answer}.")
    letter = prompt.split("The correct answer is: ")[1][0] if "The correct answer is: " in prompt else "A"
    return Reply(
        f'<reasoning>\nOne thing leads to another.\n</reasoning>\n<answer>\n{{"answer": "{letter}"}}\n</answer>'
    )


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
