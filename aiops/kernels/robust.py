"""Robust location, scale and standard scores of many series at once. Pure numpy; shapes are (series, time); NaN is a gap.

All functions are silent on rows that hold nothing: an all-NaN row has location NaN, scale NaN and standard score 0.
"""

from __future__ import annotations

import numpy as np

from aiops.domain import BoolArray, FloatArray

MAD_TO_SIGMA = 1.4826  # consistency of the median absolute deviation with a Gaussian sigma
IQR_TO_SIGMA = 1.349
SPAN90_TO_SIGMA = 3.29  # q95 - q05 of a Gaussian, in sigmas


def quantiles(values: FloatArray, q: tuple[float, ...]) -> FloatArray:
    """(S, T) -> (len(q), S) linear-interpolation quantiles over time, ignoring NaN; NaN where a row is empty.

    One sort of the whole block, O(S T log T); `np.nanquantile` loops over rows in Python and is 20-50 times slower.
    """
    series = values.shape[0]
    if series == 0 or values.shape[1] == 0:
        return np.full((len(q), series), np.nan)
    ordered = np.sort(values, axis=1)  # NaN sorts last
    count = np.sum(~np.isnan(values), axis=1)
    rows = np.arange(series)
    last = np.maximum(count - 1, 0)
    result = np.empty((len(q), series))
    for k, level in enumerate(q):
        position = level * last
        low = np.floor(position).astype(np.int64)
        high = np.minimum(low + 1, last)
        part = position - low
        result[k] = ordered[rows, low] * (1.0 - part) + ordered[rows, high] * part
    result[:, count == 0] = np.nan
    return result


def location_scale(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median and a scale that no single defect fools, each (S,).

    scale = max(1.4826 MAD, IQR / 1.349, (q95 - q05) / 3.29 / 2): the MAD vanishes when half of the samples are equal, the
    quartiles when three quarters are; half of the 90 % span then still knows that the series moves.
    """
    q05, q25, median, q75, q95 = quantiles(values, (0.05, 0.25, 0.5, 0.75, 0.95))
    deviation = quantiles(np.abs(values - median[:, None]), (0.5,))[0]
    scale = np.maximum(MAD_TO_SIGMA * deviation, (q75 - q25) / IQR_TO_SIGMA)
    return median, np.maximum(scale, 0.5 * (q95 - q05) / SPAN90_TO_SIGMA)


def standard_scores(values: FloatArray, location: FloatArray, scale: FloatArray) -> FloatArray:
    """(x - location) / scale, (S, T). Gaps, empty rows and rows of zero scale at their location give 0; a row of zero
    scale that moves has no unit to be measured in and gives 0 as well: give it a floor first."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = (values - location[:, None]) / scale[:, None]
    return np.where(np.isfinite(scores), scores, 0.0)


def saturate(values: FloatArray, half: float) -> FloatArray:
    """v^2 / (v^2 + half^2): 0 at 0, 1/2 at `half`, towards 1 above. `half` > 0."""
    squared = np.square(values)
    return np.asarray(squared / (squared + half * half))


def first_run(outside: BoolArray, length: int) -> FloatArray:
    """Per row of (S, T) the index where the first run of `length` True starts, else the first True, else -1."""
    series, steps = outside.shape
    if steps == 0:
        return np.full(series, -1.0)
    first = np.where(np.any(outside, axis=1), np.argmax(outside, axis=1), -1)
    if length > 1 and steps >= length:
        run = np.lib.stride_tricks.sliding_window_view(outside, length, axis=1).all(axis=2)
        first = np.where(np.any(run, axis=1), np.argmax(run, axis=1), first)
    return first.astype(np.float64)
