"""Makes the reasoning parser known to vLLM under the name ``personadual``.

An entry point of the group ``vllm.general_plugins``, which vLLM runs in each of its processes, those of a training run
too; and a file for ``vllm serve --reasoning-parser-plugin``, where plugins are switched off by ``VLLM_PLUGINS``. It
imports nothing of vLLM: it waits until vLLM has its parsers (wrapt, PEP 369), and ``parser`` loads when a server asks.
"""

from __future__ import annotations

import logging
from typing import Any

import wrapt

NAME = "personadual"
"""What ``--reasoning-parser`` is given."""


def _announce(reasoning: Any) -> None:
    manager: Any = getattr(reasoning, "ReasoningParserManager", None)
    if not hasattr(manager, "register_lazy_module"):
        # Training with such a vLLM is none of serving's business.
        logging.getLogger(__name__).warning("this vLLM has no lazy reasoning parsers: '%s' is not to be had", NAME)
        return
    manager.register_lazy_module(NAME, "personadual.serving.parser", "PersonaDualReasoningParser")


def register() -> None:
    """Register now, or as soon as ``vllm.reasoning`` is imported; a second time changes nothing."""
    wrapt.register_post_import_hook(_announce, "vllm.reasoning")


register()
