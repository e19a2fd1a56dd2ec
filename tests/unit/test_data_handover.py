"""Task folders for lm-eval: what is in them, and that their functions grade as training does."""

import importlib.util
import json
from collections import Counter

import pytest
import yaml
from published_rows import gsm8k, mmlu, personas, write_lines
from standard_rows import MESSAGES, gpqa

from personadual import schema
from personadual.cli import main
from personadual.data_prep.handover import scoring
from personadual.data_prep.handover.lm_eval import write_tasks
from personadual.evaluation.data import Item
from personadual.modes import DEFAULT_MODES, Modes
from personadual.reward_fns import compute_score

FUNCTIONS = {"custom_dataset": "utils.documents", "process_results": "utils.process_results"}


class Loader(yaml.SafeLoader):
    """As lm-eval reads a task, with the names of functions in their place."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def tasks_in(folder):
    return {path.stem: yaml.load(path.read_text(), Loader) for path in sorted(folder.glob("*.yaml"))}


def utils_of(folder):
    spec = importlib.util.spec_from_file_location("handed_over", folder / "utils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def handover(*arguments):
    return main(["data", "handover", *map(str, arguments), "--to", "lm-eval"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two evaluation files, as ``data build`` writes them."""
    folder = tmp_path_factory.mktemp("files")
    people = write_lines(folder / "persona.jsonl", personas(30))
    write_lines(folder / "mmlu.jsonl", mmlu(6))
    write_lines(folder / "gsm8k.jsonl", gsm8k(4))
    built = []
    for name, own in (("mmlu", ["--personas", str(people)]), ("gsm8k", [])):
        out = folder / name
        arguments = ["--source", name, "--input", str(folder / f"{name}.jsonl"), "--task", "eval", *own]
        assert main(["data", "build", *arguments, "--out", str(out), "--workers", "1"]) == 0
        built.append(out / "test.parquet")
    return built


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("handover") / "tasks"
    assert handover(*files, "--out", out, "--max-tokens", 96) == 0
    return out


def test_a_task_for_each_source_condition_and_mode(folder):
    tasks = tasks_in(folder)
    modes = ("free", "general", "personalized")
    conditions = [("mmlu", "none"), ("mmlu", "unaligned"), ("gsm8k", "none")]
    assert set(tasks) == {f"personadual_{name}_{condition}_{mode}" for name, condition in conditions for mode in modes}
    assert Counter(tag for task in tasks.values() for tag in task["tag"]) == {
        "personadual": 9,
        "personadual_mmlu": 6,
        "personadual_gsm8k": 3,
    }
    for name, task in tasks.items():
        assert task["task"] == name and {key: task[key] for key in FUNCTIONS} == FUNCTIONS
        assert task["output_type"] == "generate_until" and task["num_fewshot"] == 0
        assert task["generation_kwargs"] == {"until": [], "do_sample": False, "max_gen_toks": 96}
        assert ("gen_prefix" in task) == (not name.endswith("_free"))
    assert {path.name for path in folder.iterdir()} >= {"utils.py", "mmlu.jsonl", "gsm8k.jsonl"}


def test_documents_hold_the_prompt_and_the_forced_beginning(folder):
    utils = utils_of(folder)
    for name, task in tasks_in(folder).items():
        found = utils.documents(**task["metadata"], **task["dataset_kwargs"])[task["test_split"]]
        assert len(found) == (4 if "gsm8k" in name else 6)
        prefixes = {"free": "", "general": "[General_mode]\n", "personalized": "[Personalized_mode]\n"}
        for doc in found:
            row = json.loads(doc["row"])
            extra = row[schema.EXTRA_INFO]
            assert doc["prefix"] == prefixes[name.rsplit("_", 1)[1]] and doc["truth"] == row[schema.GROUND_TRUTH]
            assert doc[task["doc_to_text"]].startswith(extra[schema.QUESTION])
            assert doc[task["doc_to_text"]].endswith("Answer in JSON.")
            assert (extra[schema.PERSONA] or "No profile") in doc[task["description"]]
            assert extra[schema.CONDITION] == task["dataset_kwargs"]["condition"]


@pytest.mark.parametrize("asked", ["free", "general", "personalized"])
@pytest.mark.parametrize("beginning", ["", "[General_mode]\n", "[Personalized_mode]\n", "I think ["])
@pytest.mark.parametrize("answer", ['<answer>\n{"answer": "%s"}\n</answer>', '{"answer": "%s"}', "%s", ""])
def test_an_answer_gets_the_trainings_grade(folder, asked, beginning, answer):
    utils = utils_of(folder)
    for name in ("mmlu", "gsm8k"):
        for doc in utils.documents(f"{name}.jsonl", "none", asked)["test"]:
            text = beginning + (answer % doc["truth"] if answer else "")
            row = json.loads(doc["row"])
            wanted = compute_score(name, doc["prefix"] + text, row["ground_truth"], extra_info=row["extra_info"])
            found = utils.process_results(doc, [text])
            assert found == {metric: wanted[metric] for metric in found}
            assert list(found) == [
                entry["metric"] for entry in tasks_in(folder)[f"personadual_{name}_none_free"]["metric_list"]
            ]


