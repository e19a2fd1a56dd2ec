"""Seconds per response of each grader, the authors' rules, and Math-Verify where it is installed, in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from statistics import median

from benchmarks.harness import Row, Seconds, in_turn, ratios
from personadual.modes import GENERAL
from personadual.reward_fns.answer_block import CLOSE, MAX_BLOCK_CHARACTERS, OPEN, render_block
from personadual.reward_fns.compose import score_row
from personadual.reward_fns.settings import AUTHORS, PROFILES, read_settings

try:  # pip install math-verify[antlr4_9_3], whose antlr is hydra's
    from math_verify import parse, verify
except ImportError:
    parse = verify = None

LENGTHS = (100, 1_000, 10_000, 100_000)
FASTEST = 50_000
"""The goal: responses of 1,000 characters per second and core."""
NUMBER, AUTHORS_RULES, MATH_VERIFY = "objective, number", "the authors' rules", "Math-Verify"
# Data source, ground truth, extra_info, answer.
CASES = {
    "objective, text": ("quickstart_none", "Paris", {}, "Paris"),
    NUMBER: ("gsm8k", "1,234.5", {}, "1234.50"),
    "objective, options": ("mmlu", "B", {"options": ["Rome", "Paris", "Oslo", "Bern"]}, "B"),
    "personalized, options": ("AlignX", "A", {"options": ["A long text. " * 20, "Another text. " * 20]}, "A"),
}
HOSTILE_LENGTH, LONGEST = 1_000_000, 0.05
"""The goal for hostile text of this many characters, in seconds for one response."""
SHORT = MAX_BLOCK_CHARACTERS - 100
"""Characters of an answer that a strict grader still reads."""
HOSTILE = {
    "open braces": "{",
    "open lists": '[{"answer":',
    "open blocks": "<answer>",
    "halves of blocks": '<answer>\n{"answer": "',
    "ends of blocks": "</answer>",
    "whole blocks": '<answer>\n{"answer": "B"}\n</answer>\n',
    "tags": "[General_mode]\n",
    "pairs of braces": "{}",
    "blocks and white space": "\n\n<answer>" + " " * 10_000,
    "lists": "[],",
    "think blocks": "<think>",
    "backslashes": "\\",
    "quotes": '\\"',
    "digits": "9",
    "signs of numbers": "1,-.e+",
    "white space": " \n\t\u3000",
    "zero width": "\u200b\u2060",
    "combining marks": "e\u0301\u0327\u0323",
    "combining marks in turns": "\u0301\u0327",
    "marks of two": "\u0f73",
    "letters of many characters": "\ufdfa",
    "lone surrogates": "\ud800",
}


def response(answer: str, length: int) -> str:
    """A response of about ``length`` characters with its reasoning before the answer block."""
    block = render_block(answer)
    sentence = "Since 12 is 3 times 4, {x} follows, and <b>this</b> is what was asked. "
    room = max(0, length - len(GENERAL.prefix) - len(block))
    return GENERAL.prefix + (sentence * (room // len(sentence) + 1))[:room] + block


def measure(repeats: int, quick: bool) -> Iterator[Row]:
    strict, authors = read_settings(), read_settings(profile=AUTHORS)
    for length in LENGTHS[:2] if quick else LENGTHS:
        count = max(5, min(2_000, 2_000_000 // length))
        for name, (source, truth, info, answer) in CASES.items():
            text = response(answer, length)

            def graded(settings, source=source, truth=truth, info=info, text=text, count=count):
                for _ in range(count):
                    score_row(source, text, truth, info, settings=settings)

            calls: dict[str, Callable[[], object]] = {
                name: lambda graded=graded: graded(strict),
                AUTHORS_RULES: lambda graded=graded: graded(authors),
            }
            counts = dict.fromkeys(calls, count)
            if name == NUMBER and parse is not None:
                counts[MATH_VERIFY] = max(1, count // 50)
                calls[MATH_VERIFY] = lambda text=text, truth=truth, few=counts[MATH_VERIFY]: math_verified(
                    text, truth, few
                )
            took = {key: [value / counts[key] for value in values] for key, values in in_turn(calls, repeats).items()}
            work = f"{length:,} characters"
            if length == 1_000:
                # A ratio to the goal's seconds per response; 1 is exactly the goal.
                to_goal = Seconds.of([value * FASTEST for value in took[name]])
                yield Row(name, work, Seconds.of(took[name]), f"{FASTEST:,} per second", to_goal, 1.0)
            for other in list(calls)[1:]:
                yield Row(name, work, Seconds.of(took[name]), other, ratios(took, name, other))
    yield from hostile(repeats, 10_000 if quick else HOSTILE_LENGTH)


def hostile(repeats: int, length: int) -> Iterator[Row]:
    """Of each kind of text the grader, profile and place that take longest.

    Places: the whole response, the answer in its block, as much of it as is read there, and between a tag and a block.
    """
    profiles = {profile: read_settings(profile=profile) for profile in PROFILES}
    for kind, piece in HOSTILE.items():
        filler = (piece * (length // len(piece) + 1))[:length]
        texts = {
            "response": filler,
            "answer": GENERAL.prefix + render_block(filler),
            "short answer": GENERAL.prefix + render_block(filler[:SHORT]),
            "between": f'{GENERAL.prefix}{filler}\n\n{OPEN}{{"answer":{filler}}}\n{CLOSE}',
        }
        calls: dict[str, Callable[[], object]] = {}
        for (name, case), (place, text), (profile, settings) in product(CASES.items(), texts.items(), profiles.items()):
            calls[f"{name}, {place}, {profile}"] = lambda case=case, text=text, settings=settings: score_row(
                case[0], text, case[1], case[2], settings=settings
            )
        slowest = max(in_turn(calls, repeats).values(), key=median)
        to_goal = Seconds.of([value / LONGEST for value in slowest])
        yield Row(f"hostile: {kind}", f"{length:,} characters", Seconds.of(slowest), f"{LONGEST:g} s", to_goal, 1.0)


def math_verified(text: str, truth: str, count: int) -> None:
    gold = parse(truth)
    for _ in range(count):
        verify(gold, parse(text))
