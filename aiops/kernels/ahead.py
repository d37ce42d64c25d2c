"""A forecast of many steps with a band that its own past errors made. Pure numpy; one series, milliseconds.

Six simple courses (the last season, the mean of four, that mean moved to today's level at two rates, the last value, the mean of
four seasons) are each tried at hundreds of earlier points of the history. At every step ahead their weights are the inverse squares
of their mean absolute errors (Bates and Granger, 1969), and the band is the quantiles of what the mixture then missed by: split
conformal over rolling origins (Stankeviciute et al., 2021), with the tails taken a fifth further out, because origins overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aiops.domain import BoolArray, FloatArray, IntArray

ORIGINS = 300  # earlier points at which the courses are tried
SEASONS = 4  # that the seasonal mean looks back
RECENT = 12  # values that make today's level
_SPACING = 3  # at most so many steps between origins
_DECAYS = (0.97, 0.9)  # of today's level, per step
_TAIL = 0.8  # share of the nominal tail that is left outside
_NEAR = 4  # neighbouring steps that share their errors


class Course(NamedTuple):
    """(H,) each; NaN where the history is too short to say."""

    mean: FloatArray
    lower: FloatArray
    upper: FloatArray


def ahead(values: FloatArray, season: int, horizon: int, nominal: float = 0.95) -> Course:
    """The next `horizon` values of an evenly spaced series (T,), NaN = gap, with a band of `nominal` coverage.

    `season` is the steps of a day (1 = none). Fewer than 3 samples, or a history less than about twice the
    horizon, give no band.
    """
    known = ~np.isnan(values)
    if known.sum() < 3:
        return Course(*(np.full(horizon, np.nan) for _ in range(3)))
    history = carried(values, known)
    last = len(history) - 1
    origins = _origins(last, season, horizon)
    mean_now = courses(history, np.array([last]), season, horizon)[:, 0]
    if not len(origins):
        middle = np.mean(mean_now, axis=0)
        return Course(middle, np.full(horizon, np.nan), np.full(horizon, np.nan))
    steps = origins[:, None] + np.arange(1, horizon + 1)
    seen = steps <= last
    seen[seen] = known[steps[seen]]
    came = np.where(seen, history[np.minimum(steps, last)], np.nan)
    tried = courses(history, origins, season, horizon)
    weights = weights_of(came - tried)
    missed = came - np.sum(weights[:, None] * tried, axis=0)
    mean = np.sum(weights * mean_now, axis=0)
    low, high = _quantiles(missed, (1 - nominal) / 2 * _TAIL)
    return Course(mean, mean + low, mean + high)


def carried(values: FloatArray, known: BoolArray) -> FloatArray:
    """Gaps (not `known`) filled with the value before, those at the start with the first; nothing looks ahead."""
    place = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return values[np.where(place < 0, int(np.argmax(known)), place)]


def _origins(last: int, season: int, horizon: int) -> IntArray:
    """Evenly spread points of the recent past: each has some history behind and at least the whole horizon fits somewhere."""
    least = min(2 * season, last // 3)
    first = max(least, last - horizon - _SPACING * ORIGINS)
    if last - 1 < first or last - least < horizon:
        return np.empty(0, np.int64)
    return np.unique(np.linspace(first, last - 1, min(ORIGINS, last - first)).astype(np.int64))


def courses(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """(6, O, H) what each course says at each origin; the last value where it can't say anything."""
    h = np.arange(1, horizon + 1)
    whole = -(-h // season) * season  # back to the same place of the season, behind the origin
    seasonal = np.stack([at(history, origins[:, None] + h - whole - season * k) for k in range(SEASONS)])
    recent = origins[:, None] - np.arange(RECENT)
    level = _mean(at(history, recent), axis=1)
    usual = _mean(np.stack([_mean(at(history, recent - season * k), axis=1) for k in range(1, SEASONS + 1)]), axis=0)
    average = _mean(seasonal, axis=0)
    off = (level - usual)[:, None]
    still = np.broadcast_to(history[origins][:, None], (len(origins), horizon))
    far = _mean(at(history, origins[:, None] - np.arange(SEASONS * season)), axis=1)
    moved = [average + off * decay**h for decay in _DECAYS]
    said = np.stack([seasonal[0], average, *moved, still, np.broadcast_to(far[:, None], still.shape)])
    return np.where(np.isnan(said), still, said)


def at(history: FloatArray, places: IntArray) -> FloatArray:
    """The values at `places`, NaN before the history begins."""
    return np.where(places >= 0, history[np.maximum(places, 0)], np.nan)


def _mean(values: FloatArray, axis: int) -> FloatArray:
    """Mean of what is not NaN, NaN where all is; as nanmean, without its warning."""
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), np.float64)


def weights_of(errors: FloatArray) -> FloatArray:
    """(6, O, H) errors -> (6, H) weights that sum to 1, the errors averaged over seven neighbouring steps."""
    size = _mean(np.abs(errors), axis=1)
    around = np.pad(size, ((0, 0), (3, 3)), mode="edge")
    size = _mean(np.lib.stride_tricks.sliding_window_view(around, 7, axis=1), axis=2)
    size = np.where(np.isnan(size), 1.0, size)
    least = size.min(axis=0)
    # A course that never erred takes all the weight; among those that erred the ratio decides, at any scale.
    ratio = np.divide(least, size, out=np.ones_like(size), where=size > 0)
    share = np.where(least > 0, ratio**2, size == 0)
    return np.asarray(share / share.sum(axis=0), np.float64)


def _quantiles(missed: FloatArray, tail: float) -> tuple[FloatArray, FloatArray]:
    """(H,) lower and upper quantile of the errors at each step and its neighbours."""
    horizon = missed.shape[1]
    low, high = np.full(horizon, np.nan), np.full(horizon, np.nan)
    for h in range(horizon):
        near = missed[:, max(0, h - _NEAR) : h + _NEAR + 1]
        near = near[~np.isnan(near)]
        if len(near):
            low[h], high[h] = np.quantile(near, [tail, 1 - tail])
    return np.minimum(low, 0.0), np.maximum(high, 0.0)
