"""The model card of ``personadual export``: what it may say, whatever the files it is made from hold."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import yaml
from export_files import metrics_file, report_file, rl_config, write_config

from personadual.export.card import card
from personadual.export.checkpoint import Checkpoint
from personadual.export.evidence import read_manifest, read_metrics, read_report
from personadual.export.training import read_training

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


@pytest.mark.parametrize(
    ("decodings", "said"),
    [
        (("greedy", "greedy"), "greedy"),
        (("greedy; sampled at temperature 0.7, top_p 0.9",), "sampled at temperature 0.7, top_p 0.9"),
        (
            ("greedy", "greedy; sampled at temperature 1, top_p 1"),
            "greedy or sampled at temperature 1, top_p 1",
        ),
        ((), "decoding not given"),
    ],
)
def test_a_card_says_how_the_answers_it_counts_were_decoded(decodings, said, tmp_path):
    """Where there are sampled answers, the measures are theirs, not the greedy ones'."""
    path = report_file(tmp_path / "report.json", ("one",), decodings=decodings)
    training = training_of(tmp_path, None)
    text = card(facts(report=read_report(path, None, training.modes)), training)
    assert f"Evaluation of `one`, answers in a mode of the model's choice, {said}; 95 % intervals" in text


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
        report = report_file(folder / "report.json", (text,), condition=text, decodings=(text or "x",))
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
