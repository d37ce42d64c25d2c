"""`loki+http(s)://HOST/PREFIX`: logs from Grafana Loki, and from what speaks its query API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

import msgspec

from aiops.adapters import reading
from aiops.adapters.http import Access, Session
from aiops.domain import Logs, Scope, quote
from aiops.rules import Entities

PAGE = 5_000  # lines; Loki refuses more unless it is configured otherwise. A full answer may lack lines near its end (3.2 did)
MAX_LINES = 200_000  # of one read, about: beyond it a sample is read

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TRACE = ("trace_id", "traceid", "traceID", "traceId")
_SPAN = ("span_id", "spanid", "spanID", "spanId")


class Loki:
    """A LogSource. `labels` of rules/entities.yaml say which stream labels name a node; `access` opens the door."""

    def __init__(self, access: Access, entities: Entities, *, page: int = PAGE, max_lines: int = MAX_LINES) -> None:
        self._access, self._entities = access, entities
        self._page, self._max_lines = page, max_lines

    def read(self, scope: Scope, timeout: float) -> Logs:
        """The lines of the scope's nodes; above `max_lines` a systematic sample, which the answer's gaps say.

        Trace and span ids come from labels or structured metadata, else from the line itself."""
        with self._access.session("logs", timeout) as session:
            selectors = self._selectors(session, scope)
            counts = {selector: self._count(session, selector, scope) for selector in selectors}
            total = sum(counts.values())
            share = min(1.0, self._max_lines / total) if total else 1.0
            rows: list[reading.LogRow] = []
            cut = 0
            first, last = reading.window(scope)
            for start, end in reading.sample(scope, share):
                for selector, count in counts.items():
                    fetch = partial(self._page_of, session, selector)
                    expected = count * (end - start) / (last - first)
                    found, lost = reading.complete(fetch, start, end, self._page, expected, lambda row: row[0])
                    rows += found
                    cut += lost
        return reading.logs(rows, scope).leaving_out(reading.log_gaps(total, share, cut, self._page))

    def ping(self, timeout: float) -> str:
        with self._access.session("its version", timeout) as session:
            body = session.ask("GET", self._path("status/buildinfo"), missing=b"{}")
            version = session.decode(body, _Build).version
            session.decode(session.ask("GET", self._path("labels")), _Names)
            return f"Loki API {version or 'of unknown version'} at {self._access.url}"

    # ------------------------------------------------ asking

    def _path(self, endpoint: str) -> str:
        return f"{self._access.url}/loki/api/v1/{endpoint}"

    def _selectors(self, session: Session, scope: Scope) -> list[str]:
        """One stream selector per label that can name a node. They are disjoint: each leaves to the labels before it what
        those name, as `Entities.node` does."""
        start, end = reading.window(scope)
        asked = {"start": str(start), "end": str(end)}
        there = set(session.decode(session.ask("GET", self._path("labels"), params=asked), _Names).data or ())
        labels = [name for name in self._entities.labels["log"] if name in there and _LABEL.fullmatch(name)]
        named = reading.names(scope, self._entities)
        nobody = quote(_either(self._entities.ignore))
        out = []
        for i, label in enumerate(labels):
            tail = "([-:].*)?" if label in self._entities.strip else ""
            value = quote(f"({_either(named)}){tail}" if named else ".+")
            before = "".join(f", {other}=~{nobody}" for other in labels[:i])
            out.append(f"{{{label}=~{value}{before}}}")
        return out

    def _count(self, session: Session, selector: str, scope: Scope) -> int:
        start, end = reading.window(scope)
        if end <= start:
            return 0
        query = f"sum(count_over_time({selector}[{-(-(end - start) // 1_000_000)}ms]))"
        session.what = f"query {query}"
        answer = session.decode(
            session.ask("GET", self._path("query"), params={"query": query, "time": str(end)}), _Counts
        )
        if answer.data.result_type != "vector":
            raise session.garbled(f"a {answer.data.result_type}, no vector")
        try:
            return int(sum(float(one.value[1]) for one in answer.data.result))
        except ValueError as error:
            raise session.garbled(str(error)) from error

    def _page_of(self, session: Session, selector: str, start: int, end: int) -> list[reading.LogRow]:
        session.what = f"query_range {selector}"
        asked = {
            "query": selector,
            "start": str(start),
            "end": str(end),
            "limit": str(self._page),
            "direction": "forward",
        }
        answer = session.decode(session.ask("GET", self._path("query_range"), params=asked), _Lines)
        if answer.data.result_type != "streams":
            raise session.garbled(f"a {answer.data.result_type}, no streams")
        try:
            rows = sorted(row for stream in answer.data.result for row in self._rows(stream))
        except ValueError as error:
            raise session.garbled(str(error)) from error
        if rows and not start <= rows[0][0] <= rows[-1][0] < end:
            raise session.garbled("lines of times that were not asked for")
        return rows

    def _rows(self, stream: _Stream) -> Iterable[reading.LogRow]:
        node = self._entities.node("log", stream.stream)
        trace, span = _first(stream.stream, _TRACE), _first(stream.stream, _SPAN)
        for at, line in stream.values:
            told = ("", "") if trace and span else reading.ids_in(line)
            yield int(at), node, line, trace or told[0], span or told[1]


def _first(labels: dict[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _either(values: Iterable[str]) -> str:
    """A regular expression (RE2) of exactly these values."""
    return "|".join(re.escape(value) for value in sorted(values))


# ---------------------------------------------------------------- the answers


class _Build(msgspec.Struct):
    version: str = ""


class _Names(msgspec.Struct):
    status: str
    data: list[str] | None = None  # Loki leaves it out where it has none


class _Stream(msgspec.Struct, gc=False):
    stream: dict[str, str]
    values: list[tuple[str, str]]


class _LineData(msgspec.Struct, rename="camel"):
    result_type: str
    result: list[_Stream]


class _Lines(msgspec.Struct):
    data: _LineData


class _Count(msgspec.Struct):
    value: tuple[float, str]


class _CountData(msgspec.Struct, rename="camel"):
    result_type: str
    result: list[_Count]


class _Counts(msgspec.Struct):
    data: _CountData
