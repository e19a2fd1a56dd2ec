"""What the plugin adds to ``import verl``, which every process of a training does.

    python benchmarks/import_cost.py [--repeats 5]

Starts fresh processes with and without plugins in turn, and prints medians of their processor time, which other work on
the machine disturbs less than the clock. All installed verl plugins count; where personadual is the only one, the
difference is its own.
"""

import argparse
import os
import statistics
import subprocess
import sys

TIMED = """
import sys, time

start = time.process_time()
import verl
took, modules = time.process_time() - start, len(sys.modules)
start = time.process_time()
import personadual.plugin
print(took, modules, time.process_time() - start)
"""


def measure(plugins: str) -> tuple[float, int, float]:
    """CPU seconds of ``import verl``, modules it loaded, and CPU seconds of the plugin's import after it."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VERL_")}
    environment = clean | {"VERL_USE_EXTERNAL_PLUGINS": plugins}
    command = [sys.executable, "-c", TIMED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    took, modules, after = done.stdout.split()[-3:]
    return float(took), int(modules), float(after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    measure("auto")  # fills the file cache
    pairs = [(measure("none"), measure("auto")) for _ in range(args.repeats)]
    without = statistics.median(pair[0][0] for pair in pairs)
    added = statistics.median(pair[1][0] - pair[0][0] for pair in pairs)
    alone = statistics.median(pair[0][2] for pair in pairs)
    (_, modules_without, _), (_, modules_with, _) = pairs[-1]
    print(
        f"import verl {without:.2f} CPU s; with plugins {1000 * added:+.0f} ms (median of {args.repeats} pairs); "
        f"the plugin alone, after verl, {1000 * alone:.1f} ms; modules {modules_without} -> {modules_with}"
    )


if __name__ == "__main__":
    main()
