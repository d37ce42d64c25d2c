"""The reference detectors that stand beside the engine, each causal: (score, lower, upper) of every row, score 1.0 = threshold."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from aiops.domain import FloatArray, IntArray
from aiops.kernels.ahead import Course

DAY = 86_400
_T63 = 1.9983405  # Student's t, 97.5 %, of 64 residuals
_Z975 = 1.9599640


class Detection(NamedTuple):
    score: FloatArray
    lower: FloatArray
    upper: FloatArray


def windowed_gaussian(times: IntArray, values: FloatArray) -> Detection:  # noqa: ARG001 - one shape for all detectors
    """Tail probability under a normal fitted to the last 6,400 values: NAB's own baseline. Score = -log10 p / 5."""
    mean, spread = _moving(values, 6400)
    with np.errstate(invalid="ignore"):
        z = np.abs(values - mean) / spread
    tail = np.array([math.erfc(x / math.sqrt(2)) if x == x else 1.0 for x in z.tolist()])  # noqa: PLR0124 - NaN test
    return Detection(-np.log10(np.maximum(tail, 1e-300)) / 5, mean - _Z975 * spread, mean + _Z975 * spread)


def ewma_t64(times: IntArray, values: FloatArray) -> Detection:  # noqa: ARG001
    """The source document's: EWMA(.3) and a t interval over its last 64 residuals. Score = |residual| over the half-width."""
    centre, half = _ewma(values, 0.3, 64)
    return _outside(values, centre, half * _T63 * math.sqrt(1 + 1 / 64))


def mad(times: IntArray, values: FloatArray) -> Detection:  # noqa: ARG001
    """Median and scaled MAD of the last 256 values. Score = |z| / 6, band at 1.96."""
    centre, spread = _median(values, 256)
    score = _outside(values, centre, 6 * spread).score
    return Detection(score, centre - _Z975 * spread, centre + _Z975 * spread)


def seasonal_naive(times: IntArray, values: FloatArray) -> Detection:
    """The value a day ago, and the 95 % quantile of the last 256 such residuals. Score = |residual| over twice that."""
    step = max(int(np.median(np.diff(times))), 1) if len(times) > 1 else 1
    back = max(DAY // step, 1)
    centre = np.full(len(values), np.nan)
    centre[back:] = values[:-back] if back < len(values) else []
    half = _quantile(np.abs(values - centre), 256, 0.95)
    score = _outside(values, centre, 2 * half).score
    return Detection(score, centre - half, centre + half)


def seasonal_course(values: FloatArray, season: int, horizon: int) -> Course:
    """The last season repeated, +-1.96 sigma of the seasonal differences times the root of the seasons ahead (Hyndman and
    Athanasopoulos, Forecasting: Principles and Practice, 5.5).
    """
    h = np.arange(horizon)
    filled = values[~np.isnan(values)]
    mean = values[len(values) - season + h % season]
    mean = np.where(np.isnan(mean), filled[-1] if len(filled) else np.nan, mean)
    apart = values[season:] - values[:-season]
    half = _Z975 * math.sqrt(float(np.nanmean(apart**2))) * np.sqrt(h // season + 1)
    return Course(mean, mean - half, mean + half)


REFERENCES = {
    "windowed Gaussian": windowed_gaussian,
    "EWMA + t64": ewma_t64,
    "MAD": mad,
    "seasonal naive": seasonal_naive,
}


def _outside(values: FloatArray, centre: FloatArray, half: FloatArray) -> Detection:
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.abs(values - centre) / half
    score = np.where(np.isnan(score), 0.0, np.minimum(score, 1e6))
    return Detection(score, centre - half, centre + half)


@njit(cache=True, error_model="numpy")
def _moving(values: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the finite ones of the `window` values before each."""
    mean, spread = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for i in range(2, len(values)):
        past = values[max(0, i - window) : i]
        past = past[np.isfinite(past)]
        if len(past) > 1:
            mean[i], spread[i] = past.mean(), max(past.std(), 1e-6)
    return mean, spread


@njit(cache=True, error_model="numpy")
def _ewma(values: FloatArray, alpha: float, window: int) -> tuple[FloatArray, FloatArray]:
    """Centre before each value, and the standard deviation of its last residuals."""
    centre, spread = np.full(len(values), np.nan), np.full(len(values), np.nan)
    residuals = np.zeros(window)
    seen, level = 0, np.nan
    for i in range(len(values)):
        kept = residuals[: min(seen, window)]
        if len(kept) > 1:
            centre[i], spread[i] = level, math.sqrt(((kept - kept.mean()) ** 2).sum() / (len(kept) - 1))
        v = values[i]
        if not math.isfinite(v):
            continue
        if level != level:  # noqa: PLR0124 - NaN test
            level = v
        else:
            residuals[seen % window] = v - level
            seen += 1
            level += alpha * (v - level)
    return centre, spread


@njit(cache=True, error_model="numpy")
def _median(values: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    centre, spread = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for i in range(3, len(values)):
        past = values[max(0, i - window) : i]
        past = past[np.isfinite(past)]
        if len(past) > 2:
            centre[i] = np.median(past)
            spread[i] = max(1.4826 * np.median(np.abs(past - centre[i])), 1e-6)
    return centre, spread


@njit(cache=True, error_model="numpy")
def _quantile(values: FloatArray, window: int, q: float) -> FloatArray:
    out = np.full(len(values), np.nan)
    for i in range(3, len(values)):
        past = values[max(0, i - window) : i]
        past = past[np.isfinite(past)]
        if len(past) > 2:
            out[i] = np.quantile(past, q)
    return out
