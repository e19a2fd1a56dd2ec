"""All checks in their order; each section runs whatever the others find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from personadual.preflight.findings import Finding, guarded
from personadual.preflight.install import install_findings
from personadual.preflight.setup import Setup

SECTIONS: dict[str, tuple[str, str]] = {
    "config": ("configuration", "configuration_findings"),
    "batch": ("batches", "batch_findings"),
    "lengths": ("lengths", "length_findings"),
    "model": ("template", "template_findings"),
    "data": ("data", "data_findings"),
    "probe": ("probe", "probe_findings"),
    "hardware": ("hardware", "hardware_findings"),
    "memory": ("memory", "memory_findings"),
    "cluster": ("cluster", "cluster_findings"),
}
"""Section -> module of this package and its function of a ``Setup``; loaded when it runs."""


def run_checks(setup: Setup | None) -> Iterator[Finding]:
    """Findings as they come; of the installation alone where there is no configuration."""
    yield from guarded("install", install_findings)
    if setup is None:
        return
    for section, (module, name) in SECTIONS.items():
        yield from guarded(section, _check(module, name, setup))


def _check(module: str, name: str, setup: Setup) -> Callable[[], Iterator[Finding]]:
    return lambda: getattr(import_module(f"personadual.preflight.{module}"), name)(setup)
