"""`aiops bench speed`: forecast, band and twelve features per series and second on one core, beside statsmodels and tsfresh.

Engine and reference take turns in one run, so that a busy machine slows both. The engine ticks `SERIES` distinct series `TICKS`
times, one column at a time as a stream would bring them, and computes the features of the last 60 values of each at every tick.
Each series has 300 ticks behind it: a young one is faster, because some views still wait.
The reference fits an additive-trend ETS, asks it for one step with its 95 % interval, and extracts tsfresh's minimal set plus the
same two features, over windows of the same series.
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from dataclasses import asdict
from typing import Any

import numpy as np

from aiops.bench import logs, reading
from aiops.bench.figure import Figure
from aiops.bench.progress import progress
from aiops.domain import FloatArray, IntArray
from aiops.errors import ConfigError
from aiops.kernels import tick
from aiops.kernels.features import NAMES, features

SERIES, TICKS, WINDOW = 20_000, 60, 60
WARMED = 300  # ticks that every series has behind it, so that all views are at work
MANY, LARGE = 1_000_000, 100_000  # series whose state is allocated, and that one tick walks
ROUNDS, REFERENCE_SERIES = 5, 8
_STEP = 60


def run(
    as_json: bool = False, series: int = SERIES, ticks: int = TICKS, rounds: int = ROUNDS, metrics: str = ""
) -> tuple[str, int]:
    """(text, exit code). `metrics`: a server to measure reading with. ConfigError without the `forecast` extra, which holds
    the reference."""
    slow = _reference()
    times, values = fleet(series, WARMED + ticks)
    warm = tick.fresh(series)
    tick.advance(warm, times[:WARMED], values[:, :WARMED])
    ours: dict[str, list[float]] = {"both": [], "tick": [], "features": []}
    theirs: list[float] = []
    features(values[:4, :WINDOW])  # compiled before the clock starts
    for done in range(1, rounds + 1):
        for name, rate in _ours(warm, times, values).items():
            ours[name].append(rate)
        chosen = np.random.default_rng(done).choice(series, REFERENCE_SERIES, replace=False)
        theirs.append(_rate(lambda: slow(values[chosen, :WINDOW]), REFERENCE_SERIES))  # noqa: B023 - called at once
        progress(done, rounds)
    told = "statsmodels ETS + tsfresh"
    figures = [
        _figure("forecast + band + 12 features", ours["both"], theirs, told),
        _figure("forecast + band + score", ours["tick"]),
        _figure("12 features", ours["features"]),
        _held("state, first tier", tick.fresh(8)),
        _held("state, second tier", tick.fresh(8, memory=tick.MEMORY)),
        _allocated(MANY),
        _large(warm, times, values, LARGE, rounds),
        *logs.figures(),
        *(reading.figures(metrics, rounds) if metrics else ()),
    ]
    if as_json:
        return _json(figures, series, ticks), 0
    return _text(figures, series, ticks) + ("" if metrics else f"{reading.NO_SERVER}\n"), 0


def fleet(series: int, length: int) -> tuple[IntArray, FloatArray]:
    """(times, (series, length) values): distinct daily waves with autocorrelated noise, drift, spikes, steps and counts."""
    rng = np.random.default_rng(20_240_229)
    times = 1_700_000_000 + _STEP * np.arange(length, dtype=np.int64)
    level = rng.lognormal(3, 2, (series, 1))
    phase, swing = rng.uniform(0, 2 * np.pi, (series, 1)), rng.uniform(0, 0.5, (series, 1))
    noise = rng.normal(size=(series, length))
    memory = rng.uniform(0, 0.95, series)
    for t in range(1, length):
        noise[:, t] += memory * noise[:, t - 1]
    values = level * (1 + swing * np.sin(2 * np.pi * times / 86_400 + phase) + 0.05 * noise)
    values += level * 0.001 * rng.normal(size=(series, 1)) * np.arange(length)
    values += level * 3 * (rng.random((series, length)) < 0.002)
    values[: series // 5] = rng.poisson(np.maximum(values[: series // 5], 0.1))
    return times, values


def _ours(warm: tick.State, times: IntArray, values: FloatArray) -> dict[str, float]:
    """Series per second of the whole, of the engine alone and of the features alone, over the columns after `WARMED`."""
    state = _copy(warm)
    spent = {"tick": 0.0, "features": 0.0}
    for t in range(WARMED, len(times)):
        column, window = values[:, t : t + 1].copy(), values[:, t - WINDOW + 1 : t + 1].copy()
        began = time.process_time()
        tick.advance(state, times[t : t + 1], column)
        between = time.process_time()
        features(window)
        spent["tick"] += between - began
        spent["features"] += time.process_time() - between
    done = len(values) * (len(times) - WARMED)
    return {name: done / max(seconds, 1e-9) for name, seconds in spent.items()} | {
        "both": done / max(sum(spent.values()), 1e-9)
    }


def _copy(state: tick.State) -> tick.State:
    return tick.State._make(array.copy() for array in state)


def _allocated(series: int) -> Figure:
    """Bytes of so many series in the first tier, allocated."""
    size = float(sum(array.nbytes for array in tick.fresh(series)))
    return Figure(f"state of {series:,} series", size, size, size, "bytes")


def _large(warm: tick.State, times: IntArray, values: FloatArray, series: int, rounds: int) -> Figure:
    """CPU seconds of one tick over `series` rows: the warm ones again and again, each with a state of its own."""
    rows = np.arange(series) % len(values)
    state = tick.State._make(array[rows] for array in warm)
    spent = []
    for t in range(WARMED, min(WARMED + max(rounds, 2), len(times))):
        column = values[rows, t : t + 1]
        began = time.process_time()
        tick.advance(state, times[t : t + 1], column)
        spent.append(time.process_time() - began)
    return Figure(f"tick of {series:,} series", statistics.median(spent), min(spent), max(spent), "CPU s")


def _rate(work: Any, series: int) -> float:
    began = time.process_time()
    work()
    return series / (time.process_time() - began)


def _reference() -> Any:
    """A function of (S, 60) windows that does the same work with the libraries."""
    try:
        import pandas as pd
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tsfresh warns of its own dependencies when imported
            from tsfresh import extract_features
    except ImportError as error:
        raise ConfigError(f"the reference of this bench needs the `forecast` extra: {error}") from error
    asked: dict[str, Any] = dict.fromkeys(NAMES[:-1]) | {"linear_trend": [{"attr": "slope"}]}

    def work(windows: FloatArray) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that did not converge is still the reference's cost
            for row in windows:
                fit = ETSModel(pd.Series(row), error="add", trend="add").fit(disp=False)
                fit.get_prediction(start=len(row), end=len(row)).pred_int(alpha=0.05)
            count, length = windows.shape
            long = pd.DataFrame({"id": np.repeat(np.arange(count), length), "value": windows.ravel()})
            extract_features(long, column_id="id", default_fc_parameters=asked, disable_progressbar=True, n_jobs=0)

    work(np.random.default_rng(0).normal(size=(1, WINDOW)))
    return work


def _figure(name: str, ours: list[float], theirs: list[float] | None = None, told: str = "") -> Figure:
    reference = statistics.median(theirs) if theirs else None
    return Figure(name, statistics.median(ours), min(ours), max(ours), "series/s", reference, told)


def _held(name: str, state: tick.State) -> Figure:
    size = float(state.bytes_per_series)
    return Figure(name, size, size, size, "bytes/series")


def _json(figures: list[Figure], series: int, ticks: int) -> str:
    told = {"series": series, "ticks": ticks, "figures": [asdict(f) | {"ratio": f.ratio} for f in figures]}
    return json.dumps(told, indent=1) + "\n"


def _text(figures: list[Figure], series: int, ticks: int) -> str:
    lines = [f"{series} series, {ticks} ticks, CPU time of one core; median [least, most] of the rounds"]
    for f in figures:
        beside = f"  {f.reference:.1f} {f.reference_name}, {f.ratio:,.0f} times" if f.reference and f.ratio else ""
        digits = 3 if f.value < 10 else 0
        spread = f"[{f.least:,.{digits}f}, {f.most:,.{digits}f}]"
        lines.append(f"{f.name:<32}{f.value:>14,.{digits}f} {f.unit:<13} {spread}{beside}")
    return "\n".join(lines) + "\n"
