"""The methods that a forecast is chosen from: each says, at many origins at once, what it would have forecast there.

`Method.said(history, origins, season, horizon)` gives (O, H) expected values of the `horizon` steps after each of the O `origins`
(places in `history`, increasing). It may learn its parameters from `history[: origins[0] + 1]` and nothing else, and row k may look
at `history[: origins[k] + 1]` and nothing later: a test holds every method to that. `history` is evenly spaced and has no gaps (they
are carried forward before). `season` is the steps of the season, 1 = none. NaN = it can't say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np

from aiops.domain import FloatArray, IntArray
from aiops.kernels import ahead as mixture
from aiops.stages.forecast import fitted

Said: TypeAlias = Callable[[FloatArray, IntArray, int, int], FloatArray]

DRIFTED = 4  # horizons that the drift looks back over


@dataclass(frozen=True, slots=True)
class Method:
    """One way to forecast. `least`: samples it needs; `seasons`: whole seasons it needs, where it uses them.

    `work`: milliseconds that one series takes, as a rule: what the budget is counted in, so that the choice never hangs on the
    speed of a machine. `needs`: the modules of the extra `forecast` that it is made of."""

    name: str
    said: Said
    work: float
    least: int = 3
    seasons: int = 0
    needs: tuple[str, ...] = ()

    def missing(self) -> str:
        """The first module that it needs and that is not installed, else ""."""
        return next((name for name in self.needs if find_spec(name) is None), "")


def seasonal_naive(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """The last season again."""
    h = np.arange(1, horizon + 1)
    return mixture.at(history, origins[:, None] + h - -(-h // season) * season)


def last_value(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:  # noqa: ARG001 - one signature
    """Nothing changes."""
    return np.repeat(history[origins][:, None], horizon, axis=1)


def drift(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """The last value, moved on by the mean step of the past few horizons (whole seasons, where there is one)."""
    back = max(season, -(-DRIFTED * horizon // season) * season)
    start = np.maximum(origins - back, origins % season)
    slope = (history[origins] - history[start]) / np.maximum(origins - start, 1)
    return np.asarray(history[origins][:, None] + slope[:, None] * np.arange(1, horizon + 1))


def courses(history: FloatArray, origins: IntArray, season: int, horizon: int) -> FloatArray:
    """The mixture of simple courses of `kernels/ahead`, with the weights that were best before the first origin."""
    first = int(origins[0])
    earlier = np.unique(np.linspace(min(2 * season, first // 3), first - 1, mixture.ORIGINS).astype(np.int64))
    steps = earlier[:, None] + np.arange(1, horizon + 1)
    came = np.where(steps <= first, history[np.minimum(steps, first)], np.nan)
    weights = mixture.weights_of(came - mixture.courses(history, earlier, season, horizon))
    return np.asarray(np.sum(weights[:, None] * mixture.courses(history, origins, season, horizon), axis=0))


_MODELS, _LEARNED = ("pandas", "statsmodels"), ("pandas", "sklearn", "tsfresh")
# In the order in which the budget is spent; of equal merit, the first is taken.
METHODS = (
    Method("seasonal naive", seasonal_naive, 5, seasons=1),
    Method("last value", last_value, 5),
    Method("drift", drift, 5, least=8),
    Method("mixture", courses, 400, least=12),
    Method("ETS", fitted.ets, 200, least=30, needs=_MODELS),
    Method("STL + ETS", fitted.stl_ets, 300, least=30, seasons=3, needs=_MODELS),
    Method("Gaussian process", fitted.gaussian_process, 1500, least=40, needs=("scipy",)),
    Method("gradient boosting on tsfresh features", fitted.boosted, 4000, least=200, needs=_LEARNED),
    Method("unobserved components", fitted.components, 6000, least=60, seasons=2, needs=_MODELS),
)
