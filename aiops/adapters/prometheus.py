"""`prometheus+http(s)://HOST/PREFIX`: metrics from Prometheus, and from what speaks its query API.

Discovery and authentication go through prometheus-api-client's connection object. Bulk data doesn't: the library asks for
raw samples without a step and makes an object of each, so a read posts `query_range` itself and parses the answer into
columns. One `http.Session` is the door for both: it holds the deadline and maps every failure to `errors`.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import numpy as np
import urllib3
from prometheus_api_client import PrometheusConnect

from aiops.adapters.http import Access, Session
from aiops.domain import (
    FloatArray,
    Gap,
    IntArray,
    Labels,
    Panel,
    Query,
    Samples,
    Scope,
    Symptom,
    TimeRange,
    quote,
    series_key,
    to_ns,
)
from aiops.kernels.labels import encode
from aiops.schema.selector import parse

MAX_POINTS = 10_000  # per series and request; Prometheus refuses more than 11,000
PROBE = timedelta(minutes=10)  # how much is read raw to learn the sampling interval
USUAL_STEP_MS = 60_000  # where the interval can't be learnt, because nothing or an expression was asked for
RECENT = timedelta(hours=1)  # series with samples in this time are what "there is"
EVERYTHING = '{__name__!=""}'

_log = logging.getLogger(__name__)
_MS = 1_000_000  # ns


class Prometheus:
    """A MetricsSource. A bearer `token`, or `user` and `password`, authenticate.

    `step` is the grid of a read; by default it is the sampling interval of the series that are read.
    Raises ConfigError for an address that is none or that holds a password.
    """

    def __init__(
        self, url: str, *, token: str = "", user: str = "", password: str = "", step: timedelta | None = None
    ) -> None:
        self._access = Access.to(url, "prometheus", "metrics source", token=token, user=user, password=password)
        self._url = self._access.url
        self._step = step

    def read(self, scope: Scope, timeout: float) -> Panel:
        """One `query_range` per query, split below `MAX_POINTS`. Times are multiples of the step.

        A series keeps its last value for the server's look-back (5 minutes by default) unless it was marked stale. A
        series that two queries find is one series. Of a native histogram its `_count` and `_sum` are read. Infinite
        values are gaps.
        """
        with self._access.session("metrics", timeout) as session:
            queries = scope.queries or (Query(EVERYTHING),)
            step = self._step_ms(session, queries, scope)
            grid = _Grid(scope, step)
            for query in queries:
                for start, stop in grid.pieces():
                    found = self._query_range(session, query, start, stop, step)
                    try:
                        grid.take(query, found)
                    except ValueError as error:
                        raise session.garbled(str(error)) from error
        return grid.panel()

    def samples(self, query: str, window: TimeRange, timeout: float, step: timedelta | None = None) -> Samples:
        """A selector without `step`: as it was scraped. Otherwise evaluated at each multiple of the step."""
        start, end = -(-to_ns(window.start) // _MS), -(-to_ns(window.end) // _MS)  # in ms, half-open
        plain = parse(query) is not None
        if step is None and not plain:
            step = timedelta(milliseconds=USUAL_STEP_MS)
        with self._access.session("metrics", timeout) as session:
            pieces = []
            if step is None:
                if start < end:
                    # Of a range, versions 2 and 3 of Prometheus give and don't give a sample at its beginning.
                    asked = {"query": f"{query}[{end - start}ms]", "time": _seconds(end - 1)}
                    pieces.append(self._ask(session, "query", asked))
            else:
                every = max(1, round(step / timedelta(milliseconds=1)))
                first, last = -(-start // every), -(-end // every) - 1
                for at in range(first, last + 1, MAX_POINTS):
                    stop = min(at + MAX_POINTS - 1, last)
                    pieces.append(self._query_range(session, Query(query), at * every, stop * every, every))
            try:
                return _columns(pieces, start)
            except ValueError as error:
                raise session.garbled(str(error)) from error

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:
        """Label sets of the series of the last hour; of all series where there are none (an archive), by `series_key`."""
        now = datetime.now(UTC)
        beginning = datetime(1970, 1, 2, tzinfo=UTC)
        with self._access.session("the list of series", timeout) as session:
            selector = f"{{__name__=~{quote(metrics)}}}" if metrics else EVERYTHING
            found = self._series(session, selector, now - RECENT, now) or self._series(
                session, selector, beginning, now
            )
        return tuple(sorted(found, key=series_key))

    def window(self) -> None:
        """None: it answers for whatever time it still has."""

    def symptom(self) -> Symptom:
        return Symptom()

    def ping(self, timeout: float) -> str:
        with self._access.session("its version", timeout) as session:
            body = session.ask("GET", f"{self._url}/api/v1/status/buildinfo", missing=b"")
            if body:
                version = session.decode(body, _BuildInfo).data.get("version", "unknown")
                return f"Prometheus API {version} at {self._url}"
            session.decode(session.ask("POST", f"{self._url}/api/v1/query", {"query": "vector(1)"}), _Answer)
            return f"Prometheus query API at {self._url}"

    # ------------------------------------------------ asking

    def _series(self, session: Session, selector: str, start: datetime, end: datetime) -> list[dict[str, str]]:
        library = PrometheusConnect(
            self._url,
            headers=self._access.headers,
            auth=self._access.auth,
            retry=urllib3.Retry(0, read=False),
            session=session,
        )
        try:
            found = library.get_series(start, end, params={"match[]": selector})
            return msgspec.convert(found, list[dict[str, str]])
        except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
            raise session.garbled(str(error)) from error

    def _query_range(self, session: Session, query: Query, start: int, stop: int, step: int) -> list[_Series]:
        """The answer for `start` to `stop`, both included, in ms."""
        asked = {"query": query.text, "start": _seconds(start), "end": _seconds(stop), "step": _seconds(step)}
        return self._ask(session, "query_range", asked)

    def _ask(self, session: Session, endpoint: str, asked: Mapping[str, str]) -> list[_Series]:
        # Thanos answers with what it has when a store is down, unless it is told that half an answer is none.
        form = {**asked, "timeout": f"{max(1, int(session.remaining() * 1000))}ms", "partial_response": "false"}
        session.what = f"{endpoint} {asked['query']}"
        answer = session.decode(session.ask("POST", f"{self._url}/api/v1/{endpoint}", form), _Answer)
        if answer.status != "success" or answer.data is None or answer.data.result_type != "matrix":
            raise session.garbled(f"status {answer.status!r} {answer.error}, no matrix")
        for warning in answer.warnings:
            _log.warning("%s from %s: %s", session.what, self._url, warning)
        return session.decode(answer.data.result, list[_Series])

    def _step_ms(self, session: Session, queries: Sequence[Query], scope: Scope) -> int:
        """The step; by default the median time between two samples of the ten minutes before the symptom."""
        if self._step:
            return max(1, round(self._step.total_seconds() * 1000))
        span = f"[{max(1, int(min(PROBE, scope.baseline.duration or PROBE).total_seconds()))}s]"
        at = _seconds(to_ns(scope.at) // _MS)
        for query in queries:
            if parse(query.text):
                raw = self._ask(session, "query", {"query": query.text + span, "time": at})
                steps = [
                    statistics.median(b - a for a, b in pairwise(times)) for times in _times(raw) if len(times) > 1
                ]
                if steps:
                    return max(1, round(statistics.median(steps))) * 1000
        return USUAL_STEP_MS


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


# ---------------------------------------------------------------- the answer


class _Histogram(msgspec.Struct, gc=False):
    count: str
    sum: str


class _Series(msgspec.Struct, gc=False):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    histograms: list[tuple[float, _Histogram]] = []

    def columns(self) -> Iterator[tuple[dict[str, str], Sequence[tuple[float, str]]]]:
        """Its float series: itself, or the count and the sum of a native histogram, named as a classic one's."""
        if self.values or not self.histograms:
            yield self.metric, self.values
        if self.histograms:
            name = self.metric.get("__name__", "")
            yield self.metric | {"__name__": f"{name}_count"}, [(at, one.count) for at, one in self.histograms]
            yield self.metric | {"__name__": f"{name}_sum"}, [(at, one.sum) for at, one in self.histograms]


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType")
    result: msgspec.Raw = msgspec.Raw(b"[]")  # its form depends on the type


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""
    warnings: list[str] = []


