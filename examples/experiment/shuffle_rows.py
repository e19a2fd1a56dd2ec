"""The rows of a parquet file in an order drawn by a seed: verl's SFT trainer draws its batches alike in every run.

Its sampler is a ``DistributedSampler`` without a seed (verl/trainer/sft_trainer.py:236, 0.9.1), and ``trainer.seed``
changes nothing about it, so that two runs of SFT on one file give one model.

    python examples/experiment/shuffle_rows.py --rows data/sft_train.parquet --seed 4 --out data/sft_train_s4.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from personadual.data_prep.columns import write_parquet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    table = pq.read_table(args.rows)
    write_parquet(args.out, table.take(np.random.default_rng(args.seed).permutation(len(table))))


if __name__ == "__main__":
    main()
