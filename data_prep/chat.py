"""How a profile, a question and an answer are written as chat messages. The one place for all of these texts.

The prompt never names the modes: SFT teaches them. There is always a system message, because several chat templates
(SmolLM2's, Qwen2.5's) put in one of their own where none is given. A response is the mode's prefix and a body; the
body is the answer block and nothing else, which keeps rollouts short, and it never starts with white space, so that
the prefix and the body tokenise the same together and apart.
"""

from __future__ import annotations

from personadual.modes import Mode
from personadual.reward_fns.answer_block import render_block

ANSWER_INSTRUCTION = "Answer in JSON."
NO_PROFILE = "No profile of the user is known."
PROFILE_LEAD = "User profile: "

Message = dict[str, str]


def prompt_messages(persona: str, question: str) -> list[Message]:
    """System and user message of a question; ``persona`` is "" where nothing is known of the user."""
    between = "\n" if "\n" in question else " "  # behind a list of options the instruction gets a line of its own
    return [
        {"role": "system", "content": PROFILE_LEAD + persona if persona else NO_PROFILE},
        {"role": "user", "content": f"{question}{between}{ANSWER_INSTRUCTION}"},
    ]


def response(mode: Mode, answer: str) -> str:
    """A whole response in ``mode``: its prefix, then the block that the reward functions read."""
    return mode.prefix + render_block(answer).lstrip()
