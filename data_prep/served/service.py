"""A served model ready to be asked: its configuration, its cache and the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.client import ask_all
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Outcome, Request
from personadual.data_prep.served.progress import Tally
from personadual.data_prep.served.prompts import Prompts


@dataclass
class Service:
    """What ``traces``, ``personas`` and ``judge`` ask; ``tally`` counts over all of their requests."""

    config: ServedConfig
    cache: AnswerCache
    prompts: Prompts
    progress: bool = True
    tally: Tally = field(default_factory=Tally)

    def ask(self, requests: Iterable[Request], total: int | None = None) -> Iterator[Outcome]:
        """``client.ask_all`` with this configuration and cache."""
        return ask_all(requests, self.config, self.cache, self.progress, total=total, tally=self.tally)


@contextmanager
def open_service(config: ServedConfig, cache: Path, progress: bool = True) -> Iterator[Service]:
    """Templates checked and cache opened; nothing is asked yet.

    Raises:
        ValueError: a fault in a template, or a cache that is damaged or open elsewhere.
    """
    prompts = Prompts(config.prompts)
    with AnswerCache(cache) as answers:
        yield Service(config, answers, prompts, progress)
