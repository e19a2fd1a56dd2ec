"""Time of ``dual_grpo_advantage`` against verl's own GRPO on the same batch, in one process.

    python benchmarks/advantage_speed.py [--rows 2048] [--tokens 1024] [--group 8] [--repeats 15]

Prints medians, best times and their ratios. The two are timed in turn, so that other work on the machine hits both.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from personadual.advantage import dual_grpo_advantage


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--group", type=int, default=8, help="samples of one prompt")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    row = torch.arange(args.rows)
    lengths = torch.randint(args.tokens // 4, args.tokens + 1, (args.rows,), generator=generator)
    mask = (torch.arange(args.tokens)[None, :] < lengths[:, None]).float()
    scores = torch.randint(0, 2, (args.rows,), generator=generator).float()
    token_level_rewards = torch.zeros(args.rows, args.tokens)
    token_level_rewards[row, lengths - 1] = scores
    uids = np.array([f"uid-{number // args.group}" for number in range(args.rows)], dtype=object)
    modes = row % 2
    prefix_lengths = 6 + modes

    def ours() -> object:
        return dual_grpo_advantage(token_level_rewards.sum(-1), modes, uids, prefix_lengths, mask)

    def verls() -> object:
        return compute_grpo_outcome_advantage(token_level_rewards, mask, uids)

    ours(), verls()
    pairs = [(seconds(ours), seconds(verls)) for _ in range(args.repeats)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    best_mine, best_theirs = (min(column) for column in zip(*pairs, strict=True))
    print(
        f"rows {args.rows}, tokens {args.tokens}, groups of {args.group}, {torch.get_num_threads()} threads, "
        f"{args.repeats} repeats: dual_grpo {1000 * mine:.1f} ms, verl's grpo {1000 * theirs:.1f} ms, ratio "
        f"{mine / theirs:.2f} (medians); {1000 * best_mine:.1f} ms, {1000 * best_theirs:.1f} ms, ratio "
        f"{best_mine / best_theirs:.2f} (best)"
    )


if __name__ == "__main__":
    main()
