"""`prometheus+http(s)://HOST/PREFIX`: metrics from Prometheus, and from what speaks its query API.

Discovery and authentication go through prometheus-api-client's connection object. Bulk data doesn't: the library asks for
raw samples without a step and makes an object of each, so a read posts `query_range` itself and parses the answer into
columns. One session class, `_Session`, is the door for both: it holds the deadline and maps every failure to `errors`.
"""

from __future__ import annotations

import base64
import io
import logging
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
import numpy as np
import requests
import urllib3
from prometheus_api_client import PrometheusConnect

from aiops.domain import FloatArray, IntArray, Labels, Panel, Query, Scope, Symptom, series_key, to_ns
from aiops.errors import ConfigError, SourceError, SourceGarbled, SourceRefused, SourceUnreachable

MAX_POINTS = 10_000  # per series and request; Prometheus refuses more than 11,000
MAX_BODY = 1 << 30  # bytes; an answer beyond it is no answer one can work with
PROBE = timedelta(minutes=10)  # how much is read raw to learn the sampling interval
USUAL_STEP_MS = 60_000  # where the interval can't be learnt, because nothing or an expression was asked for
RECENT = timedelta(hours=1)  # series with samples in this time are what "there is"
EVERYTHING = '{__name__!=""}'

_log = logging.getLogger(__name__)
T = TypeVar("T")
_MS = 1_000_000  # ns
_LABEL = r'\s*[a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"\s*'
_SELECTOR = re.compile(rf"[a-zA-Z_:][\w:]*|(?:[a-zA-Z_:][\w:]*)?\s*\{{(?:{_LABEL},)*(?:{_LABEL})?\}}")


