"""Responses to a question whose answer is Paris, and their score."""

from personadual.modes import GENERAL
from personadual.reward_fns import compute_score
from personadual.reward_fns.answer_block import render_block

KEYS = ["score", "acc", "format", "mode_general", "mode_personalized", "mode_invalid", "asked_mode", "item"]
BLOCK = '<answer>\n{"answer": "Paris"}\n</answer>'


def score(text, truth="Paris", **extra_info):
    return compute_score("flan", text, truth, extra_info)


def response(answer="Paris", mode=GENERAL, reasoning="Because it is.\n\n"):
    return mode.prefix + reasoning + render_block(answer)
