"""Choices in the statistics of a report that its reader has to know."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from personadual.evaluation.bootstrap import LEVEL, RESAMPLES, SEEDS_NEEDED
from personadual.evaluation.comparisons import CORRECTIONS
from personadual.evaluation.verdict import MARGIN, MIN_QUESTIONS


@dataclass(frozen=True)
class Statistics:
    """``baseline``: the verdicts' plain model, None for each model's own plain mode. ``margin``: theirs, in accuracy.

    ``correction``: key of ``CORRECTIONS``. ``compare``: pairs (old, new); none for each model with the one before it.
    """

    baseline: str | None = None
    margin: float = MARGIN
    correction: str = "holm"
    compare: Sequence[tuple[str, str]] = ()

    def pairs(self, models: Sequence[str]) -> list[tuple[str, str]]:
        """The pairs to compare. ValueError naming a model that is not there."""
        for pair in self.compare:
            for name in pair:
                if name not in models:
                    raise ValueError(f"--compare {' '.join(pair)}: {name!r} is none of the models: {', '.join(models)}")
        return [(old, new) for old, new in self.compare] or list(itertools.pairwise(models))

    def as_json(self) -> dict[str, Any]:
        fixed = {"level": LEVEL, "resamples": RESAMPLES, "seeds_needed": SEEDS_NEEDED, "min_questions": MIN_QUESTIONS}
        return {"baseline": self.baseline, "margin": self.margin, "correction": self.correction, **fixed}


def add_statistics_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``personadual report``; ``statistics_from`` reads them."""
    parser.add_argument(
        "--baseline",
        metavar="LABEL",
        help="plain model of the falsification verdict (default: each model's own answers forced into the plain mode)",
    )
    parser.add_argument(
        "--margin", type=float, default=MARGIN, help=f"accuracy that the verdict lets a model lose ({MARGIN})"
    )
    parser.add_argument(
        "--correction", choices=[*CORRECTIONS], default="holm", help="for many comparisons: Holm, Benjamini-Hochberg"
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("OLD", "NEW"),
        help="models to compare, repeatable (default: each model with the one before it)",
    )


def statistics_from(args: argparse.Namespace) -> Statistics:
    return Statistics(args.baseline, args.margin, args.correction, [(old, new) for old, new in args.compare])
