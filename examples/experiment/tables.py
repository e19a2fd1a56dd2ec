"""The experiment's tables in Markdown, from reports of ``personadual report`` alone.

python examples/experiment/tables.py outputs/experiment/report/report.json
python examples/experiment/tables.py REPORT.json --judge dual_grpo --sft sft --grpo grpo_free
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

from personadual.evaluation.text import p_text


class Column(NamedTuple):
    """One estimate of every model. ``mode`` only for effects, which are told apart by it."""

    title: str
    name: str
    condition: str
    mode: str | None = None


CLEAR = "clear"
CHOICE = (
    Column("selection error", "selection_error", "all"),
    Column("Hybrid Accuracy", "hybrid", "all"),
    Column("of it with a right mode", "hybrid", "clear"),
    Column("regret", "regret", "all"),
    Column("accuracy", "acc_free", "all"),
    Column("interference, unaligned", "interference", "unaligned", "free"),
    Column("interference, conflicting", "interference", "conflicting", "free"),
    Column("aligned gain kept", "kept_gain", "aligned", "free"),
    Column("valid tags", "tag_validity", "all"),
)
ANSWERS = (
    Column("accuracy, general forced", "acc_general", "all"),
    Column("accuracy, personalized forced", "acc_personalized", "all"),
    Column("both tags", "both_tags", "all"),
    Column("cut off", "truncated", "all"),
    Column("tokens, free", "tokens_free", "all"),
    Column("tokens, general", "tokens_general", "all"),
    Column("tokens, personalized", "tokens_personalized", "all"),
)
# Those in which a mode is right; what is shown for "clear" is the mean over their items.
CONDITIONS = ("none", "unaligned", "aligned", "conflicting", "personal")
PROBABILITY = tuple(Column(condition, "prob_personalized", condition) for condition in CONDITIONS)
MAX_INTERFERENCE, MIN_KEPT, MAX_ERROR, MIN_HYBRID, LEVEL = 0.01, 0.90, 0.05, 0.95, 0.05


def find(report: dict[str, Any], model: str, column: Column) -> dict[str, Any] | None:
    """The estimate of ``column`` for ``model``; None where the report has none."""
    if column.condition == CLEAR:
        return _over_conditions(report, model, column)
    key, parts = ("measure", "measures") if column.mode is None else ("effect", "effects")
    for entry in report[parts]:
        same = entry["model"] == model and entry[key] == column.name and entry["condition"] == column.condition
        if same and (column.mode is None or entry["mode"] == column.mode):
            return entry if entry["value"] is not None else None
    return None


def _over_conditions(report: dict[str, Any], model: str, column: Column) -> dict[str, Any] | None:
    """Mean over ``CONDITIONS``, by their numbers of items; without an interval."""
    parts = [find(report, model, column._replace(condition=condition)) for condition in CONDITIONS]
    found = [part for part in parts if part is not None]
    if not found:
        return None
    count = sum(part["n"] for part in found)
    return found[0] | {"n": count, "low": None, "value": sum(part["n"] * part["value"] for part in found) / count}


def cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "–"
    digits = 1 if abs(entry["value"]) >= 10 else 2
    text = f"{entry['value']:.{digits}f}"
    if entry.get("low") is not None:
        text += f" [{entry['low']:.{digits}f}, {entry['high']:.{digits}f}]"
    return text.replace("-", "−")


def table(report: dict[str, Any], columns: tuple[Column, ...]) -> str:
    """Models down, ``columns`` across; n is the number of items of the first column."""
    models = list(dict.fromkeys(entry["model"] for entry in report["models"]))
    lines = ["| model | seeds | n | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|" + " --- |" * (len(columns) + 3))
    for model in models:
        found = [find(report, model, column) for column in columns]
        first = found[0] or {}
        shown = [f"`{model}`", str(first.get("seeds", "–")), str(first.get("n", "–")), *map(cell, found)]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def goals(report: dict[str, Any], model: str, sft: str, grpo: str) -> str:
    """Each goal, what came out, and whether it is met. An estimate that is missing is not met.

    The comparisons are judged by their own p: they were named before the runs, the report's others were not.
    """
    error, hybrid, clear, _, _, interference, _, kept, _ = (find(report, model, column) for column in CHOICE)
    rows = [
        (
            "interference, unaligned: at most 0.01, interval with 0",
            cell(interference),
            bool(interference)
            and interference["value"] <= MAX_INTERFERENCE
            and interference["low"] <= 0 <= interference["high"],
        ),
        ("aligned gain kept: at least 0.90", cell(kept), bool(kept) and kept["value"] >= MIN_KEPT),
        ("selection error: at most 0.05", cell(error), bool(error) and error["value"] <= MAX_ERROR),
        ("Hybrid Accuracy: at least 0.95", cell(hybrid), bool(hybrid) and hybrid["value"] >= MIN_HYBRID),
        ("the same on items with a right mode", cell(clear), bool(clear) and clear["value"] >= MIN_HYBRID),
    ]
    for other, title in ((grpo, "GRPO"), (sft, "SFT")):
        pairs = [
            entry
            for entry in report["comparisons"]
            if (entry["old"], entry["new"], entry["measure"], entry["condition"])
            == (other, model, "selection_error", "all")
        ]
        told, met = "not compared", False
        if pairs:
            told = f"{cell(pairs[0] | {'value': pairs[0]['difference']})}, {p_text(pairs[0]['p'])}"
            told += f"; corrected for all comparisons of the report {p_text(pairs[0]['p_adjusted'])}"
            met = pairs[0]["difference"] < 0 and pairs[0]["p"] < LEVEL
        rows.append((f"selection error below that of {title} (`{other}`), p < 0.05", told, met))
    lines = [f"| goal for `{model}` | found | met |", "| --- | --- | --- |"]
    return "\n".join(lines + [f"| {goal} | {found} | {'yes' if met else 'no'} |" for goal, found, met in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="report.json of `personadual report`")
    parser.add_argument("--judge", metavar="MODEL", help="print the goals for this model")
    parser.add_argument("--sft", default="sft", help="the model before RL (sft)")
    parser.add_argument("--grpo", default="grpo_free", help="plain GRPO (grpo_free)")
    args = parser.parse_args()
    report = json.loads(args.report.read_text(encoding="utf-8"))
    parts = [
        table(report, CHOICE),
        "P(personalized), by condition:\n\n" + table(report, PROBABILITY),
        table(report, ANSWERS),
    ]
    if args.judge:
        parts.append(goals(report, args.judge, args.sft, args.grpo))
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
