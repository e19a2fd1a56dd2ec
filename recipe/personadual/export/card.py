"""The model card, ``README.md``: only what was found, "not given" for the rest.

Everything that comes from files is escaped (``evaluation.text``): no configuration, metric or data set's name can open
a link, a tag, a table cell or a code block, nor add a key to the YAML in front.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from personadual.evaluation.decoding import measured
from personadual.evaluation.measures import ACC_FREE, TAG_VALIDITY, prob, share
from personadual.evaluation.text import foreign, markdown_table, number
from personadual.export.checks import sentences
from personadual.export.paths import last_part
from personadual.export.training import RL, SFT, Training
from personadual.modes import Modes
from personadual.schema import INVALID

NOT_GIVEN = "not given"
LONGEST_LIST = 8
DIGEST = 16
# Nothing in these ends a code span or a table's cell.
_NAME = re.compile(r"[A-Za-z0-9_.,:+/*=\[\]-]{1,160}")
_DECODING = re.compile(r"greedy|sampled at temperature [0-9.e+-]{1,20}, top_p [0-9.e+-]{1,20}")
METHODS = {RL: "reinforcement learning", SFT: "supervised fine-tuning"}


def card(facts: Mapping[str, Any], training: Training) -> str:
    """The text of README.md.

    Args:
        facts: what ``personadual.json`` holds.
    """
    parts = [
        front_matter(training, facts["license"]),
        f"# {code(facts['name'])}",
        introduction(facts, training),
        "## Modes and tags",
        modes_section(training),
        example(facts["name"], training),
        "## Training",
        training_section(facts, training),
        "## Data",
        data_section(facts["data"]),
        "## Metrics",
        metrics_section(facts["metrics"]),
        "## Mode statistics",
        mode_statistics(facts, training.modes),
        "## Checks at export",
        "\n".join(f"- {sentence}" for sentence in sentences(facts["checks"])),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def front_matter(training: Training, licence: str | None) -> str:
    """The YAML that the Hub reads; keys of which nothing is known are left out."""
    tags = ["personadual", "verl", "reasoning-modes"]
    if training.values.get("algorithm.adv_estimator") == "dual_grpo":
        tags.append("dual-grpo")
    content: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": tags}
    if training.base and training.base_is_hub_id:
        content["base_model"] = training.base
    if licence:
        content["license"] = licence
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---"


def introduction(facts: Mapping[str, Any], training: Training) -> str:
    tags = " or ".join(code(mode.tag) for mode in training.modes)
    steps = facts["checkpoint"]["step"]
    lines = [
        f"A language model with {len(training.modes)} reasoning modes. It begins every answer with {tags} and so "
        "chooses the mode itself; a tag put there for it forces the mode. Exported by PersonaDual for verl (method: "
        "arXiv 2601.08679).",
        "",
        f"- started from: {code(training.base) if training.base else NOT_GIVEN}",
        f"- trained by: {METHODS.get(training.kind or '', NOT_GIVEN)}",
        f"- checkpoint: {code(facts['checkpoint']['name'])}, step {NOT_GIVEN if steps is None else steps}",
        f"- weights: {', '.join(facts['dtype']) or NOT_GIVEN}",
        f"- licence: {code(facts['license']) if facts['license'] else NOT_GIVEN}",
    ]
    return "\n".join(lines)


def modes_section(training: Training) -> str:
    table = markdown_table(["mode", "tag"], [[code(mode.name), code(mode.tag)] for mode in training.modes])
    source = {
        "file": "As in the modes file given at export.",
        "config": "As in the training configuration.",
        "default": "No configuration was given at export: these are the project's default modes.",
    }[training.modes_from]
    return (
        f"{table}\n\n{source} A tag is the very first text of the answer, alone on its line. Without it the answer "
        "counts as in no mode."
    )


def example(name: str, training: Training) -> str:
    """How to serve the model, let it choose, and force a mode; values are Python literals inside a fence."""
    kwargs = "".join(f", {key}={value!r}" for key, value in training.template_kwargs.items())
    script = f"""from openai import OpenAI
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({name!r})
messages = [{{"role": "user", "content": "User profile: ...\\n\\nQuestion: ..."}}]
prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True{kwargs})
forced = {training.modes[0].prefix!r}  # "" lets the model choose