def test_right_answers_are_right_in_every_mode(folder):
    utils = utils_of(folder)
    for asked, mode in (("general", "mode_general"), ("personalized", "mode_personalized")):
        for doc in utils.documents("gsm8k.jsonl", "none", asked)["test"]:
            found = utils.process_results(doc, [f'<answer>\n{{"answer": "{doc["truth"]}"}}\n</answer>'])
            assert found["acc"] == found["format"] == found[mode] == 1.0 and found["mode_invalid"] == 0.0


def test_modes_and_graders_of_ones_own(tmp_path):
    modes = Modes.from_config([{"name": "think", "tag": "[思考]"}, {"name": "direct", "tag": "[\"'{直接}]"}])
    write_tasks(tmp_path, [item("my.set/1", truth="yes")], modes, {"my.set/1": "objective"})
    assert set(tasks_in(tmp_path)) == {f"personadual_my_set_1_none_{mode}" for mode in ("free", "think", "direct")}
    utils = utils_of(tmp_path)
    (doc,) = utils.documents("my_set_1.jsonl", "none", "direct", version=1.0)["test"]
    assert doc["prefix"] == modes[1].prefix
    found = utils.process_results(doc, ['<answer>\n{"answer": "yes"}\n</answer>'])
    assert found["acc"] == found["mode_direct"] == 1.0 and "mode_general" not in found


ODD = "Who {{x}}?\u2028\x1c"


def item(source="mmlu", number=0, prompt=None, truth="A", **extra):
    prompt = prompt or [
        {"role": "system", "content": "No profile."},
        {"role": "user", "content": "Who {{x}}?\u2028\x1c"},
    ]
    info = {schema.ITEM: number, schema.CONDITION: "none", schema.OPTIONS: None, **extra}
    return Item(number, prompt, source, truth, info)


def test_texts_arrive_as_they_are_and_without_a_system_message(tmp_path):
    alone = [{"role": "user", "content": "Who?"}]
    write_tasks(tmp_path, [item(), item(number=1, prompt=alone)], DEFAULT_MODES, {})
    docs = scoring.documents(
        tmp_path / "mmlu.jsonl", [{"name": m.name, "tag": m.tag} for m in DEFAULT_MODES], "none", "free"
    )
    assert [(doc["system"], doc["user"]) for doc in docs["test"]] == [
        ("No profile.", ODD),
        ("", "Who?"),
    ]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "there is no item"),
        ([item("my_set")], "no grader knows the data source 'my_set'"),
        ([item("quickstart_a"), item("quickstart-a"), item("quickstart a")], "known are|two have the same name"),
        (
            [item(prompt=[{"role": m["role"], "content": "x"} for m in MESSAGES])],
            "a user message, and a system message",
        ),
    ],
)
def test_items_that_are_refused(tmp_path, items, message):
    with pytest.raises(ValueError, match=message):
        write_tasks(tmp_path, items, DEFAULT_MODES, {})
    assert not list(tmp_path.iterdir())


def test_an_unknown_condition_of_a_folder(folder):
    with pytest.raises(ValueError, match="no document of the condition 'conflicting'"):
        utils_of(folder).documents("mmlu.jsonl", "conflicting", "free")


def test_tasks_of_another_handover_do_not_stay(files, tmp_path, capsys):
    assert handover(files[0], "--out", tmp_path) == 0
    assert handover(files[0], "--out", tmp_path) == 0
    capsys.readouterr()
    assert handover(files[1], "--out", tmp_path) == 2
    assert "personadual_mmlu_none_free.yaml of another hand-over would be run too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no.parquet"], "no.parquet"),
        (["FILE", "--max-tokens", "0"], "--max-tokens: at least 1"),
        (["FILE", "--graders", "mmlu"], "SOURCE=GRADER is needed"),
        (["FILE", "--graders", "mmlu=nice"], "unknown grader 'nice'"),
    ],
)
def test_wrong_usage_is_one_line(files, tmp_path, capsys, arguments, words):
    given = [files[0] if argument == "FILE" else argument for argument in arguments]
    assert handover(*given, "--out", tmp_path / "out") == 2
    captured = capsys.readouterr()
    assert words in captured.err and len(captured.err.splitlines()) == 1 and captured.out == ""


def test_a_private_set_is_pointed_out(tmp_path, capsys):
    write_lines(tmp_path / "g.jsonl", [gpqa(number) for number in range(3)])
    arguments = ["--source", "gpqa", "--input", str(tmp_path / "g.jsonl"), "--task", "eval", "--workers", "1"]
    assert main(["data", "build", *arguments, "--out", str(tmp_path / "built")]) == 0
    capsys.readouterr()
    assert handover(tmp_path / "built" / "test.parquet", "--out", tmp_path / "tasks") == 0
    printed = capsys.readouterr().out
    assert "without --log_samples: gpqa must not be shown" in printed and "--apply_chat_template" in printed
