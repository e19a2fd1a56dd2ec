"""Whether figures repeat: two files of ``python -m benchmarks``, part by part.

    python -m benchmarks.compare docs/results/benchmarks.json docs/results/benchmarks_again.json

For every row that both have, the second file's median by the first's: of the figure itself (seconds, MiB, tokens) and
of its ratio. Differences around 0 (what something adds) are left out. Goals that one run meets and the other misses are
counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import ROWS, read_parts

Rows = Mapping[tuple[str, str, str | None], Mapping[str, Any]]


def rows_of(path: Path) -> dict[str, Rows]:
    """Rows of each part, by what they are about."""
    parts = read_parts(path)
    return {
        name: {(row["what"], row["work"], row["against"]): row for row in part[ROWS]} for name, part in parts.items()
    }


def quotients(one: Rows, other: Rows, figure: str) -> list[float]:
    """``other``'s median of ``seconds`` or ``ratio`` by ``one``'s, where neither run found 0 or less."""
    pairs = [(one[key][figure], other[key][figure]) for key in one.keys() & other.keys()]
    return [b["mid"] / a["mid"] for a, b in pairs if a and b and min(a["low"], b["low"]) > 0]


def span(found: list[float]) -> str:
    """Median, quartiles and extremes."""
    if not found:
        return "–"
    low, first, middle, third, high = np.quantile(found, [0, 0.25, 0.5, 0.75, 1])
    return f"{middle:.2f} ({first:.2f} to {third:.2f}; {low:.2f} to {high:.2f})"


def compared(one: Rows, other: Rows) -> str:
    """A part's row of the table."""
    spans = [span(quotients(one, other, figure)) for figure in ("seconds", "ratio")]
    shared = one.keys() & other.keys()
    judged = [key for key in shared if one[key]["met"] is not None]
    turned = sum(one[key]["met"] != other[key]["met"] for key in judged)
    return f"{len(shared)} | {' | '.join(spans)} | {turned} of {len(judged)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    args = parser.parse_args()
    one, other = rows_of(args.one), rows_of(args.other)
    print(
        "| part | rows | figure, other / one: median (quartiles; extremes) | ratio, the same | goals judged otherwise |"
    )
    print("| --- | --- | --- | --- | --- |")
    for part in one:
        if part in other:
            print(f"| {part} | {compared(one[part], other[part])} |")


if __name__ == "__main__":
    main()
