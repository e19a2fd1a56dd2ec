"""The graders, and which data source is graded by which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from personadual import schema
from personadual.reward_fns.matching import is_right

Grader = Callable[[str | None, str, Mapping[str, Any]], bool]

OBJECTIVE, PERSONALIZED = "objective", "personalized"

# The names that the authors' code gives their sets.
ULTRAMEDICAL, FLAN, ALIGNX = "UltraMedical", "flan", "AlignX"
# Benchmarks that data preparation reads.
MMLU, ARC, GSM8K, MEDQA, GPQA, BBH = "mmlu", "arc", "gsm8k", "medqa", "gpqa", "bbh"
ALIGNX_TEST, PERSONAMEM, PREFEVAL = "alignx_test", "personamem", "prefeval"
KNOWN_SOURCES = {
    ULTRAMEDICAL: OBJECTIVE,
    FLAN: OBJECTIVE,
    ALIGNX: PERSONALIZED,
    **dict.fromkeys((MMLU, ARC, GSM8K, MEDQA, GPQA, BBH), OBJECTIVE),
    **dict.fromkeys((ALIGNX_TEST, PERSONAMEM, PREFEVAL), PERSONALIZED),
}

PRIVATE_SOURCES = frozenset({GPQA})
"""Data sources whose authors ask that no question of theirs be shown in plain text, so that none is trained on."""


def objective(answer: str | None, ground_truth: str, extra_info: Mapping[str, Any]) -> bool:
    """Whether ``answer`` states the fact: the open answer, or the option by letter or text where the row has options.

    What a persona says is not looked at: a row with a conflicting persona keeps the true fact as its ground truth.
    """
    return _is_right(answer, ground_truth, extra_info)


def personalized(answer: str | None, ground_truth: str, extra_info: Mapping[str, Any]) -> bool:
    """Whether ``answer`` is the one that suits this persona.

    With options (AlignX): the preferred one, by letter or text. Without: the value of the persona attribute that the
    question turns on, which is the row's ground truth (further wordings under ``accept``). As the match is exact, an
    answer that names another attribute of the persona, or several of them, is wrong. Not mentioning the persona in the
    reasoning costs nothing: only the answer is graded.
    """
    return _is_right(answer, ground_truth, extra_info)


GRADERS: dict[str, Grader] = {OBJECTIVE: objective, PERSONALIZED: personalized}


def grader_of(data_source: str, graders: Mapping[str, str] | None = None) -> str:
    """Name of the grader for ``data_source``: the caller's ``graders`` first, then the known sources.

    Raises:
        ValueError: no grader knows the source, or ``graders`` names one that does not exist.
    """
    if graders or not _is_known(data_source, {}):
        check_data_sources([data_source], graders)
    if graders and data_source in graders:
        return graders[data_source]
    if data_source == schema.QUICKSTART_SOURCE_PREFIX + schema.PERSONAL:
        return PERSONALIZED
    return KNOWN_SOURCES.get(data_source, OBJECTIVE)


def check_data_sources(names: Iterable[str], graders: Mapping[str, str] | None = None) -> None:
    """Refuses data sources that no grader knows; to be called on the data before training starts.

    Args:
        names: the ``data_source`` of the rows.
        graders: further sources, data source to "objective" or "personalized".

    Raises:
        ValueError: with all unknown sources, the known ones, and the overrides that would make them known.
    """
    graders = graders or {}
    for source, grader in graders.items():
        if grader not in GRADERS:
            raise ValueError(f"graders.{source}: unknown grader {grader!r}; there are {', '.join(GRADERS)}")
    unknown = sorted({str(name) for name in names if not _is_known(name, graders)})
    if unknown:
        known = ", ".join([*KNOWN_SOURCES, f"{schema.QUICKSTART_SOURCE_PREFIX}*", *graders])
        raise ValueError(
            f"no grader knows the data source {', '.join(map(repr, unknown))}; known are {known}. Say how to grade it, "
            f"as {' or '.join(GRADERS)}: {' '.join(map(_override, unknown))}"
        )


def _is_right(answer: str | None, ground_truth: str, extra_info: Mapping[str, Any]) -> bool:
    return is_right(answer, ground_truth, _texts(extra_info, schema.OPTIONS), _texts(extra_info, schema.ACCEPT) or ())


def _is_known(name: Any, graders: Mapping[str, str]) -> bool:
    if not isinstance(name, str):
        return False
    return name in graders or name in KNOWN_SOURCES or name.startswith(schema.QUICKSTART_SOURCE_PREFIX)


def _override(name: str) -> str:
    key = "+reward.custom_reward_function.reward_kwargs.graders"
    # Hydra reads a dot or a slash in a key as a path; inside braces it does not.
    return f"{key}.{name}={OBJECTIVE}" if name.isidentifier() else f"'{key}={{{name}:{OBJECTIVE}}}'"


def _texts(extra_info: Mapping[str, Any], key: str) -> Sequence[str] | None:
    """A list column as texts; parquet gives it back as a numpy array. None where it is missing or empty."""
    value = extra_info.get(key)
    if value is None:
        return None
    try:
        if isinstance(value, str | bytes | Mapping):
            raise TypeError("its entries would be characters or keys")
        return [str(entry) for entry in value] or None
    except TypeError:
        raise ValueError(
            f"extra_info.{key} must be a list of texts, found {value!r:.200}. Write it as one, or leave it null."
        ) from None
