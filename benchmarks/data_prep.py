"""Rows per second and memory of ``personadual data build`` against a plain pandas script, on AlignX-shaped rows.

    python benchmarks/data_prep.py [--rows 100000] [--workers 2] [--skip-pandas]

Both convert the same generated JSONL file into RL parquet, one after the other, each in a fresh process. The pandas
script does what such scripts do: read all, map each row to a prompt, split by row, write. Ours also cleans, searches
near-duplicates, groups, splits by group and persona, counts and checksums. `data validate` then reads the training file
back (nine tenths of the rows) and sends every row through its grader. Memory is the largest sum over the process
and its children, sampled; pages that they share count for each.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VALIDATE = "-m personadual.cli data validate {out}/ours/rl_train.parquet"
OURS = "-m personadual.cli data build --source alignx --input {rows} --task rl --out {out}/ours --workers {workers}"

PANDAS = """
import random, sys
import pandas as pd

frame = pd.read_json(sys.argv[1], lines=True)

def persona(row):
    lines = [row["Demographic Information"], "Comments by this user:"]
    lines += [f'- On "{e["prompt"][:160]}": "{e["comment"][:280]}"' for e in row["User-Generated Content"][:2]]
    lines += ["Responses that this user preferred:"]
    for e in row["Pair-wise Comparative Feedback"][:2]:
        lines.append(f'- On "{e["prompt"][:160]}": "{e["chosen"][:280]}" rather than "{e["rejected"][:280]}"')
    return "\\n".join(lines)

def convert(row):
    pair = [row["chosen"], row["rejected"]]
    swapped = random.random() < 0.5
    pair = pair[::-1] if swapped else pair
    question = row["prompt"] + "\\n\\nWhich of these two responses would I prefer?"
    told = persona(row)
    asked = f"{question}\\n\\nA. {pair[0]}\\n\\nB. {pair[1]}\\nAnswer in JSON."
    return {
        "prompt": [{"role": "system", "content": "User profile: " + told}, {"role": "user", "content": asked}],
        "data_source": "AlignX",
        "ability": "preference",
        "reward_model": {"style": "rule", "ground_truth": "B" if swapped else "A"},
        "extra_info": {"index": int(row.name), "persona": told, "question": question, "options": pair},
    }

rows = pd.DataFrame(list(frame.apply(convert, axis=1)))
held_out = rows.sample(frac=0.1, random_state=1)
rows.drop(held_out.index).to_parquet(sys.argv[2] + "/train.parquet", compression="zstd")
held_out.to_parquet(sys.argv[2] + "/val.parquet", compression="zstd")
"""


def write_rows(path: Path, count: int) -> None:
    """AlignX-shaped rows of about 4 KB, with words from a vocabulary of 20,000."""
    rng = random.Random(1)
    words = [
        "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 10))) for _ in range(20_000)
    ]

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length))

    direction = [0.5] * 90
    with path.open("w") as stream:
        for number in range(count):
            row = {
                "prompt": text(60),
                "chosen": text(50),
                "rejected": text(50),
                "Preference Direction": direction,
                "Demographic Information": f"User {number}. {text(20)}",
                "User-Generated Content": [
                    {"prompt": text(30), "comment": text(30), "Preference Direction": direction} for _ in range(2)
                ],
                "Pair-wise Comparative Feedback": [
                    {"prompt": text(30), "chosen": text(30), "rejected": text(30), "Preference Direction": direction}
                    for _ in range(2)
                ],
            }
            stream.write(json.dumps(row) + "\n")


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds of a command, and its largest resident memory in MiB, children included."""
    import psutil

    start = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        total = 0
        for member in [process, *_children(process)]:
            try:
                total += member.memory_info().rss
            except psutil.Error:
                continue
        peak = max(peak, total)
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command[:6])} ... ended with {process.returncode}")
    return time.perf_counter() - start, peak / 2**20


def _children(process):  # type: ignore[no-untyped-def]
    import psutil

    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--skip-pandas", action="store_true", help="ours alone: pandas holds all the rows in memory")
    parser.add_argument("--folder", type=Path, help="where the files go, for a moment (the system's temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = Path(folder) / "alignx.jsonl"
        write_rows(rows, arguments.rows)
        print(f"{arguments.rows:,} rows, {rows.stat().st_size / 2**20:,.0f} MiB of JSONL")
        ours = OURS.format(rows=rows, out=folder, workers=arguments.workers).split()
        seconds, memory = measure([sys.executable, *ours])
        print(f"personadual  {arguments.rows / seconds:>8,.0f} rows/s  {memory:>8,.0f} MiB")
        checked, checked_memory = measure([sys.executable, *VALIDATE.format(out=folder).split()])
        print(f"validate     {0.9 * arguments.rows / checked:>8,.0f} rows/s  {checked_memory:>8,.0f} MiB")
        if not arguments.skip_pandas:
            theirs, theirs_memory = measure([sys.executable, "-c", PANDAS, str(rows), folder])
            print(f"pandas       {arguments.rows / theirs:>8,.0f} rows/s  {theirs_memory:>8,.0f} MiB")
            print(f"ratio        {theirs / seconds:>8.2f} of the speed {memory / theirs_memory:>8.2f} of the memory")


if __name__ == "__main__":
    main()
