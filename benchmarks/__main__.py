"""Speed side by side, measured here and now.

    python -m benchmarks                       all parts
    python -m benchmarks advantage rewards     some
    python -m benchmarks --quick               small sizes, a minute or two

Prints Markdown tables and writes OUT with every figure and, for each part, the machine, its load, the versions and the
rounds. Parts of earlier calls stay, unless they are measured again. Ratios are of what ran side by side in this run;
run it on a quiet machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import advantage, data_prep, evaluation, imports, prefix_cache, rewards, rl_step, trainer_parts
from benchmarks.harness import surroundings, table
from benchmarks.results import check_replaceable, record

PARTS = {
    "advantage": advantage.measure,
    "rewards": rewards.measure,
    "prefix_cache": prefix_cache.measure,
    "evaluation": evaluation.measure,
    "trainer_parts": trainer_parts.measure,
    "imports": imports.measure,
    "data": data_prep.measure,
    "rl_step": rl_step.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is given")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks.json"))
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    where = surroundings()
    print(f"{where['cpu']}, {where['cores']} cores, load {where['load_before']:.1f}, {', '.join(where['versions'])}")
    names = args.parts or list(PARTS)
    try:
        check_replaceable(args.out, names, where, args.quick)
    except ValueError as error:
        parser.error(f"{error}; name another --out")
    for name in names:
        rows = record(name, PARTS[name], args.repeats, args.quick, args.out)
        print(f"\n## {name}\n\n{table(rows)}", flush=True)
    print(f"\nwritten to {args.out}")


if __name__ == "__main__":
    main()
