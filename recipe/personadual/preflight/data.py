"""The data files: what ``personadual data validate`` finds, the trainer's own checks, rows, lengths, real grading."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from personadual import checks, schema
from personadual.data_prep import chat
from personadual.data_prep.validation.files import Options, Validator
from personadual.modes import Modes
from personadual.preflight.data_files import columns_of, each_row, one_per_source, rows_of
from personadual.preflight.data_lengths import measured_rows, row_length_findings
from personadual.preflight.findings import WARNING, Finding, crashed, judged, not_looked_at, ok, refused
from personadual.preflight.setup import RL, Setup
from personadual.preflight.workers import reward_kwargs

TRAIN, VAL = "data.train_files", "data.val_files"
_TRAINER_SAYS = ("unknown-data-source", "unknown-asked-mode")
"""Checks of the validator that ``personadual.checks`` says with the override that mends them."""
_GRADING = ("no-ground-truth", "truth-not-an-option", "not-gradable", "bad-options", "options-alike", "bad-accept")
"""Checks of the validator that concern our graders alone."""
_EVALUATION_READS = "unknown-right-mode"
"""A check of the validator that concerns no training: ``+arm=think`` has other modes than the data was built for."""


def data_findings(setup: Setup) -> Iterator[Finding]:
    files = {key: setup.paths(key) for key in (TRAIN, VAL)}
    if not files[TRAIN] or (setup.kind == RL and not files[VAL]):
        key = VAL if files[TRAIN] else TRAIN
        yield judged(key, False, "at least one file; verl opens it whatever test_freq is", "none", f"{key}=FILE")
    found: dict[str, list[str]] = {}
    for key, paths in files.items():
        found[key] = []
        for path in paths:
            problem = _absence(key, path, setup)
            if problem is not None:
                yield problem
            else:
                found[key].append(path)
    yield from same_file_findings(found[TRAIN], found[VAL])
    yield from _validated(setup, list(dict.fromkeys([*found[TRAIN], *found[VAL]])))
    rows = {path: rows_of(path) for path in {*found[TRAIN], *found[VAL]}}
    if found[TRAIN] and len(found[TRAIN]) == len(files[TRAIN]) and None not in (rows[path] for path in found[TRAIN]):
        yield step_finding(setup, sum(rows[path] or 0 for path in found[TRAIN]))
    for key, paths in found.items():
        for path in paths:
            if rows[path]:
                yield from _file_findings(setup, key, path)


def _absence(key: str, path: str, setup: Setup) -> Finding | None:
    if not path.endswith(".parquet"):
        if setup.kind == RL and path.endswith((".json", ".jsonl")):
            return Finding(key, WARNING, f"not looked at: {path}", mend="give parquet, which is checked row by row")
        return judged(
            key, False, "a parquet file, by its name too", path, f"write it as parquet, then {key}=PATH.parquet"
        )
    if os.path.isfile(path):
        return None
    mend = f"build it first (personadual data build), or set {key}=PATH"
    return not_looked_at(key, f"{path} is not a file", mend, setup.dry_run)


def same_file_findings(train: Sequence[str], val: Sequence[str]) -> Iterator[Finding]:
    places = {os.path.realpath(path) for path in train}
    for path in val:
        yield judged(
            VAL,
            os.path.realpath(path) not in places,
            f"files that are not among {TRAIN}",
            path,
            f"{VAL}=FILE of questions that are held out",
            WARNING,
        )


def _validated(setup: Setup, paths: Iterable[str]) -> Iterator[Finding]:
    """``personadual data validate``, without the tokenizer: tokens are counted on a sample, below."""
    name, wanted = _key_of(setup)
    if name != wanted:
        yield Finding(
            "data validate", WARNING, f"not looked at row by row: the prompts are in {wanted!r}, not {name!r}"
        )
        return
    if setup.kind == RL and setup.get("data.custom_cls.path"):
        yield Finding(
            "data validate", WARNING, "not looked at row by row: data.custom_cls makes of the rows what it does"
        )
        return
    ours = setup.kind != RL or checks.uses_our_reward(setup.config)
    graders = reward_kwargs(setup).get("graders") if setup.kind == RL else None
    try:
        validator = Validator(Options(setup.settings.modes, graders if isinstance(graders, dict) else {}))
    except ValueError as error:
        yield refused("data validate", error)
        return
    for path in paths:
        report = validator.check(Path(path))
        yield judged(
            path,
            report.kind in (None, setup.kind),
            f"a file for {setup.kind.upper()}",
            f"{report.rows} rows for {str(report.kind).upper()}",
            f"swap the files; {wanted!r} is the column of a prompt",
        )
    for finding in validator.report().findings:
        if finding.check in _TRAINER_SAYS or (finding.check in _GRADING and not ours):
            continue
        rows = f", {finding.count} row(s), first {', '.join(map(str, finding.rows))}" if finding.rows else ""
        found = f"{finding.found} ({finding.file}{rows})"
        what = f"{finding.check} {finding.field}".strip()
        severity, mend = finding.severity, finding.mend
        if finding.check == _EVALUATION_READS:
            severity, mend = WARNING, "nothing for training, which does not read it; rename it for an evaluation"
        yield Finding(what, severity, found, finding.required, mend)


def _key_of(setup: Setup) -> tuple[str, str]:
    """The project's own name of the prompt's column, and the one that the configuration names."""
    if setup.kind == RL:
        return schema.PROMPT, setup.get("data.prompt_key", schema.PROMPT)
    return schema.MESSAGES, setup.get("data.messages_key", schema.MESSAGES)


def step_finding(setup: Setup, rows: int) -> Finding:
    """verl drops the last batch where it is not full, so too few rows are no step at all."""
    samples = setup.number("data.train_max_samples", -1)
    rows = min(rows, samples) if samples > 0 else rows
    batch = setup.number("data.train_batch_size")
    return judged(
        "steps per epoch",
        batch > 0 and rows >= batch,
        f"rows for at least one batch of data.train_batch_size={batch}; verl drops what is left over",
        f"{rows} rows, {rows // batch if batch else 0} steps",
        f"data.train_batch_size={max(rows, 1)} or less, or more data",
    )


def _file_findings(setup: Setup, key: str, path: str) -> Iterator[Finding]:
    name, column = _key_of(setup)
    columns = columns_of(path)
    if column not in columns:
        option = "data.prompt_key" if setup.kind == RL else "data.messages_key"
        yield judged(
            key, False, f"the column {column!r} ({option})", f"{path}: {', '.join(columns)}", f"{option}=COLUMN"
        )
        return
    checked: list[Callable[[], Iterator[Finding]]] = []
    if setup.kind == RL:
        checked.append(lambda: _trainer_says(setup, key, path))
        if checks.uses_our_reward(setup.config) and not setup.get("data.custom_cls.path"):
            checked.append(lambda: grading_findings(one_per_source(path), _scorer(setup), setup.settings.modes, path))
    if setup.model.tokenizer is not None and getattr(setup.model.tokenizer, "chat_template", None):
        checked.append(lambda: row_length_findings(setup, key, path, measured_rows(setup, key, path, name, column)))
    for check in checked:
        try:
            yield from check()
        except Exception as error:  # one file's damage is no reason to leave out the rest
            yield crashed(f"{key} ({path})", error)


def _trainer_says(setup: Setup, key: str, path: str) -> Iterator[Finding]:
    """``personadual.checks.check_datasets``, each of its checks by itself."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    where, columns = f"{key} ({path})", columns_of(path)
    if schema.DATA_SOURCE in columns and checks.uses_our_reward(setup.config):
        column = pq.read_table(path, columns=[schema.DATA_SOURCE]).column(0)
        sources = sorted(str(source) for source in pc.unique(column).to_pylist())
        try:
            checks.check_sources(setup.config, where, sources)
            yield ok(key, f"data sources {', '.join(sources)}")
        except checks.ConfigError as error:
            yield refused(key, error)
    if schema.EXTRA_INFO in columns:
        infos = (row[schema.EXTRA_INFO] for row in each_row(path, [schema.EXTRA_INFO]))
        try:
            checks.check_asked_modes(setup.settings, where, (info if isinstance(info, dict) else {} for info in infos))
        except checks.ConfigError as error:
            yield refused(key, error)


