"""Means with bootstrap intervals, resampling whole questions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

RESAMPLES, LEVEL, SEED = 2000, 0.95, 20240501


class Estimate(NamedTuple):
    """A mean, its interval, and what it rests on: ``n`` values of ``clusters`` questions. NaN where it has none."""

    value: float
    low: float
    high: float
    n: int
    clusters: int


def cluster_mean(
    values: Any, clusters: Any, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> Estimate:
    """Mean of ``values`` and a percentile interval of the cluster bootstrap (Efron and Tibshirani 1993, ch. 13).

    The C clusters are drawn C times with replacement; cluster c then counts w_c times, and a resample's mean is
    sum_c w_c S_c / sum_c w_c N_c, with S_c the sum and N_c the number of c's values. NaN values take no part. With one
    cluster there is nothing to resample, and the interval is NaN.
    """
    values = np.asarray(values, dtype=float)
    kept = ~np.isnan(values)
    values, labels = values[kept], np.asarray(clusters)[kept]
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    names, codes = np.unique(labels, return_inverse=True)
    mean, count = float(values.mean()), len(names)
    if count == 1:
        return Estimate(mean, np.nan, np.nan, len(values), 1)
    weights = _weights(count, resamples, seed)
    means = weights @ np.bincount(codes, weights=values) / (weights @ np.bincount(codes))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(mean, float(low), float(high), len(values), count)


@lru_cache(maxsize=32)
def _weights(clusters: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, clusters): how often each cluster is drawn."""
    rng = np.random.default_rng([seed, clusters])
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
