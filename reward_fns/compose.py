"""``compute_score``: accuracy and format of one response, composed to its reward."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from typing import Any

from personadual import schema
from personadual.modes import INVALID_MODE, Modes, parse_mode
from personadual.reward_fns.answer_block import read_block
from personadual.reward_fns.authors import authors_accuracy, authors_format
from personadual.reward_fns.graders import GRADERS, grader_of
from personadual.reward_fns.normalise import is_blank
from personadual.reward_fns.settings import AUTHORS, Settings, read_settings

ABSENT = -1
"""``asked_mode`` of a row whose mode is free, and ``item`` of a row that has none."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | Number,
    extra_info: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, float | int]:
    """Reward of one response.

    Args:
        data_source: says which grader is right (``graders.grader_of``).
        solution_str: the response, from its mode's tag on, special tokens removed.
        ground_truth: the right answer, an option letter or an option text where ``extra_info.options`` has them.
        extra_info: the row's facts; ``options``, ``accept``, ``asked_mode``, ``item`` and ``index`` are read.
        kwargs: the fields of ``Settings`` (``modes`` as a list of {name, tag}), as plain or OmegaConf values.

    Returns:
        The same keys in the same order for every response: ``score``, ``acc`` and ``format`` (0.0 or 1.0), one
        indicator ``mode_<name>`` per mode and ``mode_invalid``, then ``asked_mode`` (index of the mode that the row
        was forced into, -1 where it was free) and ``item`` (-1 where the row has none).

        Strict profile: ``acc`` needs exactly one answer block with the right answer, anywhere but in a think block;
        ``format`` needs the tag line first, and that block last. ``acc`` does not need the tag, so that base models
        can be graded. The mode is read in the same way in both profiles.

    Raises:
        TypeError: ``solution_str`` is no text, or a keyword is unknown.
        ValueError: an unknown data source or mode, a missing ground truth, an ``extra_info`` that can't be read, or a
            setting out of range.
    """
    return score_row(data_source, solution_str, ground_truth, extra_info, settings=read_settings(**kwargs))


def score_row(
    data_source: str,
    solution_str: str,
    ground_truth: str | Number,
    extra_info: Mapping[str, Any] | None = None,
    *,
    settings: Settings,
    grader: str | None = None,
) -> dict[str, float | int]:
    """``compute_score`` with its keywords already read; ``grader`` overrules what the data source says."""
    grader = grader or grader_of(data_source, settings.graders)
    if not isinstance(solution_str, str):
        raise TypeError(f"solution_str must be a text, found {type(solution_str).__name__}")
    info = _facts(extra_info, data_source)
    modes = settings.modes
    asked = _asked_mode(info, modes)
    truth = _ground_truth(ground_truth, data_source, info)
    mode = parse_mode(solution_str, modes)

    if settings.profile == AUTHORS:
        right = authors_accuracy(solution_str, truth, data_source)
        well_formed = authors_format(solution_str, modes)
    else:
        block = read_block(solution_str, thoughts_from=len(solution_str) - len(mode.body))
        right = _graded(grader, block and block.answer, truth, data_source, info)
        well_formed = block is not None and block.at_end and mode.index != INVALID_MODE

    result: dict[str, float | int] = {
        schema.SCORE: float(settings.accuracy_weight * right + settings.format_weight * well_formed),
        schema.ACC: float(right),
        schema.FORMAT: float(well_formed),
    }
    for name in (*modes.names, schema.INVALID):
        result[schema.MODE_KEY_PREFIX + name] = float(mode.name == name)
    result[schema.ASKED_MODE] = asked
    result[schema.ITEM] = _item(info, data_source)
    return result


def _graded(grader: str, answer: str | None, truth: str, data_source: str, info: Mapping[str, Any]) -> bool:
    try:
        return GRADERS[grader](answer, truth, info)
    except ValueError as error:
        raise ValueError(f"{_row(data_source, info)}: {error}") from error


def _facts(extra_info: Any, data_source: str) -> Mapping[str, Any]:
    if extra_info is None:
        return {}
    if not isinstance(extra_info, Mapping):
        raise ValueError(
            f"{_row(data_source, {})}: extra_info must map names to values, found {_shown(extra_info)}. Write the "
            "column as a struct, or leave it out."
        )
    return extra_info


def _item(info: Mapping[str, Any], data_source: str) -> int:
    value = info.get(schema.ITEM)
    if value is None:
        return ABSENT
    try:
        item = int(value)
        if isinstance(value, Number) and item != value:
            raise ValueError("a part would be lost")
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{_row(data_source, info)}: extra_info.{schema.ITEM} must be a whole number, found {_shown(value)}. "
            "Number the items, or leave it null."
        ) from None
    return item


def _asked_mode(info: Mapping[str, Any], modes: Modes) -> int:
    asked = info.get(schema.ASKED_MODE)
    return ABSENT if asked is None or asked == schema.FREE else modes.index_of(asked)


def _ground_truth(value: Any, data_source: str, info: Mapping[str, Any]) -> str:
    if isinstance(value, Number) and not isinstance(value, bool) and value == value:  # NaN is a missing cell
        return str(value)
    if not isinstance(value, str) or is_blank(value):
        raise ValueError(
            f"{_row(data_source, info)}: reward_model.ground_truth must be a text or a number, found {_shown(value)}. "
            f"Further accepted answers go to extra_info.{schema.ACCEPT}."
        )
    return value


def _shown(value: Any) -> str:
    return f"{value!r:.200}"


def _row(data_source: str, info: Mapping[str, Any]) -> str:
    return f"data source {data_source!r}, row {info.get(schema.INDEX, 'without an index')}"
