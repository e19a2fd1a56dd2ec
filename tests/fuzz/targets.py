"""What is fuzzed: each target takes bytes, makes a case of them and fails only if something is wrong.

Declared errors (``ValueError`` for bad input) are swallowed where bad input is what the target makes; any other
exception, or a broken promise, is a finding. A case is a good one with some of its parts replaced, so that what comes
behind the refusals is reached as well: a target returns whether it was. ``run.py`` feeds them.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from personadual.data_prep import readers
from personadual.data_prep.record import Rejected
from personadual.evaluation.columns import FIELDS, check_row
from personadual.modes import DEFAULT_MODES, INVALID_MODE, Modes, parse_mode
from personadual.reward_fns import compute_score
from personadual.reward_fns.answer_block import ANSWER_KEY, CLOSE, OPEN, read_block
from personadual.reward_fns.graders import GRADERS
from personadual.settings import DualGRPOSettings

# A byte above 127 is one of these, so that a short input says something; a byte below is itself.
TOKENS = (
    *[mode.tag for mode in DEFAULT_MODES], *[mode.prefix for mode in DEFAULT_MODES], OPEN, CLOSE, OPEN * 3, CLOSE * 3,
    '{"answer": "Paris"}', '{"answer": "Lyon"}', '{"answer": ', '"Paris"', "Paris", "Lyon", "B", "A, B, C, D", "12",
    '{"answer": ["Paris"]}', '{"answer": "Paris", "answer": "Lyon"}', "{", "}", "{{{{{{{{", "[[[[[[[[", '"', '\\"',
    "\\", "\\u0000", "\\ud800", "\ud800", "\udfff", "\x00", "\u200b", "\u202e", "\ufeff", "\u0301", "［", "Е",
    "＜answer＞",
    "\r\n", "\n", "\t", " " * 40, "9" * 400, "1e999", "NaN", "null", "true", "<|im_end|>", "assistant", "\U0001f600",
)  # fmt: skip
TRUTHS = ("Paris", "12", "B", "the Île-de-France", "\U0001f600", " Paris ", "0.5", "D", "NaN", "{answer}")
OPTIONS = (None, ["Paris", "Lyon", "Nice", "Lille"], ["A", "B", "C", "D"], ["12", "13", "12.0", "1"])

SUFFIXES = (".jsonl", ".csv", ".tsv", ".jsonl.gz", ".csv.gz", ".parquet", ".arrow")
GOOD_ROWS = {
    ".jsonl": b'{"question": "Where?", "answer": "Paris"}\n', ".csv": b"question,answer\nWhere?,Paris\n",
    ".tsv": b"question\tanswer\nWhere?\tParis\n", ".parquet": b"PAR1", ".arrow": b"ARROW1\0\0",
}  # fmt: skip


def decode(data: bytes) -> str:
    return "".join(chr(byte) if byte < 128 else TOKENS[(byte - 128) % len(TOKENS)] for byte in data)


def _whole(part: bytes) -> bool:
    """Whether a part of a case stays as it should be: three times of four."""
    return not part or part[0] % 4 != 0


def _response(data: bytes, truth: str) -> str:
    """An answer in a mode with one right block, less what the parts of ``data`` put in its place."""
    prefix = DEFAULT_MODES[len(data) % 2].prefix
    good = ("", prefix, "Well.", OPEN, json.dumps({ANSWER_KEY: truth}, ensure_ascii=False), CLOSE, "")
    parts = [data[number :: len(good)] for number in range(len(good))]
    return "".join(whole if _whole(part) else decode(part[1:]) for whole, part in zip(good, parts, strict=True))


def grade(data: bytes) -> bool:
    """Any response under any grader, profile and truth: plain keys, scores from 0 to 1, no exception at all."""
    head, rest = data[:3].ljust(3, b"\0"), data[3:]
    options = OPTIONS[head[0] % len(OPTIONS)]
    truth = "ABCD"[head[1] % 4] if options else TRUTHS[head[1] % len(TRUTHS)]
    text = _response(rest, truth)
    grader = list(GRADERS)[head[2] % len(GRADERS)]
    profile = ("strict", "authors")[head[2] // 2 % 2]
    info = {"options": options, "accept": [text[:20]] if head[2] > 250 else None}
    result = compute_score("mine", text, truth, info, graders={"mine": grader}, profile=profile)
    assert 0 <= result["score"] <= 1 and result["acc"] in (0, 1) and result["format"] in (0, 1)
    assert result["mode_general"] + result["mode_personalized"] + result["mode_invalid"] == 1
    if profile == "strict" and result["acc"]:
        assert text.count(OPEN) == text.count(CLOSE) == 1, "right without exactly one block"
        inside = text.partition(OPEN)[2].partition(CLOSE)[0]
        value = json.loads(inside, parse_int=str, parse_float=str)
        assert list(value) == [ANSWER_KEY] and isinstance(value[ANSWER_KEY], str), "right without an answer"
    return result["acc"] == 1


def facts(data: bytes) -> bool:
    """Any object as a row's ``extra_info``: a grade, or a ValueError that names the row or what is unknown."""
    good = {"item": 3, "asked_mode": "general", "index": 7, "options": None, "accept": ["Lutetia"]}
    info: Any = {}
    for number, (name, value) in enumerate(good.items()):
        part = data[number :: len(good)]
        info[name] = value if _whole(part) else _value(part[1:])
    if len(data) % 16 == 15:
        info = _value(data[1:])
    text = DEFAULT_MODES[0].prefix + OPEN + '{"answer": "Paris"}' + CLOSE
    try:
        result = compute_score("mine", text, "Paris", info, graders={"mine": "objective"})
    except ValueError as error:
        assert str(error).startswith(("data source 'mine', row ", "unknown mode ")), f"names nothing: {error}"
        return False
    assert type(result["item"]) is int and result["asked_mode"] in (-1, 0, 1)
    return info != good


