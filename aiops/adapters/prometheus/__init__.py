"""`prometheus+http(s)://HOST/PREFIX`: metrics from Prometheus, and from what speaks its query API.

Discovery and authentication go through prometheus-api-client's connection object. Bulk data doesn't: the library asks for
raw samples without a step and makes an object of each. What a read needs is asked of `query_range` and scanned into columns;
samples as they were scraped come by remote read, in the chunks that the server keeps them in, where it offers that (Prometheus,
Mimir), else by an instant query of a range (VictoriaMetrics, Thanos Query). Which it is, is found out once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import urllib3
from prometheus_api_client import PrometheusConnect

from aiops.adapters.http import Access, Session
from aiops.adapters.prometheus import answer
from aiops.adapters.prometheus.answer import Matrix
from aiops.adapters.prometheus.grid import MAX_POINTS, Grid, pieces
from aiops.domain import Labels, Panel, Query, Samples, Scope, Symptom, TimeRange, quote, series_key, to_ns
from aiops.errors import DataError, SourceError
from aiops.kernels.wire import remote_read
from aiops.kernels.wire.series import FARTHEST_MS, columns
from aiops.schema.selector import Matcher, parse

__all__ = ["MAX_POINTS", "Prometheus"]

PROBE = timedelta(minutes=10)  # how much is read raw to learn the sampling interval
USUAL_STEP_MS = 60_000  # where the interval can't be learnt, because nothing or an expression was asked for
RECENT = timedelta(hours=1)  # series with samples in this time are what "there is"
EVERYTHING = '{__name__!=""}'

_log = logging.getLogger(__name__)
_MS = 1_000_000  # ns
_READ_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": remote_read.PLAIN,
    "X-Prometheus-Remote-Read-Version": "0.1.0",
}
# What servers say that do not know remote read: no such path (VictoriaMetrics: 400), method, or kind of body.
_NO_SUCH = ("HTTP 400", "HTTP 404", "HTTP 405", "HTTP 406", "HTTP 415", "HTTP 501")


class Prometheus:
    """A MetricsSource at an address, or behind a door with the secrets that open it.

    `step` is the grid of a read; by default it is the sampling interval of the series that are read.
    Raises ConfigError for an address that is none or that holds a password.
    """

    def __init__(self, source: str | Access, *, step: timedelta | None = None) -> None:
        self._access = Access.to(source, "prometheus", "metrics source") if isinstance(source, str) else source
        self._url = self._access.url
        self._step = step
        self._keys = answer.Keys()
        self._offered: bool | None = None  # whether there is remote read, once that is known

    def read(self, scope: Scope, timeout: float) -> Panel:
        """One `query_range` per query, split below `MAX_POINTS`. Times are multiples of the step.

        A series keeps its last value for the server's look-back (5 minutes by default) unless it was marked stale. A
        series that two queries find is one series. Of a native histogram its `_count` and `_sum` are read. Infinite
        values are gaps.
        """
        with self._access.session("metrics", timeout) as session:
            queries = scope.queries or (Query(EVERYTHING),)
            step = self._step_ms(session, queries, scope)
            grid = Grid(scope, step)
            for query in queries:
                for first, last in grid.requests():
                    found = self._query_range(session, query.text, first, last, step)
                    try:
                        grid.take(query, found)
                    except DataError as error:
                        raise session.garbled(str(error)) from error
        return grid.panel()

    def samples(self, query: str, window: TimeRange, timeout: float, step: timedelta | None = None) -> Samples:
        """A selector without `step`: as it was scraped, stale markers only by remote read. Otherwise at each multiple of the
        step. Series come in the order in which the server tells them."""
        start, end = (max(-FARTHEST_MS, min(FARTHEST_MS, -(-to_ns(at) // _MS))) for at in (window.start, window.end))
        matchers = parse(query)
        with self._access.session(f"samples of {query}", timeout) as session:
            if step is None and matchers:
                return self._raw(session, query, matchers, start, end)
            every = max(1, round(step / timedelta(milliseconds=1))) if step else USUAL_STEP_MS
            asked = pieces(-(-start // every), -(-end // every) - 1)
            return _samples(self._query_range(session, query, a * every, b * every, every) for a, b in asked)

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

    def label_values(self, label: str, query: str, window: TimeRange, timeout: float) -> tuple[str, ...]:
        """As the server's index knows them: by the block, or by the day (VictoriaMetrics)."""
        start, end = (_seconds(to_ns(at) // _MS) for at in (window.start, window.end))
        with self._access.session(f"the values of {label}", timeout) as session:
            asked = {"match[]": query, "start": start, "end": end}
            body = session.ask("GET", f"{self._url}/api/v1/label/{label}/values", params=asked)
            return tuple(sorted(session.decode(body, _Values).data or ()))

    def window(self) -> None:
        """None: it answers for whatever time it still has."""

    def symptom(self) -> Symptom:
        return Symptom()

    def ping(self, timeout: float) -> str:
        with self._access.session("its version", timeout) as session:
            body = session.ask("GET", f"{self._url}/api/v1/status/buildinfo", missing=b"")
            if body:
                version = session.decode(body, _BuildInfo).data.get("version", "unknown")
                told = f"Prometheus API {version}"
            else:
                session.decode(session.ask("POST", f"{self._url}/api/v1/query", {"query": "vector(1)"}), _Told)
                told = "Prometheus query API"
            return f"{told} at {self._url}, samples by {'remote read' if self._streams(session) else 'query'}"

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

    def _raw(self, session: Session, query: str, matchers: Sequence[Matcher], start: int, end: int) -> Samples:
        """What was scraped in [start, end), in ms."""
        if start >= end:
            return _samples(())
        if self._streams(session):
            session.what = f"remote read of {query}"
            try:
                return self._remote_read(session, matchers, start, end - 1)
            except SourceError as error:
                # Whatever is wrong with a selector is HTTP 500 there, too large an answer 400: the query API tells better.
                if not error.came_back.startswith(("HTTP 4", "HTTP 500")):
                    raise
        # Of a range, versions 2 and 3 of Prometheus give and don't give a sample at its beginning.
        asked = {"query": f"{query}[{end - start}ms]", "time": _seconds(end - 1)}
        return _samples([_since(self._ask(session, "query", asked), start)])

    def _streams(self, session: Session) -> bool:
        """Whether the server offers remote read, which is asked once."""
        if self._offered is None:
            what, session.what = session.what, "the offer of remote read"
            try:
                self._remote_read(session, [Matcher("__name__", "=", "nothing")], 0, 0)
                self._offered = True
            except SourceError as error:
                if not error.came_back.startswith((*_NO_SUCH, "no protobuf")):
                    raise
                self._offered = False
            session.what = what
        return self._offered

    def _remote_read(self, session: Session, matchers: Sequence[Matcher], first: int, last: int) -> Samples:
        """The samples from `first` to `last`, both included, in ms."""
        body, kind = session.bulk(f"{self._url}/api/v1/read", remote_read.request(matchers, first, last), _READ_HEADERS)
        try:
            if kind.startswith(remote_read.STREAMED):
                return remote_read.decode_stream(body, first, last)
            if kind.startswith(remote_read.PLAIN):
                return remote_read.decode_block(body.tobytes(), first, last)
        except DataError as error:
            raise session.garbled(str(error)) from error
        raise session.garbled(f"no protobuf but {kind or 'nothing that has a type'}")

    def _query_range(self, session: Session, query: str, first: int, last: int, step: int) -> Matrix:
        """The answer for `first` to `last`, both included, in ms."""
        asked = {"query": query, "start": _seconds(first), "end": _seconds(last), "step": _seconds(step)}
        return self._ask(session, "query_range", asked)

    def _ask(self, session: Session, endpoint: str, asked: dict[str, str]) -> Matrix:
        # Thanos answers with what it has when a store is down, unless it is told that half an answer is none.
        form = {**asked, "timeout": f"{max(1, int(session.remaining() * 1000))}ms", "partial_response": "false"}
        session.what = f"{endpoint} {asked['query']}"
        body, _ = session.bulk(f"{self._url}/api/v1/{endpoint}", form, {})
        try:
            found, warnings = answer.read(body, self._keys)
        except DataError as error:
            raise session.garbled(str(error)) from error
        for warning in warnings:
            _log.warning("%s", session.shown(f"{session.what} from {self._url}: {warning}"))
        return found

    def _step_ms(self, session: Session, queries: Sequence[Query], scope: Scope) -> int:
        """The step; by default the median time between two samples of the ten minutes before the symptom."""
        if self._step:
            return max(1, round(self._step.total_seconds() * 1000))
        span = f"[{max(1, int(min(PROBE, scope.baseline.duration or PROBE).total_seconds()))}s]"
        at = _seconds(to_ns(scope.at) // _MS)
        for query in queries:
            if parse(query.text):
                found = self._ask(session, "query", {"query": query.text + span, "time": at})
                ends = np.cumsum(found.sizes)
                series = [found.times[b - n : b] for n, b in zip(found.sizes.tolist(), ends.tolist(), strict=True)]
                series += [counted for counted in _histogram_times(found) if len(counted)]
                steps = [float(np.median(np.diff(times))) for times in series if len(times) > 1]
                if steps:
                    return max(1, round(float(np.median(steps)) / 1000)) * 1000
        return USUAL_STEP_MS


def _histogram_times(found: Matrix) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    if found.histograms:
        both = answer.counts_and_sums(found)
        ends = np.cumsum(both.sizes)
        for size, end in zip(both.sizes.tolist(), ends.tolist(), strict=True):
            yield both.times[end - size : end]


def _samples(found: Iterable[Matrix]) -> Samples:
    """Answers one after the other; native histograms, which are no numbers, are gaps."""
    parts = list(found)
    gaps = tuple(remote_read.histogram_gap(part.keys[k]) for part in parts for k, _ in part.histograms)
    whole = parts[0] if len(parts) == 1 else answer.joined(parts)
    return columns(whole.keys, whole.sizes, whole.times, whole.values, gaps)


def _since(found: Matrix, start: int) -> Matrix:
    """Without the samples before `start`."""
    inside = found.times >= start
    if inside.all():
        return found
    owner = np.repeat(np.arange(len(found.sizes)), found.sizes)[inside]
    sizes = np.bincount(owner, minlength=len(found.sizes))
    return Matrix(found.keys, sizes, found.times[inside], found.values[inside], found.histograms)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"


class _BuildInfo(msgspec.Struct):
    data: dict[str, str] = {}


class _Values(msgspec.Struct):
    data: list[str] | None = None


class _Told(msgspec.Struct):
    status: str
