"""What a task folder for lm-eval calls: its documents, and our grade of a generation.

The folder's ``utils.py`` binds the names of files and modes. Only ``datasets``, which lm-eval brings, is needed beside
this package's own reward functions; neither torch nor verl is imported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from personadual import schema
from personadual.modes import Modes
from personadual.reward_fns import compute_score

SYSTEM, USER, PREFIX, TRUTH, ROW = "system", "user", "prefix", "truth", "row"
"""Columns of a document: the prompt's two texts, the forced beginning of the answer ("" for none), the right answer,
and as JSON all that the grader needs."""


REWARDS = (schema.ACC, schema.FORMAT, schema.SCORE)


def metric_names(modes: Modes) -> list[str]:
    """The metrics of a task: means of accuracy, format, reward, and an indicator of each mode and of none."""
    indicators = [schema.MODE_KEY_PREFIX + name for name in (*modes.names, schema.INVALID)]
    return [*REWARDS, *indicators]


def documents(file: Path, modes: Sequence[Mapping[str, str]], condition: str, asked_mode: str) -> dict[str, Any]:
    """The documents of one condition as lm-eval's ``custom_dataset`` gives them, the answer begun in ``asked_mode``.

    Raises:
        ValueError: an unknown mode, or no document of the condition.
    """
    from datasets import Dataset

    known = Modes.from_config(modes)
    prefix = "" if asked_mode == schema.FREE else known[known.index_of(asked_mode)].prefix
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines():
        held = json.loads(line)
        if held.pop(schema.CONDITION) == condition:
            rows.append({**held, PREFIX: prefix, schema.ASKED_MODE: asked_mode})
    if not rows:
        raise ValueError(f"{file}: there is no document of the condition {condition!r}")
    return {"test": Dataset.from_list(rows)}


def scorer(
    modes: Sequence[Mapping[str, str]], graders: Mapping[str, str]
) -> Callable[[Mapping[str, Any], Sequence[str]], dict[str, float]]:
    """``process_results`` of a task: the generation behind the document's prefix, by ``compute_score``."""
    grade = partial(compute_score, modes=list(modes), graders=dict(graders))
    names = metric_names(Modes.from_config(modes))

    def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        row = json.loads(doc[ROW])
        extra = {**row[schema.EXTRA_INFO], schema.ASKED_MODE: doc[schema.ASKED_MODE]}
        response = doc[PREFIX] + results[0]
        result = grade(row[schema.DATA_SOURCE], response, row[schema.GROUND_TRUTH], extra_info=extra)
        return {name: float(result[name]) for name in names}

    return process_results
