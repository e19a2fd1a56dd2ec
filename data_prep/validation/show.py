"""A report as text for a terminal and as JSON. File content is shown with its control characters spelt out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from personadual.data_prep.validation.balance import counted
from personadual.data_prep.validation.catalogue import ERROR
from personadual.data_prep.validation.files import Report
from personadual.data_prep.validation.findings import Finding
from personadual.evaluation.text import plain_table, visible


def as_text(report: Report) -> str:
    """The files, a table of the findings, and for each what is required, what was found and how to mend it."""
    files = [
        [file.file, file.kind or "-", str(file.rows), counted(file.balance.modes), counted(file.balance.conditions)]
        for file in report.files
    ]
    parts = [plain_table(["file", "kind", "rows", "modes", "conditions"], files)]
    findings = list(report.findings)
    if findings:
        table = [[finding.severity, finding.check, finding.file, finding.field, _rows(finding)] for finding in findings]
        parts += [plain_table(["severity", "check", "file", "field", "rows (from 1)"], table)]
        parts += [_details(finding) for finding in findings]
    parts += [_verdict(findings)]
    return "\n\n".join(parts)


def as_json(report: Report) -> dict[str, Any]:
    """The same, for programs."""
    findings = [asdict(finding) for finding in report.findings]
    errors = sum(finding["severity"] == ERROR for finding in findings)
    return {
        "files": [
            {
                "file": file.file,
                "kind": file.kind,
                "rows": file.rows,
                "modes": dict(file.balance.modes),
                "conditions": dict(file.balance.conditions),
            }
            for file in report.files
        ],
        "findings": findings,
        "errors": errors,
        "warnings": len(findings) - errors,
    }


def has_errors(report: Report) -> bool:
    return any(finding.severity == ERROR for finding in report.findings)


def _rows(finding: Finding) -> str:
    if not finding.rows:
        return "-"
    shown = ", ".join(map(str, finding.rows))
    more = finding.count - len(finding.rows)
    return f"{shown} and {more} more" if more else shown


def _details(finding: Finding) -> str:
    where = f"{finding.file} {finding.field}".strip()
    lines = [f"{finding.severity} {finding.check}: {where}, {_times(finding)}"]
    for name in ("required", "found", "mend"):
        lines.append(f"  {name:<9}{visible(getattr(finding, name))}")
    return "\n".join([visible(lines[0]), *lines[1:]])


def _times(finding: Finding) -> str:
    return "the file" if not finding.rows else f"{finding.count} row" + "s" * (finding.count > 1)


def _verdict(findings: list[Finding]) -> str:
    errors = sum(finding.severity == ERROR for finding in findings)
    if not findings:
        return "no findings"
    return f"{errors} kind(s) of error, {len(findings) - errors} kind(s) of warning"
