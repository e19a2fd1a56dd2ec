"""Traces and personas by a served model: any endpoint that speaks OpenAI's chat completions, ``vllm serve`` first.

Nothing here opens a connection unless a configuration names an endpoint and an answer is missing from the cache.

Where what is:
    config      ``ServedConfig``: endpoint, model, limits and sampling, read from a mapping
    exchange    a request, its answer, and what became of it
    cache       every answer on disk as it comes
    client      ``ask_all``: many requests at once, retried, rate-limited, interruptible
    failures    which failure is of one request, and which stops everything
    spacing     the rate limit
    progress    the bar, the counts, and what is said when it stops
    prompts     the jinja templates (prompts/*.jinja) and the check of a user's own
    service     config, cache and prompts in one, for the three below
    bodies      a completion as reasoning and answer
    traces      SFT traces: what is asked, and which completions are kept
    personas    aligned and conflicting personas
    judge       yes or no on free-form answers that no rule can match
    texts       when a text contains another, and what no generated text may contain
"""

from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.client import ask_all, ask_all_async
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Answer, Outcome, Request
from personadual.data_prep.served.failures import ServedError
from personadual.data_prep.served.prompts import Prompts
from personadual.data_prep.served.service import Service, open_service

__all__ = [
    "Answer",
    "AnswerCache",
    "Outcome",
    "Prompts",
    "Request",
    "ServedConfig",
    "ServedError",
    "Service",
    "ask_all",
    "ask_all_async",
    "open_service",
]
