"""Fuzz the graders, the parsers, the readers and the configuration, and say what was found.

    python tests/fuzz/run.py                      a million cases for the graders, fewer for what is slower
    python tests/fuzz/run.py --target grade --count 5000000 --seed 2
    python tests/fuzz/run.py --engine atheris     guided by coverage (pip install atheris)
    python tests/fuzz/run.py --replay FILE --target grade

A case that fails is written to ``--findings`` before anything else happens, and ends its target.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.targets import TARGETS

COUNTS = {
    "grade": 1_000_000,
    "facts": 200_000,
    "parse": 1_000_000,
    "config": 200_000,
    "modes": 200_000,
    "generation": 200_000,
    "read": 20_000,
}


def cases(seed: int, count: int, longest: int = 64) -> Iterator[bytes]:
    """Random inputs, one in four a mutation of a recent one."""
    rng = random.Random(seed)
    kept: list[bytes] = [b""]
    for _ in range(count):
        if rng.random() < 0.25:
            data = bytearray(rng.choice(kept))
            for _ in range(rng.randint(1, 3)):
                place = rng.randrange(len(data) + 1)
                data[place : place + rng.randrange(2)] = rng.randbytes(rng.randrange(4))
            case = bytes(data[:longest])
        else:
            case = rng.randbytes(min(longest, int(rng.expovariate(1 / 12))))
        if len(kept) < 256:
            kept.append(case)
        else:
            kept[rng.randrange(256)] = case
        yield case


def run_random(target: str, count: int, seed: int, findings: Path) -> int:
    """Number of cases that got past the refusals; stops at the first that fails, after writing it."""
    check, passed = TARGETS[target], 0
    for number, case in enumerate(cases(seed, count), start=1):
        try:
            passed += check(case)
        except BaseException:
            findings.mkdir(parents=True, exist_ok=True)
            path = findings / f"{target}-{hashlib.sha256(case).hexdigest()[:16]}"
            path.write_bytes(case)
            print(f"{target}: case {number} of seed {seed} failed; kept as {path}", file=sys.stderr)
            raise
    return passed


def run_atheris(target: str, count: int, seed: int, findings: Path) -> None:
    """In this process, which atheris ends; its corpus starts from nothing."""
    import atheris

    findings.mkdir(parents=True, exist_ok=True)
    atheris.instrument_all()
    arguments = [
        sys.argv[0],
        f"-runs={count}",
        f"-seed={seed}",
        "-max_len=256",
        f"-artifact_prefix={findings}/{target}-",
    ]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, action="append", help="repeatable (all)")
    parser.add_argument("--count", type=int, help="cases of each target (a million for the graders and the parser)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("random", "atheris"), default="random")
    parser.add_argument("--findings", type=Path, default=Path("outputs/fuzz"))
    parser.add_argument("--replay", type=Path, help="a kept case; needs --target")
    args = parser.parse_args()
    chosen = args.target or list(COUNTS)
    if args.replay:
        TARGETS[chosen[0]](args.replay.read_bytes())
        return
    if args.engine == "atheris":
        if len(chosen) > 1:
            for target in chosen:  # atheris ends its process
                command = [
                    sys.executable,
                    __file__,
                    "--engine",
                    "atheris",
                    "--target",
                    target,
                    "--seed",
                    str(args.seed),
                ]
                count = args.count or COUNTS[target]
                subprocess.run([*command, "--count", str(count), "--findings", str(args.findings)], check=True)
            return
        run_atheris(chosen[0], args.count or COUNTS[chosen[0]], args.seed, args.findings)
        return
    print("| target | cases | past the refusals | seed | seconds | findings |" + "\n|" + " --- |" * 6)
    for target in chosen:
        start = time.monotonic()
        count = args.count or COUNTS[target]
        passed = run_random(target, count, args.seed, args.findings)
        seconds = time.monotonic() - start
        print(f"| {target} | {count:,} | {passed:,} | {args.seed} | {seconds:.0f} | 0 |", flush=True)


if __name__ == "__main__":
    main()
