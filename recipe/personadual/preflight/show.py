"""Findings for a terminal and as JSON. Values of configs and files are shown with control characters spelt out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from personadual.evaluation.text import plain_table, visible
from personadual.preflight.findings import ERROR, OK, WARNING, Finding

_WIDTH = 100


def as_text(findings: Sequence[Finding], packages: Mapping[str, str | None]) -> str:
    """The packages, a table of everything that was looked at, then in full what is a problem or a table itself."""
    lines = [f"{name:16} {found or 'not installed'}" for name, found in packages.items()]
    rows = [[finding.severity, finding.section, finding.what, _short(finding.found)] for finding in findings]
    parts = ["\n".join(lines), plain_table(["", "section", "looked at", "found"], rows)]
    parts += [_details(finding) for finding in findings if finding.severity != OK or "\n" in finding.found]
    errors, warnings = _count(findings, ERROR), _count(findings, WARNING)
    parts.append(f"{errors} error(s), {warnings} warning(s)" if errors or warnings else "all is well")
    return "\n\n".join(parts)


def as_json(findings: Sequence[Finding], packages: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "packages": dict(packages),
        "findings": [asdict(finding) | {"ok": finding.ok} for finding in findings],
        "errors": _count(findings, ERROR),
        "warnings": _count(findings, WARNING),
    }


def has_errors(findings: Sequence[Finding]) -> bool:
    return _count(findings, ERROR) > 0


def _count(findings: Sequence[Finding], severity: str) -> int:
    return sum(finding.severity == severity for finding in findings)


def _short(text: str) -> str:
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= _WIDTH and line == text.strip() else line[: _WIDTH - 1] + "…"


def _details(finding: Finding) -> str:
    lines = [f"{finding.severity} [{finding.section}] {visible(finding.what)}"]
    for name, text in (("required", finding.required), ("found", finding.found), ("mend", finding.mend)):
        if text:
            shown = "\n           ".join(visible(line) for line in text.split("\n"))
            lines.append(f"  {name:<9}{shown}")
    return "\n".join(lines)