class _BuildInfo(msgspec.Struct):
    data: dict[str, str] = {}


def _times(found: Sequence[_Series]) -> Iterator[list[float]]:
    for series in found:
        yield [at for at, _ in series.values or series.histograms]


def _columns(pieces: Sequence[Sequence[_Series]], start: int) -> Samples:
    """Answers one after the other in time as columns, without what lies before `start` (ms). ValueError for garbage."""
    rows: dict[bytes, tuple[Labels, list[tuple[float, str]]]] = {}
    gaps = []
    for piece in pieces:
        for series in piece:
            key = encode(series.metric)
            if series.histograms:
                gaps.append(_histogram_gap(series.metric))
            if series.values or not series.histograms:
                rows.setdefault(key, (series.metric, []))[1].extend(series.values)
    found = {}
    for key, (labels, samples) in rows.items():
        times = np.rint(np.array([at for at, _ in samples], np.float64) * 1000)
        if not (np.abs(times) < 2**53).all() or (np.diff(times) <= 0).any():
            raise ValueError(f"series {series_key(labels)} has samples whose times do not increase")
        values = np.array([float(value) for _, value in samples], np.float64)
        inside = times >= start
        if inside.any():
            found[key] = labels, times[inside].astype(np.int64) * _MS, values[inside]
    starts = np.cumsum([0, *(len(times) for _, times, _ in found.values())], dtype=np.int64)
    return Samples(
        tuple(labels for labels, _, _ in found.values()),
        tuple(found),
        starts,
        np.concatenate([np.empty(0, np.int64), *(times for _, times, _ in found.values())]),
        np.concatenate([np.empty(0), *(values for _, _, values in found.values())]),
        tuple(dict.fromkeys(gaps)),
    )


