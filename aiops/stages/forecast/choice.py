"""One series, forecast: the methods are tried, the best is taken, and a rule says whether even that may be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from aiops.domain import NS, FloatArray, Forecast, Labels, TimeRange, Trial, from_ns, series_key
from aiops.kernels.features import NAMES, features
from aiops.kernels.robust import location_scale, quantiles
from aiops.stages.forecast import fitted
from aiops.stages.forecast.backtest import LEVEL, Ground, Tried, band, ground, try_out
from aiops.stages.forecast.crossing import crossing, limit_of
from aiops.stages.forecast.methods import METHODS, Method

DAY_S, WEEK_S = 86_400, 604_800
LEAST_SAMPLES = 12
LEAST_JUDGED = 5  # forecasts that a verdict needs
LEAST_COVERAGE = 0.8  # in the backtest; the nominal one is .95
LEAST_LATEST = 0.5  # by the latest forecast that can be judged: below, the series has left its past
WORST_ERROR = 1.05  # times that of the better of the two naive methods
LATE = 5  # steps without a sample, after which it is not known where the series stands
NAIVE = ("seasonal naive", "last value")
FALLBACK = "robust band"
_DIGITS = 9  # significant; the last bits of a fit differ between processors


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every series. `work`: milliseconds that one may cost, by each method's own estimate."""

    horizon: int
    step_s: int
    full_at: float | None
    work: float


def forecast(
    labels: Labels,
    node: str,
    metric: str,
    times_s: tuple[int, ...],
    values: FloatArray,
    asked: Asked,
    tick: Callable[[], None],
) -> Forecast:
    """The forecast of one evenly spaced series: times_s (T,) epoch seconds, values (T,), NaN = gap. `tick` is called per method."""
    begin = int(np.argmax(np.isfinite(values)))
    values, times_s = values[begin:], times_s[begin:]
    season = _season(len(values), asked.step_s)
    on = ground(values, season, asked.horizon)
    tried, trials = _trials(on, asked, tick)
    chosen, failing = _best(tried)
    last = len(on.history) - 1
    reason = _doubt(on, chosen, failing)
    if reason or chosen is None:
        method, mean, lower, upper = FALLBACK, *_robust(values, asked.horizon)
        coverage = None
    else:
        method, coverage = chosen.name, tried[chosen.name].coverage
        mean = chosen.said(on.history, np.array([last]), season, asked.horizon)[0]
        low, high = band(tried[method].missed, last - on.origins)
        mean, lower, upper = _possible(values, mean, mean + low, mean + high)
    known = np.flatnonzero(on.known)
    latest = float(values[known[-1]])
    ahead = tuple(times_s[-1] + asked.step_s * h for h in range(1, asked.horizon + 1))
    limit = asked.full_at if asked.full_at is not None else limit_of(metric, values)
    return Forecast(
        series=series_key(labels),
        node=node,
        metric=metric,
        times=ahead,
        mean=_rounded(mean),
        lower=_rounded(lower),
        upper=_rounded(upper),
        level=LEVEL,
        coverage=coverage,
        method=method,
        trusted=not reason,
        reason=reason,
        trials=trials,
        history=TimeRange(from_ns(times_s[0] * NS), from_ns((times_s[-1] + asked.step_s) * NS)),
        samples=len(known),
        gaps=len(values) - len(known),
        step_s=asked.step_s,
        season_s=season * asked.step_s if season > 1 else 0,
        last=latest,
        features=_features(values),
        crossing=None
        if limit is None
        else crossing(metric, limit, (times_s[known[-1]], latest), ahead, mean, lower, upper),
    )


def _season(samples: int, step_s: int) -> int:
    """Steps of the season: a week where the steps are days, else a day; 1 where there are fewer than two and a half of it."""
    steps = (WEEK_S if step_s >= DAY_S else DAY_S) // step_s
    return steps if steps > 1 and samples >= 2.5 * steps else 1


# ---------------------------------------------------------------- trying and choosing


def _trials(on: Ground, asked: Asked, tick: Callable[[], None]) -> tuple[dict[str, Tried], tuple[Trial, ...]]:
    """What each method did, and the card of all, in the order of METHODS."""
    tried: dict[str, Tried] = {}
    trials, left, blind = [], asked.work, _blind(on)
    for method in METHODS:
        tick()
        why_not = blind or _why_not(method, on, left)
        if not why_not:
            left -= method.work
            one = try_out(method, on)
            if math.isfinite(one.msis):
                tried[method.name] = one
                trials.append(Trial(method.name, one.coverage, _short(one.mase), _short(one.msis), len(on.judged)))
                continue
            why_not = "its backtest gave no number"
        trials.append(Trial(method.name, why_not=why_not))
    return tried, tuple(trials)


