"""``personadual export`` without training: which checkpoint is meant, what is refused, and what the card may say."""

from __future__ import annotations

import ast
import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from tiny_model import build_tiny_model

from personadual import cli
from personadual.export import ExportError
from personadual.export.card import card, shown
from personadual.export.checkpoint import Checkpoint, check_shards, find_checkpoint
from personadual.export.checks import agreement, chosen_kind
from personadual.export.evidence import read_manifest, read_metrics, read_report
from personadual.export.folder import check_output, staged
from personadual.export.push import check_repo_id, push
from personadual.export.training import UNRESOLVED, find_config, lookup, read_training
from personadual.modes import DEFAULT_MODES, Mode, Modes

HOSTILE = [
    "a\n---\nlicense: mit\n# injected",
    "| x | [a](http://evil.example) <script>alert(1)</script>",
    "```\n# out of the fence\n````python\nimport os",
    '"); import os; os.system("true") #',
    "&#91;x&#93; ![i](http://evil.example/i.png) @someone www.evil.example",
    "{{ 7 * 7 }} ${oc.env:HOME} !!python/object:os.system",
    "\u202eabc\u2028def\x1b[31m",
    "",
]


def zip_shard(path: Path, text: str = "weights") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", text * 100)
    return path


def make_checkpoint(folder: Path, ranks: int = 1, shards: bool = True, full: bool = False) -> Path:
    """Files as verl lays them out; the shards are archives without tensors."""
    (folder / "huggingface").mkdir(parents=True)
    (folder / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": ranks}))
    (folder / "huggingface" / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    for rank in range(ranks if shards else 0):
        zip_shard(folder / f"model_world_size_{ranks}_rank_{rank}.pt")
    if full:
        (folder / "huggingface" / "model.safetensors").write_bytes(b"not looked into here")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(build_tiny_model(tmp_path_factory.mktemp("tiny")))


def full_checkpoint(run: Path, model: Path, step: int = 3) -> Path:
    """An RL checkpoint of which only the full model was saved."""
    folder = make_checkpoint(run / f"global_step_{step}" / "actor", shards=False)
    shutil.copytree(model, folder / "huggingface", dirs_exist_ok=True)
    (run / "latest_checkpointed_iteration.txt").write_text(str(step))
    return folder


# Which checkpoint


@pytest.mark.parametrize("given", ["", "global_step_12", "global_step_12/actor", "global_step_12/actor/huggingface"])
def test_every_way_to_name_an_rl_checkpoint(tmp_path, given):
    folder = make_checkpoint(tmp_path / "run" / "global_step_12" / "actor", ranks=2)
    make_checkpoint(tmp_path / "run" / "global_step_9" / "actor")
    (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text("12")
    found = find_checkpoint(tmp_path / "run" / given)
    assert (found.folder, found.step, found.name, found.weights) == (folder, 12, "global_step_12/actor", "shards")
    assert [path.name[-9:] for path in found.shards] == ["rank_0.pt", "rank_1.pt"]


@pytest.mark.parametrize("given", ["", "global_step_4"])
def test_an_sft_checkpoint_and_one_that_was_moved(tmp_path, given):
    make_checkpoint(tmp_path / "run" / "global_step_4")
    (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text("4\n")
    assert find_checkpoint(tmp_path / "run" / given).name == "global_step_4"
    moved = make_checkpoint(tmp_path / "mine")
    assert (find_checkpoint(moved).name, find_checkpoint(moved).step) == ("mine", None)


def test_the_full_model_is_preferred_and_shards_can_be_asked_for(tmp_path):
    folder = make_checkpoint(tmp_path / "global_step_1", full=True)
    assert find_checkpoint(folder).weights == "huggingface"
    assert find_checkpoint(folder, "shards").weights == "shards"
    without = make_checkpoint(tmp_path / "global_step_2")
    with pytest.raises(ExportError, match="holds no safetensors"):
        find_checkpoint(without, "huggingface")


def test_a_full_model_does_not_need_every_shard(tmp_path):
    folder = make_checkpoint(tmp_path / "global_step_1", ranks=2, full=True)
    (folder / "model_world_size_2_rank_1.pt").unlink()
    assert find_checkpoint(folder).shards == ()


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str):
    def act(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return act


INDEX = "huggingface/model.safetensors.index.json"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            remove("model_world_size_2_rank_0.pt"),
            r"shard 1 of 2 is missing \(model_world_size_2_rank_0",
        ),
        (remove("fsdp_config.json"), "fsdp_config.json is missing"),
        (remove("huggingface/config.json"), "config.json: missing"),
        (write("fsdp_config.json", '{"world_size": -1}'), "world_size.*must be a number of ranks, found -1"),
        (write("fsdp_config.json", '{"world_size": 99999999999}'), "must be a number of ranks"),
        (write("fsdp_config.json", "{"), "cannot be read as JSON"),
        (write("fsdp_config.json", "[" * 100000), "cannot be read as JSON"),
        (write("lora_train_meta.json", "{}"), "a LoRA checkpoint.*merge_and_unload"),
        (write("huggingface/config.json", '{"architectures": ["LlamaForTokenClassification"]}'), "a language model"),
        (
            write("huggingface/config.json", '{"architectures": ["XForCausalLM"], "auto_map": {"a": "b"}}'),
            "code of its",
        ),
        (write(INDEX, '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'), "1 of the 1 files of .* missing"),
        (write(INDEX, '{"weight_map": {"a": "../../secret.safetensors"}}'), "names of safetensors files is needed"),
        (write("model/huggingface/config.json", "{}"), "a Megatron checkpoint"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, act, message):
    folder = make_checkpoint(tmp_path / "global_step_1", ranks=2)
    act(folder)
    with pytest.raises(ExportError, match=message):
        find_checkpoint(folder)


def test_folders_that_are_no_checkpoints(tmp_path):
    with pytest.raises(ExportError, match="not a folder"):
        find_checkpoint(tmp_path / "none")
    make_checkpoint(tmp_path / "run" / "global_step_1")
    with pytest.raises(ExportError, match="it has global_step_ 1, give one of them"):
        find_checkpoint(tmp_path / "run")
    for content in ("7", "../..", "", "1" * 1000):
        (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text(content)
        with pytest.raises(ExportError, match=r"names step .* which is not there"):
            find_checkpoint(tmp_path / "run")
    with pytest.raises(ExportError, match="a critic"):
        find_checkpoint(make_checkpoint(tmp_path / "global_step_2" / "critic"))
    empty = make_checkpoint(tmp_path / "global_step_3", shards=False)
    with pytest.raises(ExportError, match=r"no weights.*hf_model in checkpoint.save_contents"):
        find_checkpoint(empty)


def test_truncated_and_damaged_shards_are_named(tmp_path):
    folder = make_checkpoint(tmp_path / "global_step_1", ranks=2)
    checkpoint = find_checkpoint(folder)
    check_shards(checkpoint)
    second = checkpoint.shards[1]
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError, match="shard 2 of 2 is truncated"):
        check_shards(checkpoint)
    second.write_bytes(whole.replace(b"weights", b"Weights", 1))
    with pytest.raises(ExportError, match="shard 2 of 2 is damaged"):
        check_shards(checkpoint)


# Weights


class Dangerous:
    """What a pickle of it does when it is read, it does to a file of the test's."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def test_a_shard_that_would_run_code_is_refused_and_does_not(tmp_path):
    import torch

    from personadual.export.weights import shard_tensors

    path = tmp_path / "model_world_size_1_rank_0.pt"
    torch.save({"weight": torch.ones(2), "more": Dangerous(tmp_path / "canary")}, path)
    with pytest.raises(ExportError, match="shard 1 of 1 cannot be read as weights alone"):
        list(shard_tensors([path]))
    assert not (tmp_path / "canary").exists()


def test_weights_are_compared_tensor_by_tensor(tmp_path):
    import torch

    from personadual.export.weights import compare, shard_tensors

    path = tmp_path / "shard.pt"
    held = {"a": torch.arange(12.0).reshape(3, 4) / 8 + 1e-4, "b": torch.ones(2)}
    torch.save(held, path)
    rounded = {name: tensor.bfloat16() for name, tensor in held.items()}
    found = compare(rounded, shard_tensors([path]))
    assert found == {"tensors": 2, "dtype": ["bfloat16"], "checkpoint_dtype": ["float32"]}
    changed = {**rounded, "a": rounded["a"] + 1}
    wrong = {
        "a differs by up to 1": changed,
        "b is not in the exported model": {"a": rounded["a"]},
        "c is not in the checkpoint": {**rounded, "c": torch.ones(1)},
        "b has the shape": {**rounded, "b": torch.ones(3)},
        "b holds values that are not finite": {**rounded, "b": torch.tensor([1.0, float("nan")])},
    }
    for message, state in wrong.items():
        with pytest.raises(ExportError, match=f"not the checkpoint's: .*{message}"):
            compare(state, shard_tensors([path]))


def test_ranks_that_disagree_are_refused(tmp_path):
    import torch

    from personadual.export.weights import shard_tensors

    for rank, value in enumerate((1.0, 2.0)):
        torch.save({"buffer": torch.tensor([value])}, tmp_path / f"{rank}.pt")
    with pytest.raises(ExportError, match="buffer: differs between the ranks"):
        list(shard_tensors([tmp_path / "0.pt", tmp_path / "1.pt"]))


def test_engines_must_agree():
    assert agreement([[-1.0] * 9, [-2.0]], [[-1.0] * 9, [-2.0005]], 1e-3)["largest"] == pytest.approx(5e-4)
    with pytest.raises(ExportError, match=r"mean 0.0005\), at most 0.001 \(mean 0.0001\)"):
        agreement([[-1.0, -2.0]], [[-1.0005, -2.0005]], 1e-3)
    with pytest.raises(ExportError, match=r"disagree: .* differ by up to 0.5 \(mean 0.25\), at most 0.001"):
        agreement([[-1.0, -2.0]], [[-1.0, -2.5]], 1e-3)
    with pytest.raises(ExportError, match="not finite"):
        agreement([[-1.0]], [[float("nan")]], 1e-3)


def test_vllm_can_only_be_asked_for_where_it_is(monkeypatch):
    monkeypatch.setattr("personadual.export.checks.version_of", lambda *names: None)
    assert chosen_kind("auto") == "transformers"
    with pytest.raises(ExportError, match="not installed"):
        chosen_kind("vllm")


# What is known of the training


def rl_config(**changes) -> dict:
    config = {
        "actor_rollout_ref": {
            "model": {"path": "/home/someone/models/base-7b/"},
            "actor": {"optim": {"lr": 1e-6}, "kl_loss_coef": 0.04},
            "rollout": {"n": 8, "temperature": 0.6, "dtype": "${actor_rollout_ref.missing}"},
        },
        "algorithm": {"adv_estimator": "dual_grpo", "dual_grpo": {"modes": None, "prefix_weight": 2.0}},
        "data": {"train_files": ["/home/someone/secret/rl_train.parquet"], "seed": "${data.other}", "other": 7},
        "trainer": {"default_local_dir": "runs/${trainer.name}", "name": "run"},
    }
    return {**config, **changes}


def write_config(folder: Path, config: dict) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / ".hydra" / "config.yaml"


@pytest.mark.parametrize("place", ["run/hydra", "run", "hydra", "."])
def test_the_configuration_beside_the_run_is_found(tmp_path, place):
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1" / "actor"))
    assert find_config(checkpoint) is None
    path = write_config(tmp_path / place, rl_config())
    assert find_config(checkpoint) == path
    path.write_text(yaml.safe_dump(rl_config(trainer={"default_local_dir": "runs/another"})))
    assert find_config(checkpoint) is None


def test_training_is_read_without_paths_and_without_resolvers(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONADUAL_SECRET", "hunter2")
    config = rl_config()
    config["algorithm"]["norm_adv_by_std_in_grpo"] = "${oc.env:PERSONADUAL_SECRET}"
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1" / "actor"))
    found = read_training(checkpoint, write_config(tmp_path, config), None, None)
    assert (found.kind, found.base, found.base_is_hub_id, found.modes_from) == ("rl", "base-7b", False, "config")
    assert found.values["data.seed"] == 7
    assert found.values["algorithm.dual_grpo.prefix_weight"] == 2.0
    assert "algorithm.norm_adv_by_std_in_grpo" not in found.values
    assert "actor_rollout_ref.rollout.dtype" not in found.values
    assert shown(found.values["data.train_files"]) == "`rl_train.parquet`"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${b}", 3),
        ("x-${b}-${c.d}", "x-3-four"),
        ("${oc.select:none,5}", "5"),
        ("${none}", UNRESOLVED),
        ("${a}", UNRESOLVED),
        ("${a}${a}${a}", UNRESOLVED),
        ("${oc.env:HOME}", UNRESOLVED),
        ("${b", UNRESOLVED),
        ("${b}" * 1000, UNRESOLVED),
    ],
)
def test_interpolations_are_followed_or_left(value, expected):
    assert lookup({"a": value, "b": 3, "c": {"d": "four"}}, "a") == expected


@pytest.mark.parametrize(
    ("path", "base", "is_hub_id"),
    [("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", True), ("models/sft", "sft", False), (None, None, False)],
)
def test_base_model_is_a_hub_id_only_where_it_is_no_path(tmp_path, path, base, is_hub_id):
    (tmp_path / "models" / "sft").mkdir(parents=True)
    config = rl_config()
    config["actor_rollout_ref"]["model"]["path"] = path
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1" / "actor"))
    found = read_training(checkpoint, write_config(tmp_path, config), None, None)
    assert (found.base, found.base_is_hub_id) == (base, is_hub_id)
    with pytest.raises(ExportError, match="a Hub id OWNER/NAME is needed"):
        read_training(checkpoint, None, None, "../x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "cannot be read as YAML"),
        ("- 1", "a mapping is needed"),
        ("a: !!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        ("x: 1", "neither verl's RL nor its SFT configuration"),
        ("[" * 100000, "cannot be read as YAML"),
        ("optim: {}\ndata: {modes: /nowhere/modes.yaml}", "--modes FILE"),
        ("optim: {}\ndata: {modes: [1, 2]}", "--modes FILE"),
    ],
)
def test_configurations_that_cannot_be_used(tmp_path, text, message):
    checkpoint = find_checkpoint(make_checkpoint(tmp_path / "run" / "global_step_1"))
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ExportError, match=message):
        read_training(checkpoint, tmp_path / "config.yaml", None, None)


# What is known of data, metrics and modes


def metrics_file(path: Path, steps: dict[int, dict]) -> Path:
    path.write_text("".join(json.dumps({"step": step, "data": data}) + "\n" for step, data in steps.items()))
    return path


def test_metrics_are_those_of_the_exported_step(tmp_path):
    path = metrics_file(
        tmp_path / "m.jsonl",
        {
            1: {"critic/score/mean": 0.1, "val-dual/flan/share_general/mean": 0.25, "val-dual/flan/acc_free/mean": 0.5},
            2: {"critic/score/mean": 0.2, "dual_grpo/share_general/mean": 0.5, "actor/kl_loss": float("inf")},
            3: {"critic/score/mean": 0.9, "dual_grpo/openai/gsm8k/prob_general/mean": 0.75},
        },
    )
    found = read_metrics([path], 2, DEFAULT_MODES)
    assert found["named"] == {"critic/score/mean": {"value": 0.2, "step": 2}}
    assert found["choice"] == {
        "flan": {"acc_free": {"value": 0.5, "step": 1}, "share_general": {"value": 0.25, "step": 1}}
    }
    assert found["rollouts"] == {"": {"share_general": {"value": 0.5, "step": 2}}}
    assert read_metrics([path], 3, DEFAULT_MODES)["rollouts"]["openai/gsm8k"]["prob_general"]["value"] == 0.75
    (tmp_path / "bad").write_text("{}\n")
    with pytest.raises(ExportError, match=r"metrics: .*bad"):
        read_metrics([tmp_path / "bad"], None, DEFAULT_MODES)


def test_manifests_of_both_builds_are_shortened(tmp_path):
    path = tmp_path / "manifest.json"
    files = {"a.parquet": {"rows": 3, "sha256": "ab" * 32, "counts": {"none": {"general": 1, "personalized": 2}}}}
    path.write_text(json.dumps({"name": "q", "seed": 1, "licences": {"GeoNames": "CC-BY-4.0"}, "files": files}))
    found = read_manifest(path)
    assert found["files"]["a.parquet"] == {"rows": 3, "sha256": "ab" * 32, "counts": {"none": 3}}
    assert found["licences"] == {"GeoNames": "CC-BY-4.0"}
    path.write_text(json.dumps({"sources": {"flan": {"licence": "Apache-2.0"}, "x": 1}, "files": {"b": {"rows": "?"}}}))
    found = read_manifest(path)
    assert found["licences"] == {"flan": "Apache-2.0"}
    assert found["files"]["b"] == {"rows": None, "sha256": None, "counts": {}}
    path.write_text("{}")
    with pytest.raises(ExportError, match="a data manifest with 'files' is needed"):
        read_manifest(path)


def report_file(path: Path, models: tuple[str, ...] = ("sft", "dualgrpo"), condition: str = "aligned") -> Path:
    rows = [
        {"model": model, "condition": condition, "measure": measure, "value": 0.5, "low": 0.25, "high": 0.75, "n": 25}
        for model in models
        for measure in ("share_general", "prob_general", "acc_free", "regret")
    ]
    path.write_text(json.dumps({"measures": rows}))
    return path


def test_the_model_in_the_report_must_be_clear(tmp_path):
    path = report_file(tmp_path / "report.json")
    found = read_report(path, "sft", DEFAULT_MODES)
    assert set(found["conditions"]["aligned"]) == {"share_general", "prob_general", "acc_free"}
    for label, message in ((None, "2 models"), ("base", "no model 'base'")):
        with pytest.raises(ExportError, match=f"{message} in it; name one by --report-model: sft, dualgrpo"):
            read_report(path, label, DEFAULT_MODES)
    assert read_report(report_file(path, ("one",)), None, DEFAULT_MODES)["model"] == "one"


# The card


def facts(**changes) -> dict:
    return {
        "name": "my-model",
        "checkpoint": {"name": "global_step_3/actor", "step": 3, "ranks": 1, "weights": "shards"},
        "license": None,
        "dtype": ["bfloat16"],
        "versions": {"verl": "verl 0.9.1", "vllm": None},
        "checks": {"kind": "none"},
        "data": None,
        "metrics": None,
        "report": None,
        **changes,
    }


def training_of(tmp_path: Path, config: dict | None, **arguments):
    checkpoint = Checkpoint(tmp_path / "run" / "global_step_3", tmp_path / "run", 3, "shards", ())
    path = write_config(tmp_path / "config", config) if config is not None else None
    return read_training(checkpoint, path, arguments.get("modes"), arguments.get("base"))


def front(text: str) -> dict:
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n", 2)[1])


def test_a_card_of_nothing_says_so(tmp_path):
    text = card(facts(), training_of(tmp_path, None))
    assert set(front(text)) == {"library_name", "pipeline_tag", "tags"}
    for line in ("started from: not given", "trained by: not given", "licence: not given"):
        assert f"- {line}" in text
    for line in ("Configuration: not given.", "Manifest: not given.", "Share of the modes: not given."):
        assert line in text
    assert "No configuration was given at export: these are the project's default modes." in text


def test_a_card_names_base_model_and_licence_where_they_are_known(tmp_path):
    text = card(facts(license="apache-2.0"), training_of(tmp_path, rl_config(), base="Qwen/Qwen2.5-7B"))
    assert front(text)["base_model"] == "Qwen/Qwen2.5-7B" and front(text)["license"] == "apache-2.0"
    assert "dual-grpo" in front(text)["tags"]
    assert "someone" not in text and "secret" not in text


def test_tags_of_other_modes_reach_the_example(tmp_path):
    (tmp_path / "modes.yaml").write_text("- {name: think, tag: '[思考]'}\n- {name: direct, tag: '`x` \"y\"'}\n")
    text = card(facts(), training_of(tmp_path, None, modes=tmp_path / "modes.yaml"))
    (code,) = [block.content for block in rendered(text) if block.type == "fence" and block.info == "python"]
    assert "forced = '[思考]\\n'" in code and "[General_mode]" not in text
    ast.parse(code)


def rendered(text: str) -> list:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").parse(text.split("---\n", 2)[2])


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_changes_no_structure(tmp_path, hostile):
    """Whatever a file says, the card has the same YAML keys, headings, tables and code, and no link or HTML of it."""
    outcome = []
    for text in ("harmless", hostile):
        folder = tmp_path / str(len(outcome))
        folder.mkdir()
        config = rl_config()
        config["algorithm"]["adv_estimator"] = text
        config["algorithm"]["dual_grpo"][f"key{text}"] = text
        tag = "[" + " ".join(text.split()) + "]"
        config["algorithm"]["dual_grpo"]["modes"] = [{"name": "a", "tag": tag}, {"name": "b", "tag": "(b)"}]
        config["actor_rollout_ref"]["model"]["path"] = f"x{text}"
        config["data"] |= {"train_files": [text, text], "apply_chat_template_kwargs": {"a": text, f"b){text}": 1}}
        config["trainer"]["total_epochs"] = text
        training = training_of(folder, config)
        metrics = {"critic/score/mean": 0.5, f"val-dual/s{text}/share_a/mean": 0.5}
        metrics |= {f"val-core/s{text}/acc/mean@1": 1, f"dual_grpo/s{text}/prob_a/mean": 0.5}
        entry = {"rows": 1, "sha256": text, "counts": {text: 1}}
        manifest = {"name": text, "seed": 1, "licences": {text: text}, "files": {text: entry}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        report = report_file(folder / "report.json", (text,), condition=text)
        shown_facts = facts(
            checkpoint={"name": text, "step": 3},
            data=read_manifest(folder / "manifest.json"),
            metrics=read_metrics([metrics_file(folder / "m.jsonl", {1: metrics})], 3, training.modes),
            report=read_report(report, None, training.modes),
            versions={"verl": text},
        )
        page = card(shown_facts, training)
        tokens = rendered(page)
        code = [token for token in tokens if token.type == "fence"]
        ast.parse(next(token.content for token in code if token.info == "python"))
        inline = [child for token in tokens if token.type == "inline" for child in token.children]
        raw = {child.content for child in inline if child.type == "html_inline"}
        assert raw <= {"<code>", "</code>"}
        assert not [child for child in inline if child.type in ("link_open", "image")]
        headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
        outcome.append(({token.type for token in tokens}, len(code), headings, set(front(page))))
    assert outcome[0] == outcome[1]


# The folder


def export(checkpoint: Path, out: Path, *arguments: str) -> int:
    return cli.main(["export", str(checkpoint), "--out", str(out), "--check", "none", *map(str, arguments)])


def test_a_full_model_is_copied_with_card_and_record(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (folder / "huggingface" / "optimizer.pt").write_bytes(b"a pickle")
    (folder / "huggingface" / "code.py").write_text("raise SystemExit")
    config = json.loads((folder / "huggingface" / "config.json").read_text())
    config = json.dumps({**config, "_name_or_path": "/home/someone/base"})
    (folder / "huggingface" / "config.json").write_text(config)
    write_config(tmp_path / "run" / "hydra", rl_config())
    assert export(tmp_path / "run", tmp_path / "models" / "mine") == 0
    out = tmp_path / "models" / "mine"
    assert {path.name for path in out.iterdir()} >= {
        *("README.md", "personadual.json", "model.safetensors", "config.json", "tokenizer.json"),
        *("tokenizer_config.json", "generation_config.json", "chat_template.jinja"),
    }
    assert not (out / "optimizer.pt").exists() and not (out / "code.py").exists()
    assert (out / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    record = json.loads((out / "personadual.json").read_text())
    assert record["checkpoint"] == {
        "name": "global_step_3/actor",
        "step": 3,
        "ranks": None,
        "weights": "huggingface",
    }
    assert record["dtype"] == ["float32"] and record["checks"] == {"kind": "none"}
    assert record["training"]["data.train_files"] == ["rl_train.parquet"]
    assert len(record["sha256"]["model.safetensors"]) == 64
    for path in out.iterdir():
        assert b"/home/someone" not in path.read_bytes() and str(tmp_path).encode() not in path.read_bytes()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]
    assert "Not checked" in capsys.readouterr().out


def test_only_an_earlier_export_is_replaced(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert export(folder, out) == 2 and "not empty" in capsys.readouterr().err
    assert export(folder, out, "--overwrite") == 2 and "no earlier export" in capsys.readouterr().err
    assert (out / "thesis.tex").exists()
    (out / "thesis.tex").unlink()
    assert export(folder, out) == 0
    (out / "stale.txt").write_text("")
    assert export(folder, out, "--overwrite") == 0
    assert not (out / "stale.txt").exists() and (out / "README.md").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize("place", ["run", "run/global_step_3/actor", "run/global_step_3/actor/huggingface", "file"])
def test_places_that_an_export_may_not_take(tmp_path, tiny, place, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (tmp_path / "file").write_text("")
    assert export(folder, tmp_path / place, "--overwrite") == 2
    assert "--out" in capsys.readouterr().err
    assert (folder / "huggingface" / "model.safetensors").exists()


def test_a_truncated_model_leaves_nothing_behind(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    path = folder / "huggingface" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert export(folder, tmp_path / "out") == 2
    assert "model.safetensors: truncated" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_link_is_not_published(tmp_path, tiny, capsys):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (tmp_path / "secret").write_text("{}")
    (folder / "huggingface" / "vocab.json").symlink_to(tmp_path / "secret")
    assert export(folder, tmp_path / "out") == 2
    assert "vocab.json: a link" in capsys.readouterr().err


def test_an_interrupted_export_leaves_nothing_and_the_old_one_stands(tmp_path):
    out = tmp_path / "out"
    with staged(out) as folder:
        (folder / "personadual.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt), staged(check_output(out, tmp_path / "run", overwrite=True)) as folder:
        (folder / "half").write_text("")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["personadual.json"]


# The Hub


class Hub:
    """Records what would be uploaded."""

    def __init__(self, private: bool = True, error: Exception | None = None):
        self.private, self.error, self.calls = private, error, []

    def create_repo(self, **arguments):
        self.calls.append(("create", arguments["private"]))

    def repo_info(self, **arguments):
        return SimpleNamespace(private=self.private)

    def upload_folder(self, **arguments):
        if self.error:
            raise self.error
        self.calls.append(("upload", arguments["repo_id"]))
        return SimpleNamespace(commit_url="https://hub.example/commit/1")


def test_uploads_are_private_unless_asked(tmp_path):
    hub = Hub()
    assert push(tmp_path, "me/model", public=False, api=hub) == "https://hub.example/commit/1"
    assert hub.calls == [("create", True), ("upload", "me/model")]
    public = Hub(private=False)
    with pytest.raises(ExportError, match="is public; nothing was uploaded"):
        push(tmp_path, "me/model", public=False, api=public)
    assert public.calls == [("create", True)]
    push(tmp_path, "me/model", public=True, api=public)
    assert public.calls[1:] == [("create", False), ("upload", "me/model")]
    with pytest.raises(ExportError, match="upload to me/model failed, ConnectionError: gone"):
        push(tmp_path, "me/model", public=False, api=Hub(error=ConnectionError("gone")))


def test_pushing_is_refused_before_anything_is_made(tmp_path, tiny, capsys, monkeypatch):
    folder = full_checkpoint(tmp_path / "run", tiny)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert export(folder, tmp_path / "out", "--push", "me/model") == 2
    assert "uploads what was checked" in capsys.readouterr().err
    assert export(folder, tmp_path / "out", "--public") == 2
    assert export(folder, tmp_path / "out", "--license", "mit\n---\nx: y") == 2
    for name in ("nobody", "a/b/c", "../x", "me/mo del"):
        with pytest.raises(ExportError, match="--push"):
            check_repo_id(name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ExportError, match="HF_HUB_OFFLINE is set"):
        check_repo_id("me/model")
    assert not (tmp_path / "out").exists()


def test_a_mode_of_other_modes_is_recorded(tmp_path, tiny):
    folder = full_checkpoint(tmp_path / "run", tiny)
    (tmp_path / "modes.json").write_text('[{"name": "a", "tag": "[A]"}, {"name": "b", "tag": "[B]"}]')
    assert export(folder, tmp_path / "out", "--modes", tmp_path / "modes.json") == 0
    record = json.loads((tmp_path / "out" / "personadual.json").read_text())
    assert Modes.from_config(record["modes"]) == Modes([Mode("a", "[A]"), Mode("b", "[B]")])
    assert record["modes_from"] == "file"
