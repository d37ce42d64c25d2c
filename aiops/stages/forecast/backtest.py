"""Which method to believe: each is tried at earlier points of the history, at the real horizon, and banded by its own misses.

Origins move on through the history; at each, a method may know only what was there then. Its parameters are learnt anew at a few
of them. The band at an origin is made of the misses that were known by then: split conformal prediction with a calibration set that
grows (Stankeviciute et al., 2021). What the bands of the later origins covered, and what they cost by the interval score (Gneiting
and Raftery, 2007), is what a method is judged by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiops.domain import BoolArray, FloatArray, IntArray
from aiops.kernels.ahead import carried
from aiops.stages.forecast.methods import Method

LEVEL = 0.95
ORIGINS = 240  # at which a method is tried
JUDGED = 24  # the later ones of them, at which its band is judged
REFITS = 3
_NEAR = 4  # neighbouring steps that share their misses
# Share of the nominal tail that is left outside: overlapping origins repeat each other's misses, the future differs from the past,
# and the best of several has also been the luckiest. docs/forecasting.md has what other values cost.
_TAIL = 0.5


@dataclass(frozen=True, slots=True)
class Ground:
    """What methods are tried on. history (T,): gaps carried forward; known (T,): where there was a sample.

    `unit`: mean absolute error of the seasonal naive within the history, the unit of MASE and MSIS."""

    history: FloatArray
    known: BoolArray
    season: int
    horizon: int
    origins: IntArray
    judged: IntArray
    unit: float


@dataclass(frozen=True, slots=True)
class Tried:
    """What a method did: coverage, MASE and MSIS over the judged origins, coverage of the latest; missed (O, H) at all of them."""

    coverage: float
    latest: float
    mase: float
    msis: float
    missed: FloatArray


def ground(values: FloatArray, season: int, horizon: int) -> Ground:
    """The origins of a history (T,), NaN = gap."""
    known = np.isfinite(values)
    history = carried(values, known)
    last = len(history) - 1
    first = max(min(3 * season, last // 3), last // 3, min(12, last))
    apart = max(1, (last - first) // ORIGINS)
    origins = (
        np.arange(last - 1, first - 1, -apart, dtype=np.int64)[::-1][-ORIGINS:]
        if last > first
        else np.empty(0, np.int64)
    )
    whole = np.flatnonzero(origins + horizon <= last)
    late = whole[len(whole) // 3 :]
    judged = late[np.unique(np.linspace(0, len(late) - 1, JUDGED).astype(np.int64))] if len(late) else late
    step = season if last > season else 1
    apart_values = np.abs(history[step:] - history[:-step])[known[step:] & known[:-step]]
    unit = float(apart_values.mean()) if len(apart_values) else 0.0
    return Ground(history, known, season, horizon, origins, judged, unit)


def try_out(method: Method, on: Ground) -> Tried:
    """The method at every origin. Cost: `method.work` milliseconds or so."""
    said = np.vstack([method.said(on.history, part, on.season, on.horizon) for part in _parts(on.origins)])
    missed = came(on) - said
    inside, cost, size = [], [], []
    for k in on.judged:
        lower, upper = band(missed[:k], _age(on, k))
        miss = missed[k]
        seen = np.isfinite(miss)
        inside.append((miss >= lower)[seen] & (miss <= upper)[seen])
        beyond = np.maximum(lower - miss, 0) + np.maximum(miss - upper, 0)
        cost.append((upper - lower + 2 / (1 - LEVEL) * beyond)[seen])
        size.append(np.abs(miss)[seen])
    if not inside or not sum(len(part) for part in inside):
        return Tried(np.nan, np.nan, np.nan, np.nan, missed)
    unit = on.unit or 1.0
    return Tried(
        float(np.concatenate(inside).mean()),
        float(next(part.mean() for part in reversed(inside) if len(part))),
        float(np.concatenate(size).mean()) / unit,
        float(np.concatenate(cost).mean()) / unit,
        missed,
    )


def came(on: Ground) -> FloatArray:
    """(O, H) what followed each origin; NaN for gaps and beyond the end."""
    steps = on.origins[:, None] + np.arange(1, on.horizon + 1)
    last = len(on.history) - 1
    seen = steps <= last
    seen[seen] = on.known[steps[seen]]
    return np.where(seen, on.history[np.minimum(steps, last)], np.nan)


def _parts(origins: IntArray) -> list[IntArray]:
    """Origins between two refits."""
    return [part for part in np.array_split(origins, REFITS) if len(part)]


def _age(on: Ground, k: int) -> IntArray:
    """(k,) steps from each earlier origin to origin k: a miss h steps ahead is known once that is at least h."""
    return np.asarray(on.origins[k] - on.origins[:k])


def band(missed: FloatArray, age: IntArray) -> tuple[FloatArray, FloatArray]:
    """(H,) lower and upper offsets from misses (K, H) of earlier origins, of which those within their `age` (K,) are known.

    NaN where nothing is known; wider where few horizons lie behind."""
    horizon = missed.shape[1]
    told = np.where(np.arange(1, horizon + 1) <= age[:, None], missed, np.nan)
    # Neighbouring steps share their misses, so a quantile at each of a few says as much as one at all.
    steps = np.unique(np.append(np.arange(0, horizon, _NEAR), horizon - 1))
    tail, bounds = (1 - LEVEL) / 2 * _TAIL, np.full((2, len(steps)), np.nan)
    for place, h in enumerate(steps):
        near = told[:, max(0, h - _NEAR) : h + _NEAR + 1]
        near = near[np.isfinite(near)]
        if len(near):
            bounds[:, place] = np.quantile(near, [tail, 1 - tail])
    bounds *= _widened(age, horizon)
    low, high = (np.interp(np.arange(horizon), steps, _forward(bound)) for bound in bounds)
    return np.minimum(low, 0.0), np.maximum(high, 0.0)


def _widened(age: IntArray, horizon: int) -> float:
    """Student's t over the normal quantile, at 97.5 %, for as many degrees of freedom as whole horizons lie behind.

    Origins closer together than a horizon miss alike; a few such horizons say little of the next (the first terms of Cornish and
    Fisher's expansion; Abramowitz and Stegun, 26.7.5)."""
    told = max(1.0, float(age.max(initial=0)) / horizon)
    return 1.0 + 1.211 / told + 1.44 / told**2


def _forward(bound: FloatArray) -> FloatArray:
    """The last known offset goes on where none is known."""
    known = np.isfinite(bound)
    if not known.any() or known.all():
        return bound
    return np.where(known, bound, bound[np.flatnonzero(known)[-1]])