def _why_not(method: Method, on: Ground, left: float) -> str:
    """Why a method is not tried; "" where it is."""
    first = int(on.origins[0]) + 1 if len(on.origins) else 0
    if missing := method.missing():
        return f"needs {missing}: pip install '.[forecast]'"
    if method.seasons and on.season == 1:
        return "the history is too short for a season"
    least = max(method.least, method.seasons * on.season)
    if first < least:
        return f"needs {least} samples before the first origin, there are {first}"
    if not len(on.judged):
        return "the history is too short to try it at this horizon"
    if method.work > left:
        return f"beyond the budget: {method.work:g} ms of work, {left:g} left; ask for fewer series"
    return ""


def _best(tried: Mapping[str, Tried]) -> tuple[Method | None, str]:
    """(method, why it can't be trusted or ""): of those that can be, else of all, the one with the least product of interval
    score and error, since a band is worth little without a centre. First of equals."""
    naive = min((tried[name].mase for name in NAIVE if name in tried), default=math.inf)
    known = [method for method in METHODS if method.name in tried]
    failing = {method.name: _failing(method.name, tried[method.name], naive) for method in known}
    sound = [method for method in known if not failing[method.name]]
    best = min(sound or known, key=lambda m: tried[m.name].msis * tried[m.name].mase, default=None)
    return best, failing[best.name] if best else ""


def _doubt(on: Ground, chosen: Method | None, failing: str) -> str:
    """Why no method can be trusted here; "" where the chosen one can."""
    if blind := _blind(on):
        return blind
    if chosen is None or len(on.judged) < LEAST_JUDGED:
        return f"the history is too short for a backtest at this horizon: {len(on.judged)} of at least {LEAST_JUDGED} origins"
    return failing


def _blind(on: Ground) -> str:
    """Why nothing need be tried: where the series stands is not known; "" where it is."""
    samples = int(on.known.sum())
    if samples < LEAST_SAMPLES:
        return f"only {samples} of at least {LEAST_SAMPLES} samples: still warming up"
    silent = len(on.known) - 1 - int(np.flatnonzero(on.known)[-1])
    if silent > LATE:
        return f"no sample for the last {silent} steps: where it stands now is not known"
    return ""


def _failing(name: str, best: Tried, naive: float) -> str:
    """What is wrong with a method beside the `naive` error; "" where nothing is."""
    if best.coverage < LEAST_COVERAGE:
        return f"even the best method, {name}, covered {best.coverage:.0%} of its backtest, below {LEAST_COVERAGE:.0%}"
    if best.latest < LEAST_LATEST:
        return f"it has left its past: the latest forecast of even the best method, {name}, covered {best.latest:.0%}"
    if best.mase > WORST_ERROR * naive:
        worse = f"{best.mase / naive:.2f} times as much as a naive one" if naive else "where a naive one did not"
        return f"even the best method, {name}, erred {worse}"
    return ""


# ---------------------------------------------------------------- bands


def _robust(values: FloatArray, horizon: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Median and the range that held nearly all of the past, half as wide again as its 95 % or three robust sigmas: no forecast."""
    location, scale = location_scale(values[None])
    low, high = (float(q[0]) for q in quantiles(values[None], (0.025, 0.975)))
    middle = float(location[0])
    half_low = max(1.5 * (middle - low), 3.0 * float(scale[0]))
    half_high = max(1.5 * (high - middle), 3.0 * float(scale[0]))
    flat = np.full(horizon, middle)
    return _possible(values, flat, flat - half_low, flat + half_high)


def _possible(
    values: FloatArray, mean: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What never was below zero is not expected there."""
    if np.nanmin(values) < 0:
        return mean, lower, upper
    return np.maximum(mean, 0.0), np.maximum(lower, 0.0), np.maximum(upper, 0.0)


def _features(values: FloatArray) -> dict[str, float]:
    """What the history looks like, by tsfresh's names: by tsfresh itself where it is installed."""
    known = values[np.isfinite(values)]
    own = dict(zip(NAMES, features(known[None])[0].tolist(), strict=True))
    if len(known) >= fitted.WINDOW and not METHODS[-2].missing():
        own |= fitted.window_features(known)
    return {name: value for name, value in sorted(own.items()) if math.isfinite(value)}


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _rounded(values: FloatArray) -> tuple[float, ...]:
    return tuple(_short(value) for value in values.tolist())
