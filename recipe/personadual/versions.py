"""Which verl this package works with; anything else is refused in one sentence."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from packaging.specifiers import SpecifierSet


class VersionError(ImportError):
    """An installed package is of a version that this package does not know."""


def required_verl() -> dict[str, str]:
    """``REQUIRED_VERL.txt`` (KEY=VALUE lines, as the recipes of verl-recipe have it) as a dict."""
    text = files("personadual").joinpath("REQUIRED_VERL.txt").read_text(encoding="utf-8")
    pairs = (line.split("=", 1) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def check_verl() -> str:
    """The installed verl's version.

    Raises:
        VersionError: verl is missing or outside the required range.
    """
    needed = required_verl()["VERL_VERSION"]
    command = f"pip install 'verl{needed}'"
    try:
        found = version("verl")
    except PackageNotFoundError:
        raise VersionError(f"personadual needs verl{needed}, found none; run: {command}") from None
    if not SpecifierSet(needed).contains(found, prereleases=True):
        raise VersionError(f"personadual needs verl{needed}, found verl {found}; run: {command}")
    return found