def _scorer(setup: Setup) -> Callable[..., dict[str, Any]]:
    """Our reward as the configuration sets it up."""
    from personadual.reward_fns.compose import compute_score, score_row
    from personadual.reward_fns.settings import read_settings

    kwargs, manager = reward_kwargs(setup), setup.get("reward.reward_manager.name")
    if manager in ("objective", "personalized"):  # these grade every source alike
        return partial(score_row, settings=read_settings(**kwargs), grader=manager)
    return partial(compute_score, **kwargs)


def grading_findings(
    rows: Iterable[Mapping[str, Any]], score: Callable[..., dict[str, Any]], modes: Modes, path: str
) -> Iterator[Finding]:
    """Grade each row with its own ground truth in an answer block; ``score`` as ``compute_score``."""
    for row in rows:
        source = row.get(schema.DATA_SOURCE)
        info, truth = row.get(schema.EXTRA_INFO) or {}, (row.get(schema.REWARD_MODEL) or {}).get(schema.GROUND_TRUTH)
        what = f"grading {source!r}"
        asked = info.get(schema.ASKED_MODE)
        mode = modes[modes.index_of(asked) if asked in modes.names else 0]
        try:
            grade = score(source, chat.response(mode, str(truth)), truth, extra_info=info)
        except (ValueError, TypeError) as error:
            yield refused(what, error)
            continue
        yield judged(
            what,
            grade[schema.ACC] == 1,
            "acc 1 for the ground truth in an answer block",
            f"acc {grade[schema.ACC]:g}, score {grade[schema.SCORE]:g} for {truth!r} ({path})",
            "personadual data validate lists such rows; with profile=authors only that code's forms count",
        )