client = OpenAI(base_url="http://localhost:8000/v1", api_key="none")
reply = client.completions.create(
    model={name!r}, prompt=prompt + forced, max_tokens=1024, temperature=0, extra_body={{"add_special_tokens": False}}
)
print(forced + reply.choices[0].text)"""
    serve = f"vllm serve {shlex.quote(name)}"
    return f"Serve it:\n\n{fenced(serve, 'bash')}\n\nAsk it, in the mode {code(training.modes[0].name)}:\n\n" + (
        fenced(script, "python")
    )


def training_section(facts: Mapping[str, Any], training: Training) -> str:
    versions = ", ".join(code(text) for text in facts["versions"].values() if text)
    rows = [[code(key), shown(value)] for key, value in training.values.items()]
    table = markdown_table(["key", "value"], rows) if rows else f"Configuration: {NOT_GIVEN}."
    return f"{table}\n\nExported with {versions}."


def data_section(data: Mapping[str, Any] | None) -> str:
    if data is None:
        return f"Manifest: {NOT_GIVEN}."
    rows = [
        [
            code(name),
            NOT_GIVEN if entry["rows"] is None else str(entry["rows"]),
            ", ".join(f"{code(condition)} {count}" for condition, count in entry["counts"].items()) or "–",
            code(entry["sha256"][:DIGEST]) if entry["sha256"] else NOT_GIVEN,
        ]
        for name, entry in data["files"].items()
    ]
    licences = [f"- {code(name)}: {code(text) if text else NOT_GIVEN}" for name, text in data["licences"].items()]
    about = (
        f"Build {code(data['name']) if data['name'] else NOT_GIVEN}, "
        f"seed {NOT_GIVEN if data['seed'] is None else data['seed']}; manifest's sha256 "
        f"{code(data['manifest_sha256'][:DIGEST])}… (sha256 in full: `personadual.json`)."
    )
    table = markdown_table(["file", "rows", "rows per condition", f"sha256, first {DIGEST}"], rows)
    sources = "\n".join(licences) if licences else NOT_GIVEN
    return f"{about}\n\n{table}\n\nLicences of the sources:\n\n{sources}"


def metrics_section(metrics: Mapping[str, Any] | None) -> str:
    if metrics is None or not metrics["named"]:
        return f"verl's metrics: {NOT_GIVEN}."
    rows = [[code(name), f"{entry['value']:.4g}", str(entry["step"])] for name, entry in metrics["named"].items()]
    text = "Last value at or before the exported step."
    return f"{text}\n\n{markdown_table(['metric', 'value', 'step'], rows)}"


def mode_statistics(facts: Mapping[str, Any], modes: Modes) -> str:
    """Shares of the modes: evaluation's report, validation, training rollouts, as far as given."""
    parts = []
    if facts["report"] is not None:
        parts.append(
            f"Evaluation of {code(facts['report']['model'])}, answers in a mode of the model's choice, "
            f"{_decoding(facts['report']['decoding'])}; 95 % intervals in brackets:\n\n"
            f"{_report_table(facts['report'], modes)}"
        )
    metrics = facts["metrics"] or {"choice": {}, "rollouts": {}}
    if metrics["choice"]:
        parts.append(
            "Last validation in training, the model chooses the mode:\n\n"
            + _source_table(metrics["choice"], [*map(share, modes.names), f"share_{INVALID}", ACC_FREE])
        )
    if metrics["rollouts"]:
        parts.append(
            "Last training step. Its rollouts are forced into modes (but for `free_share` of them), so their shares "
            "are not the model's choice; `prob_` is the probability that it gave the mode's deciding token:\n\n"
            + _source_table(metrics["rollouts"], [*map(share, modes.names), *map(prob, modes.names)])
        )
    return "\n\n".join(parts) or f"Share of the modes: {NOT_GIVEN}."


def _decoding(found: Sequence[str]) -> str:
    """How the answers that the measures are taken of were decoded; training seeds may differ in it."""
    told = {measured(text): None for text in found}
    return " or ".join(text if _DECODING.fullmatch(text) else code(text) for text in told) or f"decoding {NOT_GIVEN}"


def _report_table(report: Mapping[str, Any], modes: Modes) -> str:
    names = [TAG_VALIDITY, *map(share, modes.names), *map(prob, modes.names), ACC_FREE]
    rows = []
    for condition, measures in report["conditions"].items():
        counts = sorted({int(entry["n"]) for entry in measures.values() if entry["n"] is not None})
        cells = [_interval(measures[name]) if name in measures else "–" for name in names]
        rows.append([code(condition), "/".join(map(str, counts)) or NOT_GIVEN, *cells])
    return markdown_table(["condition", "n", *map(code, names)], rows)


def _interval(entry: Mapping[str, float | None]) -> str:
    value, low, high = (entry[name] for name in ("value", "low", "high"))
    shown_value = number(value) if value is not None else NOT_GIVEN
    return shown_value if low is None or high is None else f"{shown_value} [{number(low)}, {number(high)}]"


def _source_table(sources: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    rows = []
    for source, entries in sources.items():
        steps = sorted({entry["step"] for entry in entries.values()})
        cells = [number(entries[name]["value"]) if name in entries else "–" for name in names]
        rows.append([code(source) if source else "all", *cells, "/".join(map(str, steps))])
    return markdown_table(["source", *map(code, names), "step"], rows)


def shown(value: Any) -> str:
    """A setting for a table cell: of what may be a path only the last part."""
    if isinstance(value, list):
        more = " …" if len(value) > LONGEST_LIST else ""
        return ", ".join(map(shown, value[:LONGEST_LIST])) + more if value else NOT_GIVEN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)[:40]
    return code(last_part(value))


def code(text: str) -> str:
    """Text that others wrote: a code span where it is a plain name, which reads well; else escaped."""
    return f"`{text}`" if _NAME.fullmatch(text) else foreign(text)


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks in ``text``."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
