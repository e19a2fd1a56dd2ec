"""A served model ready to be asked: its configuration, its cache and the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.client import ask_all
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Failure, Outcome, Request
from personadual.data_prep.served.failures import OF_THE_SERVER, ServedError
from personadual.data_prep.served.progress import Tally
from personadual.data_prep.served.prompts import Prompts


@dataclass
class Service:
    """What ``traces``, ``personas`` and ``judge`` ask; ``tally`` counts over all of their requests.

    ``unanswered`` are the ids of those that the server, not the request, is to blame for, with what it said.
    """

    config: ServedConfig
    cache: AnswerCache
    prompts: Prompts
    progress: bool = True
    tally: Tally = field(default_factory=Tally)
    unanswered: dict[str, Failure] = field(default_factory=dict)

    def ask(self, requests: Iterable[Request], total: int | None = None) -> Iterator[Outcome]:
        """``client.ask_all`` with this configuration and cache."""
        for outcome in ask_all(requests, self.config, self.cache, self.progress, total=total, tally=self.tally):
            if isinstance(outcome.reply, Failure) and outcome.reply.reason in OF_THE_SERVER:
                self.unanswered[outcome.request.id] = outcome.reply
            yield outcome

    def check_answered(self) -> None:
        """Refuses to go on without answers that the server may yet give: with them other files would come of it.

        Raises:
            ServedError: with how many there are, the first of them, and what to do.
        """
        if not self.unanswered:
            return
        name, failure = next(iter(self.unanswered.items()))
        raise ServedError(
            f"{len(self.unanswered)} request(s) to {self.config.base_url} had no answer after "
            f"{self.config.max_attempts} attempt(s) each; the first is {name}: {failure.reason} ({failure.detail}). "
            f"Nothing is written. All answers so far are kept in {self.cache.path}, and the same command asks for the "
            "missing ones. Where one fails every time, leave its question out of the input"
        )


@contextmanager
def open_service(config: ServedConfig, cache: Path, progress: bool = True) -> Iterator[Service]:
    """Templates checked and cache opened; nothing is asked yet.

    Raises:
        ValueError: a fault in a template, or a cache that is damaged or open elsewhere.
    """
    prompts = Prompts(config.prompts)
    with AnswerCache(cache) as answers:
        yield Service(config, answers, prompts, progress)