def _histogram_gap(labels: Labels) -> Gap:
    return Gap(
        f"native histogram {series_key(labels)}",
        "it has no samples that are numbers",
        "ask for histogram_count(), histogram_sum() or histogram_quantile() of it",
    )


class _Grid:
    """Collects answers into one matrix over the multiples of `step` (ms) in the scope's time."""

    def __init__(self, scope: Scope, step: int) -> None:
        self._scope, self._step = scope, step
        start, end = to_ns(scope.baseline.start), max(to_ns(scope.incident.end), to_ns(scope.baseline.end))
        self._times = np.arange(-(-start // (step * _MS)), -(-end // (step * _MS)), dtype=np.int64) * step  # ms
        self._rows: dict[str, tuple[dict[str, str], FloatArray]] = {}

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First and last time, in ms, of each request."""
        for at in range(0, len(self._times), MAX_POINTS):
            piece = self._times[at : at + MAX_POINTS]
            yield int(piece[0]), int(piece[-1])

    def take(self, query: Query, found: Sequence[_Series]) -> None:
        """Adds the answer to one request. ValueError for samples off the grid, no numbers, or a series given twice."""
        given: set[str] = set()
        for series in found:
            for labels, samples in series.columns():
                named = labels if labels.get("__name__") else {**labels, "__name__": query.metric or query.text}
                key = series_key(named)
                if key in given:
                    raise ValueError(f"series {key} twice")
                given.add(key)
                _, row = self._rows.setdefault(key, (named, np.full(len(self._times), np.nan)))
                self._fill(row, samples, key)

    def _fill(self, row: FloatArray, samples: Sequence[tuple[float, str]], key: str) -> None:
        at = np.array([at for at, _ in samples], np.float64)
        columns = np.rint(at * 1000 - self._times[0]) / self._step
        if not ((columns >= 0) & (columns < len(row)) & (columns == np.floor(columns))).all():
            raise ValueError(f"series {key} has samples at times that were not asked for")
        where = columns.astype(np.int64)
        values = np.array([float(value) for _, value in samples], np.float64)
        fresh = np.isfinite(values) & np.isnan(row[where])
        row[where[fresh]] = values[fresh]

    def panel(self) -> Panel:
        """The series that have a sample, over the time from the first to the last sample."""
        keys = sorted(key for key, (_, row) in self._rows.items() if not np.isnan(row).all())
        if not keys:
            return Panel.empty()
        values = np.stack([self._rows[key][1] for key in keys])
        seen = np.flatnonzero(~np.isnan(values).all(axis=0))
        span = slice(seen[0], seen[-1] + 1)
        times: IntArray = self._times[span] * _MS
        labels = tuple(self._rows[key][0] for key in keys)
        return Panel(
            labels, times, np.ascontiguousarray(values[:, span]), ("",) * len(keys), self._scope.incident.mask(times)
        )
