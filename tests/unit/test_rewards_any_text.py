"""compute_score of any text at all: plain keys, a score from 0 to 1, in linear time."""

import json
import string
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_texts import BLOCK, KEYS, score

from personadual.modes import GENERAL, PERSONALIZED
from personadual.reward_fns import compute_score
from personadual.reward_fns.answer_block import read_block, render_block

TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(
            [
                GENERAL.prefix,
                PERSONALIZED.tag,
                "<answer>",
                "</answer>",
                '{"answer": "Paris"}',
                "Paris",
                "{",
                "}",
                "\n",
                '"',
            ]
        ),
        max_size=12,
    ).map("".join),
)


@given(TEXTS, st.sampled_from(["strict", "authors"]))
def test_any_text_gets_the_same_plain_keys_and_a_score_from_0_to_1(text, profile):
    result = compute_score("flan", text, "Paris", profile=profile)
    assert list(result) == KEYS
    assert {type(value) for value in result.values()} <= {int, float}
    assert 0 <= result["score"] <= 1
    assert result["mode_general"] + result["mode_personalized"] + result["mode_invalid"] == 1
    json.dumps(result)


@given(TEXTS, st.booleans())
def test_a_second_block_always_costs_the_accuracy(text, first):
    blocks = [text, BLOCK] if first else [BLOCK, text]
    assert score("\n".join([*blocks, BLOCK]))["acc"] == 0


@given(st.text(string.printable, min_size=1, max_size=60).filter(str.strip))
def test_a_rendered_answer_is_read_back(answer):
    if "<answer>" not in answer and "</answer>" not in answer:
        assert read_block("Because.\n" + render_block(answer) + "\n") == (answer, True)


N = 1_000_000


@pytest.mark.parametrize("profile", ["strict", "authors"])
@pytest.mark.parametrize(
    "text",
    [
        "<answer>" * (N // 8),
        "\n\n<answer>" * (N // 10) + "}</answer>",
        "\n\n<answer>" + " " * N + "}</answer>",
        ("\n\n<answer>" + " " * 1000) * (N // 1010) + "}</answer>",
        '\n\n<answer>{"answer":' + "[]," * (N // 3) + "}</answer>",
        GENERAL.prefix + "\n\n<answer>\n" * (N // 11) + '{"answer":1}</answer>',
        '\n\n<answer>{"answer":' * (N // 20) + "</answer>",
        "<answer>" + "{" * N + "</answer>",
        "<answer>" + "[" * N + "</answer>",
        '<answer>{"answer":' + "[" * N + "}</answer>",
        '<answer>{"answer":' + "[" * 4000 + "}</answer>",
        '<answer>{"answer":' + "9" * N + "}</answer>",
        "<answer>" + '{"answer":' * 400 + "</answer>",
        "{" * N,
        "}" * N,
        "{}" * (N // 2),
        "{" * (N // 2) + "}" * (N // 2),
        GENERAL.tag * (N // 14),
        GENERAL.tag + "\n[" * (N // 2) + "</answer>",
        "<" * N,
        "\n" * N,
        " " * N,
        '"' * N,
        render_block('"' * 2000),
        render_block("(" * 4000),
        render_block("\ufdfa" * 600),
        render_block("a" + "\u0301" * 600),
        render_block("\u0f73" * 4000),
        render_block("\u0301\u0327" * 2000),
        render_block("\u0301\u200b\u0327\u200b" * 1000),
        "\u0301\u0327" * (N // 2),
        "<think>" * (N // 7) + render_block("Lyon") + "</think>",
        render_block("1," * 2000),
        "\ud800" * 1000,
    ],
    ids=lambda text: f"{text[:12]!r}...",
)
def test_hostile_text_is_scored_in_linear_time(text, profile):
    for tag in ("", GENERAL.prefix):
        # Processor time, far above the goal of benchmarks/rewards.py: what this finds is anything quadratic.
        start = time.process_time()
        assert compute_score("flan", tag + text, "Parí", profile=profile)["acc"] == 0
        assert time.process_time() - start < 0.5


def test_importing_the_rewards_imports_neither_torch_nor_verl():
    code = "import sys, personadual.reward_fns; sys.exit(bool({'torch', 'verl', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
