"""Quantiles of Prometheus' classic histograms: cumulative buckets, each with its upper bound `le`."""

from __future__ import annotations

import numpy as np

from aiops.domain import FloatArray


def quantile(bounds: FloatArray, counts: FloatArray, q: float) -> FloatArray:
    """(T,) the `q` quantile of cumulative counts (B, T) below ascending `bounds` (B,), as PromQL's `histogram_quantile`.

    The values of a bucket are taken as spread evenly over it; beyond the last finite bound it is that bound. NaN where nothing
    was counted, and everywhere where the last bound is not infinite: then nobody knows how many there are. O(B T).
    """
    if len(bounds) < 2 or not np.isposinf(bounds[-1]):
        return np.full(counts.shape[1], np.nan)
    counts = np.maximum.accumulate(np.nan_to_num(counts), axis=0)  # scraped at slightly different moments
    total = counts[-1]
    rank = q * total
    bucket = np.argmax(counts >= rank, axis=0)
    columns = np.arange(counts.shape[1])
    first = bucket == 0
    below = np.where(first, 0.0, counts[np.maximum(bucket - 1, 0), columns])
    lower = np.where(first, np.minimum(bounds[0], 0.0), bounds[np.maximum(bucket - 1, 0)])
    upper, inside = bounds[bucket], counts[bucket, columns] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(inside > 0, lower + (upper - lower) * (rank - below) / inside, lower)
    value = np.where(bucket == len(bounds) - 1, bounds[-2], np.where(first & (bounds[0] <= 0), bounds[0], value))
    return np.asarray(np.where(total > 0, value, np.nan))
