"""What is fuzzed: each target takes bytes, makes a case of them and fails only if something is wrong.

Declared errors (``ValueError`` for bad input) are swallowed where bad input is what the target makes; any other
exception, or a broken promise, is a finding. ``run.py`` feeds them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from personadual.data_prep import readers
from personadual.data_prep.record import Rejected
from personadual.evaluation.columns import FIELDS, check_row
from personadual.modes import DEFAULT_MODES, INVALID_MODE, Modes, parse_mode
from personadual.reward_fns import compute_score
from personadual.reward_fns.answer_block import CLOSE, OPEN, read_block
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


def decode(data: bytes) -> str:
    return "".join(chr(byte) if byte < 128 else TOKENS[(byte - 128) % len(TOKENS)] for byte in data)


def grade(data: bytes) -> None:
    """Any response under any grader, profile and truth: plain keys, scores from 0 to 1, no exception at all."""
    head, text = data[:3].ljust(3, b"\0"), decode(data[3:])
    options = OPTIONS[head[0] % len(OPTIONS)]
    truth = "ABCD"[head[1] % 4] if options else TRUTHS[head[1] % len(TRUTHS)]
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
        assert list(value) == ["answer"] and isinstance(value["answer"], str), "right without an answer"


def parse(data: bytes) -> None:
    """A mode is read exactly where its tag is the first line; a block's answer is a text inside it."""
    text = decode(data)
    found = parse_mode(text, DEFAULT_MODES)
    starting = [index for index, mode in enumerate(DEFAULT_MODES) if text.split("\n", 1)[0] == mode.tag]
    assert found.index == (starting[0] if starting else INVALID_MODE), found
    block = read_block(text)
    if block is not None:
        assert block.answer.strip() and text.count(OPEN) == 1


def _file(data: bytes, suffixes: tuple[str, ...]) -> None:
    suffix = suffixes[data[0] % len(suffixes)] if data else suffixes[0]
    content = data[1:] if data[:1] < b"\x80" else decode(data[1:]).encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data{suffix}"
        path.write_bytes(content)
        try:
            for where, row in readers.rows(path):
                assert isinstance(row, dict | Rejected) and str(where)
        except ValueError as error:
            assert path.name in str(error), f"an error that does not name the file: {error}"


def read(data: bytes) -> None:
    """Any bytes as a file of rows: rows, rejected rows, or an error that names the file."""
    _file(data, (".jsonl", ".csv", ".tsv", ".jsonl.gz", ".csv.gz", ".parquet", ".arrow"))


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


def config(data: bytes) -> None:
    """Any config block: settings, or a ValueError that names a key."""
    names = [*DualGRPOSettings.__dataclass_fields__, "intra_cof", "", "modes "]
    block = {}
    for number in range(min(4, len(data))):
        part = data[number::4]
        name, value = names[part[0] % len(names)], _value(part[1:])
        if name == "mode_shares" and part[0] % 2:
            value = {"general": _value(part[1::2]), "personalized": _value(part[2::2])}
        block[name] = value
    try:
        settings = DualGRPOSettings.from_config(block)
    except ValueError as error:
        assert str(error)
        return
    shares = settings.rollout_shares()
    assert abs(sum(shares) - 1) < 1e-9 and min(shares) >= 0


def modes(data: bytes) -> None:
    """Any list of modes: modes that are told apart, or a ValueError."""
    text = decode(data)
    tags = text.split("\n")
    try:
        found = Modes.from_config([{"name": tag[:8], "tag": tag} for tag in tags])
    except ValueError:
        return
    for index, mode in enumerate(found):
        assert parse_mode(mode.prefix + "x", found).index == index


def generation(data: bytes) -> None:
    """Any object as a line of generations: a row of every field, or a ValueError."""
    row = {field.name: _value(data[number :: len(FIELDS)]) for number, field in enumerate(FIELDS)}
    try:
        checked = check_row(row, "g.jsonl:1")
    except ValueError as error:
        assert str(error).startswith("g.jsonl:1: ")
        return
    json.dumps(checked, ensure_ascii=False).encode()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "grade": grade, "parse": parse, "read": read, "config": config, "modes": modes, "generation": generation
}  # fmt: skip