class Prometheus:
    """A MetricsSource. A bearer `token`, or `user` and `password`, authenticate.

    `step` is the grid of a read; by default it is the sampling interval of the series that are read.
    Raises ConfigError for an address that is none or that holds a password.
    """

    def __init__(
        self, url: str, *, token: str = "", user: str = "", password: str = "", step: timedelta | None = None
    ) -> None:
        self._url = _base(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._auth = (user, password) if user else None
        basic = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._secrets = tuple(secret for secret in (token, password, basic) if secret)
        self._step = step

    def read(self, scope: Scope, timeout: float) -> Panel:
        """One `query_range` per query, split below `MAX_POINTS`. Times are multiples of the step.

        A series keeps its last value for the server's look-back (5 minutes by default) unless it was marked stale. A
        series that two queries find is one series. Of a native histogram its `_count` and `_sum` are read. Infinite
        values are gaps.
        """
        with self._connect("metrics", timeout) as session:
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

    def catalog(self, timeout: float) -> tuple[Labels, ...]:
        """Label sets of the series of the last hour; of all series where there are none (an archive), by `series_key`."""
        now = datetime.now(UTC)
        beginning = datetime(1970, 1, 2, tzinfo=UTC)
        with self._connect("the list of series", timeout) as session:
            found = self._series(session, now - RECENT, now) or self._series(session, beginning, now)
        return tuple(sorted(found, key=series_key))

    def window(self) -> None:
        """None: it answers for whatever time it still has."""

    def symptom(self) -> Symptom:
        return Symptom()

    def ping(self, timeout: float) -> str:
        with self._connect("its version", timeout) as session:
            body = session.ask("GET", f"{self._url}/api/v1/status/buildinfo", {}, missing=b"")
            if body:
                version = session.decode(body, _BuildInfo).data.get("version", "unknown")
                return f"Prometheus API {version} at {self._url}"
            session.decode(session.ask("POST", f"{self._url}/api/v1/query", {"query": "vector(1)"}), _Answer)
            return f"Prometheus query API at {self._url}"

    # ------------------------------------------------ asking

    def _connect(self, what: str, timeout: float) -> _Session:
        session = _Session(what, self._url, timeout, self._secrets)
        session.headers.update(self._headers)
        session.auth = self._auth
        return session

    def _series(self, session: _Session, start: datetime, end: datetime) -> list[dict[str, str]]:
        library = PrometheusConnect(
            self._url, headers=self._headers, auth=self._auth, retry=urllib3.Retry(0, read=False), session=session
        )
        try:
            found = library.get_series(start, end, params={"match[]": EVERYTHING})
            return msgspec.convert(found, list[dict[str, str]])
        except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
            raise session.garbled(str(error)) from error

    def _query_range(self, session: _Session, query: Query, start: int, stop: int, step: int) -> list[_Series]:
        """The answer for `start` to `stop`, both included, in ms."""
        asked = {"query": query.text, "start": _seconds(start), "end": _seconds(stop), "step": _seconds(step)}
        return self._ask(session, "query_range", asked)

    def _ask(self, session: _Session, endpoint: str, asked: Mapping[str, str]) -> list[_Series]:
        # Thanos answers with what it has when a store is down, unless it is told that half an answer is none.
        form = {**asked, "timeout": f"{max(1, int(session.remaining() * 1000))}ms", "partial_response": "false"}
        session.what = f"{endpoint} {asked['query']}"
        answer = session.decode(session.ask("POST", f"{self._url}/api/v1/{endpoint}", form), _Answer)
        if answer.status != "success" or answer.data is None or answer.data.result_type != "matrix":
            raise session.garbled(f"status {answer.status!r} {answer.error}, no matrix")
        for warning in answer.warnings:
            _log.warning("%s from %s: %s", session.what, self._url, warning)
        return session.decode(answer.data.result, list[_Series])

    def _step_ms(self, session: _Session, queries: Sequence[Query], scope: Scope) -> int:
        """The step; by default the median time between two samples of the ten minutes before the symptom."""
        if self._step:
            return max(1, round(self._step.total_seconds() * 1000))
        span = f"[{max(1, int(min(PROBE, scope.baseline.duration or PROBE).total_seconds()))}s]"
        at = _seconds(to_ns(scope.at) // _MS)
        for query in queries:
            if _SELECTOR.fullmatch(query.text):
                raw = self._ask(session, "query", {"query": query.text + span, "time": at})
                steps = [
                    statistics.median(b - a for a, b in pairwise(times)) for times in _times(raw) if len(times) > 1
                ]
                if steps:
                    return max(1, round(statistics.median(steps))) * 1000
        return USUAL_STEP_MS


def _base(url: str) -> str:
    address = url.removeprefix("prometheus+").rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _port_is_valid(parts):
        raise ConfigError(
            f"{parts.scheme}://{parts.hostname or ''} is no address of a metrics source; "
            "that is prometheus+http(s)://HOST[:PORT][/PREFIX]"
        )
    if parts.username or parts.password:
        raise ConfigError(
            f"the address of the metrics source {parts.hostname} holds a password; name a file with it instead"
        )
    if parts.query or parts.fragment:
        raise ConfigError(
            f"the address of the metrics source {parts.hostname} has a query or a fragment, which it can't use"
        )
    return address


def _port_is_valid(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


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


# ---------------------------------------------------------------- the door


class _Session(requests.Session):
    """One conversation, `timeout` seconds long altogether; every failure in it is a SourceError about `what`.

    Neither a proxy nor a password is taken from the environment, and no redirect is followed: only the configured address
    is ever asked.
    """

    def __init__(self, what: str, whom: str, timeout: float, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self.trust_env = False
        self.what, self._whom, self._secrets, self._timeout = what, whom, secrets, timeout
        self._ends = time.monotonic() + timeout

    def remaining(self) -> float:
        """Seconds left. Raises SourceUnreachable when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def ask(self, method: str, url: str, form: Mapping[str, str], missing: bytes | None = None) -> bytes:
        """The body of a 2xx answer; `missing` instead of a 404, where that is given."""
        try:
            return self.request(method, url, data=form or None).content
        except SourceRefused as error:
            if missing is not None and error.came_back.startswith("HTTP 404"):
                return missing
            raise

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As requests sends, within the deadline, with the body read whole. Raises SourceError."""
        options |= {"stream": True, "timeout": self.remaining(), "allow_redirects": False}
        try:
            response = super().send(request, **options)
            with response:
                body = self._body(response)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise self._late() from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise SourceUnreachable(self.what, self._whom, self._hide(_reason(error))) from error
        if response.status_code // 100 != 2:
            raise self._refusal(response, body)
        response.raw = io.BytesIO(body)
        return response

    def decode(self, body: bytes | msgspec.Raw, kind: type[T]) -> T:
        """The body as `kind`. Raises SourceGarbled."""
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.garbled(f"{error}: {_head(bytes(body))}") from error

    def garbled(self, came_back: str) -> SourceGarbled:
        return SourceGarbled(self.what, self._whom, self._hide(came_back))

    def _body(self, response: requests.Response) -> bytes:
        """All of it, looking at the clock after each piece: a server that drips keeps nobody waiting."""
        body = bytearray()
        while piece := response.raw.read1(1 << 16, decode_content=True):
            body += piece
            self.remaining()
            if len(body) > MAX_BODY:
                raise self.garbled(f"more than {MAX_BODY >> 20} MiB; ask for fewer series or a shorter time")
        return bytes(body)

    def _refusal(self, response: requests.Response, body: bytes) -> SourceError:
        status = response.status_code
        if 300 <= status < 400:
            head = f"a redirect to {response.headers.get('Location', 'nowhere')}; name that address as the source"
        else:
            head = _head(body)
        # Too busy, too late or broken inside: another time it may answer.
        kind = SourceUnreachable if status >= 500 or status in (408, 429) else SourceRefused
        return kind(self.what, self._whom, self._hide(f"HTTP {status} {head}".rstrip()))

    def _late(self) -> SourceUnreachable:
        return SourceUnreachable(self.what, self._whom, f"no whole answer within {self._timeout:g} s")

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _head(body: bytes) -> str:
    """The start of an answer, on one line and printable."""
    text = " ".join(body[:400].decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def _reason(error: BaseException) -> str:
    """What lies behind the layers of a connection error."""
    inside = [cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, BaseException)]
    return _reason(inside[0]) if inside else str(error).rpartition(": ")[2] or type(error).__name__
