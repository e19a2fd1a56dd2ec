"""Which texts are English: a look at the script, then py3langid's model, loaded once per process.

A short text gives the model little to go by, so that a text is English unless another language is clearly likelier:
a lost persona costs more than a stray one ("A taiko drummer" looks Lithuanian to the model).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

ENGLISH = "en"

MAX_OTHER_SCRIPT = 0.2
"""Share of letters outside the Latin script from which on a text is not English."""
MIN_PROBABILITY = 0.5
MIN_RATIO = 20.0
"""Another language must be this likely, and this many times as likely as English."""

_MAX_CHARACTERS = 2000


def is_english(text: str) -> bool:
    """Whether ``text`` may be English. Only its beginning is looked at.

    Raises:
        ValueError: py3langid is not installed.
    """
    text = text[:_MAX_CHARACTERS]
    return _is_latin(text) and _may_be_english(text)


def _is_latin(text: str) -> bool:
    if text.isascii():
        return True
    letters = [character for character in text if character.isalpha()]
    other = sum(1 for letter in letters if not letter.isascii() and not _is_latin_letter(letter))
    return other <= MAX_OTHER_SCRIPT * len(letters)


@lru_cache(maxsize=4096)
def _is_latin_letter(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FULLWIDTH LATIN", "FEMININE", "MASCULINE", "MODIFIER"))


def _may_be_english(text: str) -> bool:
    (best, probability), *others = _model().rank(text)
    if best == ENGLISH or probability < MIN_PROBABILITY:
        return True
    return bool(probability < MIN_RATIO * dict(others).get(ENGLISH, 0.0))


@lru_cache(maxsize=1)
def _model() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ModuleNotFoundError as error:
        raise ValueError("the language filter needs py3langid: pip install 'personadual[data]'") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
