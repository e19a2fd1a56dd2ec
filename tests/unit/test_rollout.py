"""What the agent loop says of a rollout, with verl's single turn in the place of an engine."""

import asyncio
from types import SimpleNamespace

import pytest
from tiny_model import build_tiny_tokenizer
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from personadual import schema
from personadual.modes import DEFAULT_MODES, INVALID_MODE, encode_prefixes
from personadual.rollout import DualModeAgentLoop
from personadual.settings import DualGRPOSettings

TOKENIZER = build_tiny_tokenizer()
PREFIXES = encode_prefixes(TOKENIZER, DEFAULT_MODES)
BODY = TOKENIZER.encode("B", add_special_tokens=False)


def letters(text: str) -> list[int]:
    """``text`` in as many tokens as it has letters."""
    return [token for letter in text for token in TOKENIZER.encode(letter, add_special_tokens=False)]


def told(monkeypatch, response_ids, asked="free"):
    async def run(self, sampling_params, **kwargs):
        return SimpleNamespace(response_ids=response_ids, extra_fields={})

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop = object.__new__(DualModeAgentLoop)
    loop.settings, loop.prefixes, loop.tokenizer = DualGRPOSettings(), PREFIXES, TOKENIZER
    loop.server_manager, loop.response_length = None, 64
    row = {schema.PHASE: schema.VALIDATE, schema.EXTRA_INFO: {schema.ASKED_MODE: asked}}
    return asyncio.run(loop.run({}, **row)).extra_fields[schema.ROLLOUT_FIELD]


@pytest.mark.parametrize("mode", [0, 1])
def test_it_says_whether_a_chosen_tag_is_in_the_tokens_of_a_forced_one(monkeypatch, mode):
    usual = {"mode": mode, "prefix_len": len(PREFIXES[mode]), "usual_tokens": True, "forced": False}
    assert told(monkeypatch, PREFIXES[mode] + BODY) == usual
    spelled = letters(DEFAULT_MODES[mode].prefix)
    assert len(spelled) > len(PREFIXES[mode])
    other = {**usual, "prefix_len": len(spelled), "usual_tokens": False}
    assert told(monkeypatch, spelled + BODY) == other


def test_a_forced_tag_is_always_in_its_own_tokens_and_a_missing_one_in_none(monkeypatch):
    forced = told(monkeypatch, PREFIXES[1] + BODY, asked="personalized")
    assert forced == {"mode": 1, "prefix_len": len(PREFIXES[1]), "usual_tokens": True, "forced": True}
    assert told(monkeypatch, BODY) == {
        "mode": INVALID_MODE,
        "prefix_len": 0,
        "usual_tokens": False,
        "forced": False,
    }
