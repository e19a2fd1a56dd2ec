"""The keywords of ``compute_score``: read from a config, checked, and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from personadual.modes import DEFAULT_MODES, Modes
from personadual.reward_fns.graders import check_data_sources

STRICT, AUTHORS = "strict", "authors"
PROFILES = (STRICT, AUTHORS)

# What verl's reward managers pass along where a reward model runs. A rule has no use for it.
FROM_VERL = ("reward_router_address", "reward_model_tokenizer")


@dataclass(frozen=True)
class Settings:
    """Keywords of ``compute_score``, read and checked.

    Attributes:
        accuracy_weight, format_weight: R = accuracy_weight * acc + format_weight * format (paper: 0.9 and 0.1).
        profile: "strict", or "authors" for the authors' released rules.
        modes: the configured modes; their tags are looked for and their names are in the result's keys.
        graders: data sources beyond the known ones, to "objective" or "personalized".
    """

    accuracy_weight: float = 0.9
    format_weight: float = 0.1
    profile: str = STRICT
    modes: Modes = DEFAULT_MODES
    graders: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights = {"accuracy_weight": self.accuracy_weight, "format_weight": self.format_weight}
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise ValueError(f"{name} must be a number, found {weight!r}")
            if not math.isfinite(weight) or weight < 0:
                raise ValueError(f"{name} must be finite and not negative, found {weight!r}")
        if not any(weights.values()):
            raise ValueError("accuracy_weight and format_weight are both 0; every reward would be the same")
        if self.profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, found {self.profile!r}")
        if not isinstance(self.graders, Mapping):
            raise ValueError(f"graders must map data sources to graders, found {self.graders!r}")
        check_data_sources([], self.graders)


KEYWORDS = tuple(Settings.__dataclass_fields__)


def read_settings(**kwargs: Any) -> Settings:
    """Settings of ``compute_score``'s keywords; call it before training starts to have mistakes refused there.

    Raises:
        TypeError: a keyword is unknown, or its value is not of the kinds a config has.
        ValueError: a value is out of range.
    """
    unknown = sorted(set(kwargs) - set(KEYWORDS) - set(FROM_VERL))
    if unknown:
        raise TypeError(f"compute_score: unknown keyword {', '.join(unknown)}; there are {', '.join(KEYWORDS)}")
    given = {name: value for name, value in kwargs.items() if name in KEYWORDS and value is not None}
    # Rows come by the million with the same keywords, mostly in containers that have no hash: their text is the key.
    return _settings_of(json.dumps(given, default=_plain)) if given else _DEFAULTS


_DEFAULTS = Settings()


@lru_cache(maxsize=64)
def _settings_of(text: str) -> Settings:
    given = json.loads(text)
    if "modes" in given:
        given["modes"] = Modes.from_config(given["modes"])
    return Settings(**given)


def _plain(value: Any) -> Any:
    """OmegaConf's containers, and others alike, as JSON knows them."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"compute_score: {value!r} is no value of a config")
