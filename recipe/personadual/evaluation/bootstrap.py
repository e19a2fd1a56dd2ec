"""Means with bootstrap intervals and p-values, resampling whole questions, and training seeds where there are enough.

Values come as (S, N, K): S training seeds, N items, K measures; items of a question form a cluster. A resample draws
the C questions C times with replacement (Efron and Tibshirani 1993, ch. 13); question c counts w_c times. With S >= 3
seeds it draws S - 1 of them too, independently (seed s counts v_s times), and the mean of a resample is

    sum_s v_s sum_c w_c T_sc  /  sum_s v_s sum_c w_c N_sc        T_sc, N_sc: sum and number of the values of c under s

the crossed (pigeonhole) bootstrap of Owen (2007). S - 1 draws of S make the variance unbiased (Rao and Wu 1988): S
draws would show two thirds of it at S = 3. With one or two seeds only questions are drawn, and v = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

RESAMPLES, LEVEL, SEED = 2000, 0.95, 20240501
SEEDS_NEEDED = 3  # fewer training seeds have no spread worth resampling


class Estimate(NamedTuple):
    """A mean, its interval, and what it rests on: ``n`` items of ``clusters`` questions, ``seeds`` training seeds.

    NaN where it has none; seeds without any value don't count. From ``SEEDS_NEEDED`` seeds on, the interval covers
    another training run as well.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    seeds: int = 1


@dataclass(frozen=True)
class Draws:
    """K means and B resamples of each; differences and ratios of means are taken resample by resample.

    ``parts``: the independent parts of each mean's variance, (K,) each, with their degrees of freedom.
    ``reach``: (2, K), the smallest and the largest value a cluster's mean has. ``n``, ``clusters``, ``seeds``: (K,)
    int.
    """

    value: np.ndarray
    draws: np.ndarray
    parts: list[tuple[np.ndarray, np.ndarray]]
    reach: np.ndarray
    n: np.ndarray
    clusters: np.ndarray
    seeds: np.ndarray

    def __sub__(self, other: Draws) -> Draws:
        """Of two models with training seeds of their own over the same items and questions."""
        reach = np.stack([self.reach[0] - other.reach[1], self.reach[1] - other.reach[0]])
        draws = self.draws - other.draws
        # The questions are shared: their part is what is left of the whole when the seeds' parts are taken off.
        seed_parts = self.parts[1:] + other.parts[1:]
        questions = np.maximum(_variance(draws) - sum(part for part, _ in seed_parts), 0.0)
        parts = [(questions, self.parts[0][1]), *seed_parts]
        seeds = np.minimum(self.seeds, other.seeds)
        return Draws(self.value - other.value, draws, parts, reach, self.n, self.clusters, seeds)