def parse(data: bytes) -> bool:
    """A mode is read exactly where its tag is the first line; a block's answer is a text inside it."""
    text = _response(data, TRUTHS[len(data) % len(TRUTHS)])
    found = parse_mode(text, DEFAULT_MODES)
    starting = [index for index, mode in enumerate(DEFAULT_MODES) if text.split("\n", 1)[0] == mode.tag]
    assert found.index == (starting[0] if starting else INVALID_MODE), found
    block = read_block(text)
    if block is not None:
        assert block.answer.strip() and text.count(OPEN) == 1
    return block is not None and bool(starting)


def read(data: bytes) -> bool:
    """Any bytes as a file of rows: rows, rejected rows, or an error that names the file."""
    kind = data[0] if data else 0
    suffix = SUFFIXES[kind % len(SUFFIXES)]
    content = data[1:] if kind < 128 else decode(data[1:]).encode("utf-8", "surrogatepass")
    good = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data{suffix}"
        if kind % 3:  # with good rows before it
            content = GOOD_ROWS[suffix.removesuffix(".gz")] + content
        path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") and kind % 5 else content)
        try:
            for where, row in readers.rows(path):
                assert isinstance(row, dict | Rejected) and str(where)
                good += isinstance(row, dict)
        except ValueError as error:
            assert path.name in str(error), f"an error that does not name the file: {error}"
    return good > 0


def _value(data: bytes, depth: int = 0) -> Any:
    """Some JSON-like value, made of all of ``data``."""
    if not data:
        return None
    kind, rest = data[0] % 9, data[1:]
    if kind == 0 and depth < 4:
        return [_value(rest[k::3], depth + 1) for k in range(min(3, len(rest)))]
    if kind == 1 and depth < 4:
        return {decode(rest[:1]): _value(rest[1:], depth + 1)}
    scalars: list[Any] = [True, False, -1, len(rest), float("nan"), float("inf"), 10**400, 0.25, decode(rest)]
    return scalars[kind]


def config(data: bytes) -> bool:
    """Any config block: settings, or a ValueError that names a key."""
    defaults = {field.name: field.default for field in fields(DualGRPOSettings)} | {"modes": None}
    names = [*defaults, "intra_cof", "", "modes "]
    block = {}
    for number in range(min(4, len(data))):
        part = data[number::4]
        name = names[part[0] % len(names)]
        value = defaults.get(name) if _whole(part[1:]) else _value(part[2:])
        if name == "mode_shares" and part[0] % 2:
            value = {"general": _value(part[1::2]), "personalized": 1.0 if _whole(part[2:]) else _value(part[2::2])}
        block[name] = value
    try:
        settings = DualGRPOSettings.from_config(block)
    except ValueError as error:
        assert str(error).startswith(("algorithm.dual_grpo", "modes")), f"an error that names no key: {error}"
        return False
    shares = settings.rollout_shares()
    assert abs(sum(shares) - 1) < 1e-9 and min(shares) >= 0
    return bool(block)


def modes(data: bytes) -> bool:
    """Any list of modes: modes that are told apart, or a ValueError that says so."""
    good = [{"name": mode.name, "tag": mode.tag} for mode in DEFAULT_MODES] + [{"name": "third", "tag": "<3>"}]
    entries: list[Any] = []
    for number, entry in enumerate(good):
        part = data[number :: len(good)]
        if not _whole(part):
            tag = decode(part[1:])
            entry = ({"name": tag[:8], "tag": tag}, {**entry, "tag": tag}, {**entry, "x": tag}, tag)[len(part) % 4]
        entries.append(entry)
    try:
        found = Modes.from_config(entries)
    except ValueError as error:
        assert str(error).startswith("modes"), f"an error that names no key: {error}"
        return False
    for index, mode in enumerate(found):
        assert parse_mode(mode.prefix + "x", found).index == index
    return found != Modes.from_config(good)


def generation(data: bytes) -> bool:
    """Any object as a line of generations: a row of every field, or a ValueError that names the line."""
    samples = {str: "Paris", int: 3, float: 0.5, bool: True}
    row: dict[str, Any] = {}
    for number, field in enumerate(FIELDS):
        part = data[number :: len(FIELDS)]
        row[field.name] = samples[field.types[0]] if _whole(part) else _value(part[1:])
    try:
        checked = check_row(row, "g.jsonl:1")
    except ValueError as error:
        assert str(error).startswith("g.jsonl:1: ")
        return False
    json.dumps(checked, ensure_ascii=False).encode()
    return True


TARGETS: dict[str, Callable[[bytes], bool]] = {
    "grade": grade, "facts": facts, "parse": parse, "read": read, "config": config, "modes": modes,
    "generation": generation,
}  # fmt: skip
