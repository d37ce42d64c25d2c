"""Reading Prometheus beside its Python library: the same samples, by the same server, in the same run, in client CPU.

Rounds of remote read, `MetricRangeDataFrame` on the same raw selector, `query_range`, and the library's `custom_query_range` made
a DataFrame take turns, so that a busy machine slows all four. What each gives must be the same, or there is no figure.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import numpy as np

from aiops import app
from aiops.bench.figure import Figure
from aiops.bench.progress import progress
from aiops.domain import Samples, TimeRange
from aiops.errors import DataError
from aiops.kernels.wire.labels import encode
from aiops.ports import MetricsSource

SERIES = 1000
WINDOW = timedelta(days=1)
STEP = timedelta(minutes=1)
TIMEOUT_S = 120.0
MS = timedelta(milliseconds=1)
NO_SERVER = "reading is measured against a server of yours: --metrics prometheus+http://HOST:PORT"

T = TypeVar("T")


def figures(url: str, rounds: int) -> list[Figure]:
    """Samples per second of client CPU (user and system) at the metrics source `prometheus+http(s)://...`.

    What is read is the last day of the metric with the most series, of those that have at most 1,000. DataError where there is
    nothing to read, or two readers disagree; ConfigError, SourceError."""
    with app.connect(url, keep=False, flags={"model.url": ""}) as ops:
        source = ops.sources.metrics
        name, window = _chosen(source), _window()
        raw, stepped = _library(url, name, window)
        readers: dict[str, Callable[[], Any]] = {
            "remote read": lambda: source.samples(name, window, TIMEOUT_S),
            "MetricRangeDataFrame": raw,
            "query_range": lambda: source.samples(name, window, TIMEOUT_S, STEP),
            "custom_query_range + DataFrame": stepped,
        }
        count = {}
        for ours, theirs in (
            ("remote read", "MetricRangeDataFrame"),
            ("query_range", "custom_query_range + DataFrame"),
        ):
            count[ours] = count[theirs] = _agreed(name, readers[ours](), readers[theirs]())
        rates: dict[str, list[float]] = {reader: [] for reader in readers}
        for done in range(1, rounds + 1):
            for reader, read in readers.items():
                rates[reader].append(count[reader] / _cpu(read))
            progress(done, rounds)
        told = source.ping(TIMEOUT_S).rpartition(" ")[2]
    raw_name = "samples as scraped, by remote read" if told == "read" else "samples as scraped, by query"
    return [
        _figure(raw_name, rates["remote read"], rates["MetricRangeDataFrame"], "MetricRangeDataFrame"),
        _figure(
            "samples on a grid, by query_range",
            rates["query_range"],
            rates["custom_query_range + DataFrame"],
            "custom_query_range + DataFrame",
        ),
    ]


def _chosen(source: MetricsSource) -> str:
    counts = Counter(labels.get("__name__", "") for labels in source.catalog(TIMEOUT_S))
    fitting = [(count, name) for name, count in counts.items() if name and count <= SERIES]
    if not fitting:
        raise DataError(f"the source has no metric of at most {SERIES} series")
    return max(fitting)[1]


def _window() -> TimeRange:
    """The last day, from a whole minute to a whole second: the library rounds, and includes both ends."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return TimeRange(now - WINDOW, now - timedelta(seconds=1) + MS)


def _library(url: str, name: str, window: TimeRange) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The library's two ways: raw samples, and on a grid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its plotting would need
        from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect
        from prometheus_api_client.exceptions import PrometheusApiClientException
        from requests import RequestException

    library = PrometheusConnect(url.removeprefix("prometheus+"))
    end = window.end - MS

    def frame(ask: Callable[[], Any]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns of how the library uses it
            try:
                return MetricRangeDataFrame(ask())
            except (PrometheusApiClientException, RequestException) as error:
                raise DataError(f"{name} read with prometheus-api-client, without any secret: {error}") from error

    def raw() -> Any:
        return frame(lambda: library.get_metric_range_data(name, start_time=window.start, end_time=end))

    def stepped() -> Any:
        return frame(lambda: library.custom_query_range(name, window.start, end, f"{STEP.total_seconds():.0f}"))

    return raw, stepped


def _cpu(work: Callable[[], T]) -> float:
    began = time.process_time()
    work()
    return max(time.process_time() - began, 1e-9)


def _agreed(name: str, ours: Samples, theirs: Any) -> int:
    """How many samples both have. DataError where they differ in a series, a time (to the millisecond) or a bit of a value.

    Markers of a series' end, which only remote read tells, are left out."""
    rows = {}
    for k, key in enumerate(ours.keys):
        own = slice(int(ours.starts[k]), int(ours.starts[k + 1]))
        number = ~np.isnan(ours.values[own])
        rows[key] = ours.times[own][number] // 1_000_000, ours.values[own][number]
    names = [column for column in theirs.columns if column != "value"]
    total = 0
    for own_labels, group in theirs.groupby(names, dropna=False):
        labels = {column: value for column, value in zip(names, own_labels, strict=True) if isinstance(value, str)}
        told = group[group["value"].notna()]
        times, values = rows.pop(encode(labels), (np.empty(0, np.int64), np.empty(0)))
        told_times = np.rint(told.index.to_numpy("datetime64[ns]").astype(np.int64) / 1e6).astype(np.int64)
        if not np.array_equal(times, told_times) or not np.array_equal(values, told["value"].to_numpy(np.float64)):
            raise DataError(f"the readers of {name} disagree about {labels}")
        total += len(times)
    if any(len(times) for times, _ in rows.values()) or not total:
        raise DataError(f"the readers of {name} disagree about which series there are, or there is nothing to read")
    return total


def _figure(name: str, ours: list[float], theirs: list[float], told: str) -> Figure:
    return Figure(name, statistics.median(ours), min(ours), max(ours), "samples/s", statistics.median(theirs), told)
