"""Whole builds, from files in the sets' own formats to what verl loads."""

import json
from collections import Counter, defaultdict

import published_rows as published
import pyarrow.parquet as pq
import pytest
from build_inputs import RL_NAMES, SFT_NAMES, config, hashes, mix_of, rows_of, write_inputs
from published_rows import write_lines

from personadual import schema
from personadual.data_prep import neardup, splits
from personadual.data_prep.build import build
from personadual.data_prep.columns import MODE, RL_SCHEMA, SFT_SCHEMA
from personadual.data_prep.pipeline.parquet import ROW_GROUP
from personadual.data_prep.served.texts import occurs
from personadual.modes import parse_mode
from personadual.reward_fns import compute_score
from personadual.reward_fns.matching import is_right


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def mix(inputs):
    return mix_of(inputs)


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


def test_sft_shows_an_item_in_every_mode_unless_the_right_one_alone_is_asked_for(inputs, tmp_path):
    sources = [{"name": name, "input": str(inputs / f"{name}.jsonl")} for name in ("flan", "alignx")]
    right = {("none", "general"), ("personal", "personalized")}
    every = right | {("none", "personalized"), ("personal", "general")}
    for name, sft, shown in (("every", {}, every), ("right", {"modes": "right"}, right)):
        build(config(sources=sources, sft=sft), tmp_path / name)
        rows = rows_of(tmp_path / name, "sft_train.parquet")
        assert {(row[schema.CONDITION], row[MODE]) for row in rows} == shown
