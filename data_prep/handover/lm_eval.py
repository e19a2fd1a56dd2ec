"""A folder of tasks for EleutherAI's lm-eval (written against 0.4.13).

One task per data source, persona condition and asked mode, ``personadual_<source>_<condition>_<mode>``, under the tags
``personadual_<source>`` and ``personadual``. The prompt is ours only with ``--apply_chat_template``: the system message
is lm-eval's ``description`` and a forced mode its ``gen_prefix``, a last assistant message that the chat template
leaves open (lm_eval/api/task.py, ``fewshot_context``; models/huggingface.py, ``apply_chat_template``). All three are
columns of the document, so that no text of a question is read as a template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from personadual import files, schema
from personadual.data_prep.handover.scoring import PREFIX, REWARDS, ROW, SYSTEM, TRUTH, USER, metric_names
from personadual.evaluation.data import Item
from personadual.modes import Modes
from personadual.reward_fns import check_data_sources

NAME = "personadual"
MAX_TOKENS = 1024

_UTILS = '''\
"""What the tasks of this folder call. Written by `personadual data handover`; lm-eval loads it."""

from pathlib import Path

from personadual.data_prep.handover import scoring

MODES = {modes}
GRADERS = {graders}

process_results = scoring.scorer(MODES, GRADERS)


def documents(file, condition, asked_mode, **other):
    return scoring.documents(Path(__file__).with_name(file), MODES, condition, asked_mode)
'''


def write_tasks(
    out: Path, items: Iterable[Item], modes: Modes, graders: Mapping[str, str], max_tokens: int = MAX_TOKENS
) -> dict[str, int]:
    """Write the folder and return the number of documents of each task.

    Args:
        items: any RL file's items, of any sources.
        graders: for data sources that are not known, "objective" or "personalized".
        max_tokens: length of an answer behind a forced prefix; lm-eval's ``--gen_kwargs max_gen_toks=N`` overrules it.

    Raises:
        ValueError: an unknown data source, two of the same name in lm-eval, a prompt that is not one user message with
            or without a system message before it, no item, or an ``out`` that can't be written to or holds other tasks.
    """
    by_source: dict[str, list[Item]] = {}
    for item in items:
        by_source.setdefault(item.data_source, []).append(item)
    if not by_source:
        raise ValueError("there is no item to hand over")
    check_data_sources(by_source, graders)
    names = {source: re.sub(r"[^A-Za-z0-9_]+", "_", source) for source in by_source}
    if len(set(names.values())) < len(names):
        raise ValueError(f"data sources {', '.join(names)}: two have the same name in lm-eval; hand them over apart")
    documents = {source: [_document(item) for item in found] for source, found in by_source.items()}
    tasks = {
        f"{NAME}_{names[source]}_{condition}_{asked}": (source, condition, asked)
        for source, rows in documents.items()
        for condition in dict.fromkeys(row[schema.CONDITION] for row in rows)
        for asked in (schema.FREE, *modes.names)
    }
    _check_folder(files.output_folder(out), tasks)
    mode_list = [{"name": mode.name, "tag": mode.tag} for mode in modes]
    utils = _UTILS.format(modes=_literal(mode_list), graders=_literal(dict(graders)))
    files.write_text(out / "utils.py", utils)
    for source, rows in documents.items():
        lines = (json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
        files.write_text(out / f"{names[source]}.jsonl", "".join(lines))
    for task, (source, condition, asked) in tasks.items():
        files.write_text(out / f"{task}.yaml", _task(task, names[source], condition, asked, modes, max_tokens))
    return {
        task: sum(row[schema.CONDITION] == condition for row in documents[source])
        for task, (source, condition, _) in tasks.items()
    }


def _check_folder(out: Path, tasks: Collection[str]) -> None:
    left = sorted(path.name for path in out.glob(f"{NAME}_*.yaml") if path.stem not in tasks)
    if left:
        raise ValueError(f"output folder {out}: {left[0]} of another hand-over would be run too; give another folder")


def _document(item: Item) -> dict[str, Any]:
    roles = [message.get("role") for message in item.prompt]
    if roles not in (["user"], ["system", "user"]):
        raise ValueError(
            f"data source {item.data_source!r}, item {item.item}: lm-eval takes a user message, and a system message "
            f"before it or none; found {', '.join(map(str, roles))}"
        )
    row = {
        schema.DATA_SOURCE: item.data_source,
        schema.GROUND_TRUTH: item.ground_truth,
        schema.EXTRA_INFO: item.extra_info,
    }
    return {
        schema.CONDITION: item.extra_info[schema.CONDITION],
        SYSTEM: item.prompt[0]["content"] if len(roles) == 2 else "",
        USER: item.prompt[-1]["content"],
        TRUTH: item.ground_truth,
        ROW: json.dumps(row, ensure_ascii=True),
    }


def _task(task: str, name: str, condition: str, asked: str, modes: Modes, max_tokens: int) -> str:
    """The task's yaml; the two functions are tags, which no plain value can be."""
    plain = {
        "task": task,
        "tag": [NAME, f"{NAME}_{name}"],
        "dataset_kwargs": {"file": f"{name}.jsonl", schema.CONDITION: condition, schema.ASKED_MODE: asked},
        "test_split": "test",
        "output_type": "generate_until",
        "num_fewshot": 0,
        "description": SYSTEM,
        "doc_to_text": USER,
        "doc_to_target": TRUTH,
        **({} if asked == schema.FREE else {"gen_prefix": PREFIX}),
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": max_tokens},
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": metric in REWARDS or None}
            for metric in metric_names(modes)
        ],
        "metadata": {"version": 1.0},
    }
    functions = "custom_dataset: !function utils.documents\nprocess_results: !function utils.process_results\n"
    return yaml.safe_dump(plain, sort_keys=False) + functions


def _literal(value: Sequence[Any] | Mapping[str, Any]) -> str:
    """A list or mapping of texts as Python, which is JSON for these."""
    return json.dumps(value, ensure_ascii=True)
