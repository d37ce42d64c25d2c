"""The methods that fit parameters: ETS, STL, unobserved components, a Gaussian process, gradient boosting on tsfresh's features.

All have the signature and keep the promise of `methods`: what is fitted sees nothing after the first origin, and is then only
carried on. The heavy packages are imported where they are used: they cost seconds, and `aiops --help` must not pay for them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

import numpy as np

from aiops.domain import FloatArray, IntArray
from aiops.kernels import toeplitz

MOST = 1500  # samples that a model is fitted to: older ones say little, and cost
GP_MOST = 1000
HARMONICS = 4
UC_MOST = 700
WINDOW = 60  # samples whose features the boosted trees see
LESSONS = 200  # earlier origins that they learn from
STEPS = 10  # steps ahead of each

# ---------------------------------------------------------------- exponential smoothing, STL


def ets(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """Additive errors, damped additive trend, and an additive season where there are two of it (statsmodels)."""
    seasonal = season if season > 1 and origins[0] + 1 >= max(2 * season, 10) else 1
    return _smoothed(history, origins, seasonal, horizon)


def stl_ets(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """The season by loess (Cleveland et al., 1990), repeated; ETS for the rest."""
    from statsmodels.tsa.seasonal import STL

    if season < 2:
        return np.full((len(origins), horizon), np.nan)
    begin = _begin(origins, season)
    known = history[begin : origins[0] + 1]
    with _quiet():
        shape = np.asarray(STL(known, period=season, robust=True, seasonal=7).fit(inner_iter=1, outer_iter=3).seasonal)
    cycle = np.roll(shape[-season:], (begin + len(known)) % season)  # by place in the history, modulo the season
    places = np.arange(len(history)) % season
    rest = _smoothed(history - cycle[places], origins, 1, horizon)
    return np.asarray(rest + cycle[(origins[:, None] + np.arange(1, horizon + 1)) % season])


def _smoothed(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """Fitted up to the first origin, then filtered on with these parameters."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    begin = _begin(origins, season)
    values, first = history[begin : origins[-1] + 1], int(origins[0]) - begin + 1
    centre, unit = _scale(values[:first])
    if unit == 0.0:
        return np.repeat(history[origins][:, None], horizon, axis=1)
    shape: dict[str, Any] = {"error": "add", "trend": "add", "damped_trend": True, "initialization_method": "known"}
    shape |= {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
    scaled = (values - centre) / unit
    shape |= _initial(scaled[:first], season)
    with _quiet():
        found = ETSModel(scaled[:first], **shape).fit(disp=0, maxiter=60)
        states = np.asarray(ETSModel(scaled, **shape).smooth(found.params).states)
    damping = float(dict(zip(found.param_names, found.params, strict=True))["damping_trend"])
    h, at = np.arange(1, horizon + 1), origins - begin
    said = states[at, 0][:, None] + states[at, 1][:, None] * np.cumsum(damping**h)
    if season > 1:
        said = said + states[at[:, None] + h - -(-h // season) * season, 2]
    return np.asarray(centre + unit * said)


def _initial(values: FloatArray, season: int) -> dict[str, Any]:
    """First states, from the first two seasons (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 8.6)."""
    if season > 1:
        one, two = values[:season], values[season : 2 * season]
        return {
            "initial_level": float(one.mean()),
            "initial_trend": float((two.mean() - one.mean()) / season),
            "initial_seasonal": list(one - one.mean()),
        }
    slope = float(np.polyfit(np.arange(10), values[:10], 1)[0]) if len(values) >= 10 else 0.0
    return {"initial_level": float(values[0]), "initial_trend": slope}


# ---------------------------------------------------------------- unobserved components


def components(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """Local linear trend and a season of a few harmonics, by maximum likelihood and the Kalman filter (statsmodels)."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    begin = max(0, int(origins[0]) + 1 - max(UC_MOST, 3 * season))
    values, first = history[begin : origins[-1] + 1], int(origins[0]) - begin + 1
    centre, unit = _scale(values[:first])
    if unit == 0.0:
        return np.repeat(history[origins][:, None], horizon, axis=1)
    shape: dict[str, Any] = {"level": "local linear trend"}
    if season > 2 and first >= 2 * season:
        shape["freq_seasonal"] = [{"period": season, "harmonics": min(HARMONICS, season // 2)}]
    scaled = (values - centre) / unit
    with _quiet():
        found = UnobservedComponents(scaled[:first], **shape).fit(disp=0, maxiter=30)
        model = UnobservedComponents(scaled, **shape)
        states = np.asarray(model.filter(found.params).filtered_state)[:, origins - begin]
    design, transition = model.ssm["design"], model.ssm["transition"]
    said = np.empty((horizon, len(origins)))
    for h in range(horizon):
        states = transition @ states
        said[h] = (design @ states)[0]
    return np.asarray(centre + unit * said.T)


# ---------------------------------------------------------------- Gaussian process


def gaussian_process(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """Exact, on at most 1,000 samples: a slow and a fast squared exponential, a season that fades, and noise.

    The samples are evenly spaced, so the covariance is Toeplitz: its likelihood costs O(n^2) (Durbin and Levinson), and the weights
    of the past are the same at every origin, so that all are forecast by one product (Rasmussen and Williams, 2006)."""
    size = min(GP_MOST, int(origins[0]) + 1)
    known = history[origins[0] + 1 - size : origins[0] + 1]
    unit = _scale(known)[1]
    if unit == 0.0:
        return np.repeat(history[origins][:, None], horizon, axis=1)
    scaled = (known - np.median(known)) / unit
    with _quiet():
        best = _most_likely(scaled, season)
        weights = toeplitz.predictor(_covariance(best, season, size + horizon), size, horizon)
    windows = np.lib.stride_tricks.sliding_window_view(history, size)[origins + 1 - size]
    middle = np.median(windows, axis=1, keepdims=True)  # a burst must not pull the far future up
    return np.asarray(middle + (windows - middle) @ weights.T)


def _most_likely(values: FloatArray, season: int) -> FloatArray:
    """Log parameters of highest marginal likelihood, by Nelder and Mead from two starts."""
    from scipy.optimize import minimize

    size, daily = len(values), math.log(0.5 if season > 1 else 1e-4)
    starts = [
        np.array([math.log(v) for v in (0.5, size / 4, 0.3, 5.0)] + [daily, math.log(0.5), math.log(0.1)]),
        np.array([math.log(v) for v in (0.2, size / 2, 0.1, 20.0)] + [daily, math.log(1.0), math.log(0.5)]),
    ]

    def cost(parameters: FloatArray) -> float:
        if np.abs(parameters - starts[0]).max() > 9.0:
            return 1e12
        return -toeplitz.log_likelihood(_covariance(parameters, season, size), values)

    found = [minimize(cost, start, method="Nelder-Mead", options={"maxfev": 160, "fatol": 0.5}) for start in starts]
    return np.asarray(min(found, key=lambda one: float(one.fun)).x)


def _covariance(parameters: FloatArray, season: int, size: int) -> FloatArray:
    """(size,) covariance at each distance in steps; the first holds the noise as well."""
    slow, slow_length, fast, fast_length, daily, wave, noise = np.exp(parameters)
    lag = np.arange(size, dtype=np.float64)
    out = slow * np.exp(-0.5 * (lag / slow_length) ** 2) + fast * np.exp(-lag / fast_length)
    if season > 1:
        fade = np.exp(-0.5 * (lag / (10.0 * season)) ** 2)
        out += daily * fade * np.exp(-2.0 * np.sin(np.pi * lag / season) ** 2 / wave**2)
    out[0] += noise + 1e-6 * (slow + fast + daily)
    return np.asarray(out)


# ---------------------------------------------------------------- gradient boosting on tsfresh's features


def boosted(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """Trees over tsfresh's features of the window before an origin, the step ahead, and what was one and two seasons before."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    first = int(origins[0])
    least = max(WINDOW, 2 * season)
    lessons = np.unique(np.linspace(least, first - 1, LESSONS).astype(np.int64)) if first - 1 > least else origins[:0]
    if len(lessons) < 20:
        return np.full((len(origins), horizon), np.nan)
    steps = np.unique(np.linspace(1, horizon, STEPS).astype(np.int64))
    unit = _scale(history[: first + 1])[1]
    if unit == 0.0:
        return np.repeat(history[origins][:, None], horizon, axis=1)
    scaled = history / unit
    asked, inputs, level = _lessons(scaled, lessons, steps, season)
    known = asked <= first
    targets = scaled[np.minimum(asked, first)] - level
    model = HistGradientBoostingRegressor(
        max_iter=120, learning_rate=0.06, max_leaf_nodes=15, min_samples_leaf=20, l2_regularization=1.0, random_state=0
    )
    if known.sum() < 100:
        return np.full((len(origins), horizon), np.nan)
    _, later, level = _lessons(scaled, origins, np.arange(1, horizon + 1), season)
    with _quiet():
        model.fit(inputs[known.ravel()], targets[known])
        return np.asarray(unit * (level + model.predict(later).reshape(len(origins), horizon)))


def _lessons(
    history: FloatArray, origins: IntArray, steps: IntArray, season: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Places asked for (O, H), inputs (O x H, F), and each origin's level (O, 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(history, WINDOW)[origins + 1 - WINDOW]
    level = windows[:, -12:].mean(axis=1, keepdims=True)
    described = np.array([list(window_features(row).values()) for row in windows - level])
    asked = origins[:, None] + steps
    back = -(-steps // season) * season
    before = [history[asked - back - k * season] - level for k in range(2)] if season > 1 else []
    columns = [np.broadcast_to(steps, asked.shape), asked % season, *before]
    inputs = [column.reshape(-1, 1).astype(np.float64) for column in columns]
    return asked, np.hstack([np.repeat(described, len(steps), axis=0), *inputs]), level


def window_features(values: FloatArray) -> dict[str, float]:
    """Features of one series (T,) without gaps, computed by tsfresh itself and under its names."""
    from tsfresh.feature_extraction import feature_calculators as calculate

    slope = dict(calculate.linear_trend(values, [{"attr": "slope"}, {"attr": "stderr"}]))
    return {
        "mean": float(calculate.mean(values)),
        "median": float(calculate.median(values)),
        "standard_deviation": float(calculate.standard_deviation(values)),
        "maximum": float(calculate.maximum(values)),
        "minimum": float(calculate.minimum(values)),
        "mean_abs_change": float(calculate.mean_abs_change(values)),
        "cid_ce__normalize_True": float(calculate.cid_ce(values, True)),
        "autocorrelation__lag_1": float(calculate.autocorrelation(values, 1)),
        "autocorrelation__lag_5": float(calculate.autocorrelation(values, 5)),
        "longest_strike_above_mean": float(calculate.longest_strike_above_mean(values)),
        'linear_trend__attr_"slope"': float(slope['attr_"slope"']),
        'linear_trend__attr_"stderr"': float(slope['attr_"stderr"']),
    }


# ---------------------------------------------------------------- common


def _begin(origins: IntArray, season: int) -> int:
    """Where the samples that a model is fitted to begin: whole seasons, at most about `MOST` samples, at least three seasons."""
    return max(0, int(origins[0]) + 1 - max(MOST, 3 * season))


def _scale(values: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation; 0 for a constant up to rounding."""
    centre, unit = float(values.mean()), float(values.std())
    return centre, unit if unit > 1e-12 * max(abs(centre), 1e-300) else 0.0


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings and on one thread.

    A fit that did not converge shows in its backtest, which is what decides. Sums over several threads would differ with their
    number, and small fits are slower for them."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), _one_thread():
        warnings.simplefilter("ignore")
        yield


def _one_thread() -> AbstractContextManager[object]:
    """By threadpoolctl, which comes with scikit-learn; it limits the libraries that are loaded when it is called."""
    if find_spec("threadpoolctl") is None:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
