"""PersonaHub: one-sentence personas, for the users to whom a question does not matter; and personas of your own.

Licence: CC-BY-NC-SA-4.0: for non-commercial use only, and a model or file made with it must say so. Nothing of it is
part of this project.
Citation: Ge et al., "Scaling Synthetic Data Creation with 1,000,000,000 Personas", arXiv 2406.20094, 2024.
Schema (hub id ``proj-persona/PersonaHub``, configuration ``persona``; ``persona.jsonl``, 200,000 lines): ``persona``
("A pediatric nurse ..."). Some lines are Chinese; only English ones are used. Of a file of your own (``personas``) all
are, those that are not English word for word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from personadual.data_prep.hygiene import check_text
from personadual.data_prep.language import is_english
from personadual.data_prep.record import Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.fields import text

NOT_ENGLISH = "not English"
NO_DESCRIPTION = "not a description of one person"
TOO_LONG = "persona too long"

MAX_CHARACTERS = 2000

_I_AM = re.compile(r"I(?:\s+am|['\u2019]m)\s+", re.IGNORECASE)
_ARTICLES = frozenset({"a", "an", "the"})
_OTHERS = frozenset({"he", "she", "they", "you", "we", "it", "his", "her", "their", "your"})
_END = re.compile(r"""[.!?…]["'”’)]?\Z""")


class PersonaHub:
    """PersonaHub's personas; with another ``about``, those of any file with a column ``persona``."""

    about = About(
        name="personahub",
        licence="CC-BY-NC-SA-4.0 (non-commercial)",
        citation="Ge et al., Scaling Synthetic Data Creation with 1,000,000,000 Personas, arXiv 2406.20094, 2024",
        homepage="https://huggingface.co/datasets/proj-persona/PersonaHub",
        hub_id="proj-persona/PersonaHub",
        redistributable=False,
    )

    def persona(self, row: Mapping[str, Any], where: Where) -> str:
        """The persona in the first person. Raises Rejected."""
        told = text(row, "persona")
        check_text(told, "persona")
        if len(told) > MAX_CHARACTERS:
            raise Rejected(TOO_LONG, f"{len(told)} characters, at most {MAX_CHARACTERS}", field="persona")
        return in_first_person(told) if is_english(told) else self.foreign(told)

    def foreign(self, told: str) -> str:
        """A persona that is not English. Raises Rejected."""
        raise Rejected(NOT_ENGLISH, f"found {told!r:.100}", field="persona")


class OwnPersonas(PersonaHub):
    """Personas of the user's own file, in its column ``persona``."""

    about = About(name="personas", licence="the user's own", citation="", homepage="", redistributable=False)

    def foreign(self, told: str) -> str:
        """As it stands, on one line: how other languages speak of oneself is not known here."""
        return " ".join(told.split())


def in_first_person(told: str) -> str:
    """ "A pediatric nurse" as "I am a pediatric nurse."; a text that says "I ..." already keeps its words.

    Raises:
        Rejected: unfit, it is about somebody else or is no more than a word.
    """
    told = " ".join(told.split())
    if len(told) > 1 and told[0] + told[-1] in ('""', "“”", "''"):
        told = told[1:-1].strip()
    told, described = _I_AM.subn("", told, count=1) if _I_AM.match(told) else (told, 0)
    first, _, rest = told.partition(" ")
    if not rest or first.casefold() in _OTHERS:
        raise Rejected(NO_DESCRIPTION, f"found {told!r:.100}", field="persona")
    if described or first not in ("I", "My"):
        told = "I am " + (f"{first.lower()} {rest}" if first.casefold() in _ARTICLES else told)
    return told if _END.search(told) else told.rstrip(" ,;:-") + "."