def draw(values: Any, clusters: Any, *, resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Means of ``values`` (S, N, K) over seeds and items, resampled; ``clusters``: (N,) labels. NaN takes no part.

    The same clusters give the same resamples in every call, so that differences between calls are paired.
    """
    values = np.asarray(values, dtype=float)
    total, count = _cluster_sums(values, np.asarray(clusters))
    filled, ran = count.sum(0) > 0, count.sum(1) > 0
    seeds, measures = ran.sum(0), values.shape[2]
    found = Draws(
        np.full(measures, np.nan),
        np.full((resamples, measures), np.nan),
        [(np.full(measures, np.nan), filled.sum(0) - 1.0)],
        np.full((2, measures), np.nan),
        (~np.isnan(values)).any(0).sum(0),
        filled.sum(0),
        seeds,
    )
    several = seeds >= SEEDS_NEEDED
    if several.any():
        found.parts.append((np.where(several, np.nan, 0.0), np.maximum(seeds - 1.0, 1.0)))
    for columns in _alike(np.concatenate([filled, ran])):
        rows, runs = np.flatnonzero(filled[:, columns[0]]), np.flatnonzero(ran[:, columns[0]])
        if not len(rows):
            continue
        sums, sizes = (part[runs][:, rows][:, :, columns] for part in (total, count))
        if (sizes == sizes[:, :, :1]).all():
            sizes = sizes[:, :, :1]
        found.value[columns] = sums.sum((0, 1)) / sizes.sum((0, 1))
        with np.errstate(invalid="ignore"):
            per_cluster = sums / sizes
        found.reach[:, columns] = np.nanmin(per_cluster, (0, 1)), np.nanmax(per_cluster, (0, 1))
        weights = _weights(len(rows), resamples, seed)
        drawn, drawn_sizes = _weighted(weights, sums), _weighted(weights, sizes)
        fixed = drawn.sum(0) / drawn_sizes.sum(0)
        found.draws[:, columns] = fixed
        found.parts[0][0][columns] = _variance(fixed)
        if several[columns[0]]:
            times = _seed_weights(len(runs), resamples, seed)[:, :, None]
            with np.errstate(invalid="ignore"):
                found.draws[:, columns] = (times * drawn).sum(0) / (times * drawn_sizes).sum(0)
                per_seed = sums.sum(1) / sizes.sum(1)
            found.parts[1][0][columns] = _variance(per_seed) / len(runs)
    return found


def estimates(found: Draws, level: float = LEVEL) -> list[Estimate]:
    """Value and percentile interval of each mean, the interval stretched about the value for small samples.

    A percentile interval of C questions is too narrow, like a normal interval without Student's correction. Its arms
    are stretched by sqrt(C / (C - 1)) t_df / z (after Hesterberg 2015, who widens the quantiles instead), but not
    beyond the smallest and largest question. df = C - 1; with resampled seeds it is Satterthwaite's,
    (sum_i V_i)^2 / sum_i (V_i^2 / df_i) over the parts of the variance. With one question there is no interval.
    """
    from scipy.stats import norm, t

    tails = _quantiles(found.draws, [(1 - level) / 2, (1 + level) / 2])
    stretch = _small_sample(found) * t.ppf((1 + level) / 2, _freedom(found)) / norm.ppf((1 + level) / 2)
    shown = []
    for k, value in enumerate(found.value):
        low = high = np.nan
        if found.clusters[k] > 1:
            low, high = (value + (tail[k] - value) * stretch[k] for tail in tails)
            low, high = max(low, min(found.reach[0][k], tails[0][k])), min(high, max(found.reach[1][k], tails[1][k]))
        sizes = int(found.n[k]), int(found.clusters[k])
        shown.append(Estimate(float(value), float(low), float(high), *sizes, int(found.seeds[k])))
    return shown


def p_values(found: Draws) -> np.ndarray:
    """Two-sided p of "the mean is 0": value / (bootstrap standard error * sqrt(C / (C - 1))) against Student's t.

    Degrees of freedom as in ``estimates``. Never below 2^(1 - C), the smallest p that an exact test by the signs of C
    questions could give: a few questions that all agree are no certainty. NaN with fewer than two questions.
    """
    from scipy.stats import t

    error = np.sqrt(_variance(found.draws)) * _small_sample(found)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * t.cdf(-np.abs(found.value) / error, np.where(error > 0, _freedom(found), 1))
    p = np.where((error == 0) & (found.value == 0), 1.0, p)
    return np.where(found.clusters > 1, np.maximum(p, 2.0 ** (1.0 - found.clusters)), np.nan)


def cluster_mean(
    values: Any, clusters: Any, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> Estimate:
    """``estimates`` of one measure under one seed: (N,) values and their clusters."""
    return estimates(draw(np.reshape(values, (1, -1, 1)), clusters, resamples=resamples, seed=seed), level)[0]


def _cluster_sums(values: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, C, K) each: sum and number of the values of each cluster under each seed."""
    if not len(clusters):
        nothing = np.zeros((values.shape[0], 0, values.shape[2]))
        return nothing, nothing
    order = np.argsort(clusters, kind="stable")
    ordered = clusters[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sorted_values = values[:, order]
    present = ~np.isnan(sorted_values)
    total = np.add.reduceat(np.where(present, sorted_values, 0.0), starts, axis=1)
    return total, np.add.reduceat(present.astype(float), starts, axis=1)


def _weighted(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """(S, B, K): weights (B, C) times sums (S, C, K), as one product of matrices."""
    seeds, clusters, measures = sums.shape
    flat = np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(clusters, seeds * measures)
    parts = [weights[rows].astype(float) @ flat for rows in _blocks(len(weights), clusters)]
    return np.concatenate(parts).reshape(-1, seeds, measures).transpose(1, 0, 2)


def _alike(filled: np.ndarray) -> list[np.ndarray]:
    """Columns of ``filled`` (rows, K) that are equal, together."""
    groups: dict[bytes, list[int]] = {}
    for column in range(filled.shape[1]):
        groups.setdefault(filled[:, column].tobytes(), []).append(column)
    return [np.array(columns) for columns in groups.values()]


def _freedom(found: Draws) -> np.ndarray:
    whole = np.sum([variance for variance, _ in found.parts], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = whole**2 / np.sum([variance**2 / df for variance, df in found.parts], axis=0)
    return np.where(np.isfinite(freedom), freedom, found.parts[0][1])


def _small_sample(found: Draws) -> np.ndarray:
    return np.sqrt(found.clusters / np.maximum(found.clusters - 1.0, 1.0))


def _quantiles(draws: np.ndarray, levels: list[float]) -> np.ndarray:
    """(len(levels), K), interpolated linearly; a draw that hit no value, NaN, takes no part. As np.quantile, faster."""
    ordered = np.sort(draws, axis=0)  # NaN last
    last = np.maximum((~np.isnan(draws)).sum(0) - 1, 0)
    columns = np.arange(draws.shape[1])
    found = []
    for level in levels:
        below = np.floor(level * last).astype(int)
        start, end = ordered[below, columns], ordered[np.minimum(below + 1, last), columns]
        found.append(start + (level * last - below) * (end - start))
    return np.array(found)


def _variance(draws: np.ndarray) -> np.ndarray:
    """Per column, NaN taking no part; 0, not a rounding error, where all draws are equal."""
    if not np.isnan(draws).any():
        variance = draws.var(axis=0, ddof=1)
    else:
        kept = [column[~np.isnan(column)] for column in draws.T]
        variance = np.array([column.var(ddof=1) if len(column) > 1 else 0.0 for column in kept])
    return np.where(variance < 1e-24, 0.0, variance)


@lru_cache(maxsize=8)
def _weights(clusters: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, clusters) uint8: how often each cluster is drawn. In floats it would not fit for a large test set."""
    rng = np.random.default_rng([seed, clusters])
    found = np.empty((resamples, clusters), dtype=np.uint8)
    for rows in _blocks(resamples, clusters):
        drawn = rng.integers(clusters, size=(len(rows), clusters))
        cells = (drawn + clusters * np.arange(len(rows))[:, None]).ravel()
        found[rows] = np.bincount(cells, minlength=len(rows) * clusters).reshape(len(rows), clusters)
    return found


def _blocks(resamples: int, clusters: int) -> list[np.ndarray]:
    """Numbers of the resamples, in parts that take some 30 MB in floats."""
    return np.array_split(np.arange(resamples), max(1, resamples * clusters // 4_000_000))


@lru_cache(maxsize=16)
def _seed_weights(seeds: int, resamples: int, seed: int) -> np.ndarray:
    """(seeds, resamples) float: how often each training seed is drawn, ``seeds`` - 1 times in all."""
    rng = np.random.default_rng([seed, seeds, 1])
    return rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=resamples).T.astype(float)
