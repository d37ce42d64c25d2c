"""`tempo+http(s)://HOST/PREFIX`: traces from Grafana Tempo, found by TraceQL and read whole by their id."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from aiops.adapters import reading
from aiops.adapters.http import Access, Session
from aiops.domain import Call, Gap, Scope, Spans, quote
from aiops.errors import SourceRefused
from aiops.rules import Entities

MAX_TRACES = 500  # per phase


class Tempo:
    """A TraceSource. `labels` of rules/entities.yaml say which resource attributes name a node; `access` opens the door."""

    def __init__(self, access: Access, entities: Entities, *, max_traces: int = MAX_TRACES) -> None:
        self._access, self._entities = access, entities
        self._each = max(1, max_traces // reading.TRACE_SLICES)
        self._first_version = False  # known once a Tempo without the second version of its API has answered

    def read(self, scope: Scope, timeout: float) -> Spans:
        """The traces that touch the scope's nodes, whole, at most `max_traces` a phase, evenly over it.

        Which traces a full search leaves out is Tempo's choice; that it was full is said as a gap."""
        windows = list(reading.parts(scope, reading.TRACE_SLICES))
        searches = [partial(self._search, self._query(scope), start, end) for start, end in windows]
        found = self._access.each("traces", timeout, searches)
        ids = sorted({trace for one in found for trace in one})
        fetches: list[Callable[[Session], _Trace | None]] = [partial(self._trace, trace) for trace in ids]
        traces = self._access.each("traces", timeout, fetches)
        rows = [row for trace in traces if trace is not None for row in self._rows(trace.by_resource)]
        return reading.spans(rows, scope).leaving_out(self._gaps(found, traces))

    def calls(self, timeout: float) -> tuple[Call, ...]:  # noqa: ARG002 - the port's signature
        """None: Tempo states dependencies as metrics (`traces_service_graph_request_total`), in the metrics source."""
        return ()

    def ping(self, timeout: float) -> str:
        with self._access.session("its version", timeout) as session:
            body = session.ask("GET", f"{self._access.url}/api/status/buildinfo", missing=b"{}")
            version = session.decode(body, _Build).version
            session.ask("GET", f"{self._access.url}/api/echo")
            return f"Tempo {version or 'of unknown version'} at {self._access.url}"

    # ------------------------------------------------ asking

    def _query(self, scope: Scope) -> str:
        named = reading.names(scope, self._entities)
        attributes = self._entities.labels["span"]
        return f"{{ {' || '.join(f'resource.{a} = {quote(n)}' for a in attributes for n in named)} }}"

    def _search(self, query: str, start: int, end: int, session: Session) -> list[str]:
        """Trace ids. Tempo takes whole seconds: what the window touches is found, and cut to the scope later."""
        session.what = f"search {query[:200]}"
        asked = {
            "q": query,
            "start": str(start // 10**9),
            "end": str(-(-end // 10**9)),
            "limit": str(self._each),
            "spss": "1",
        }
        answer = session.decode(session.ask("GET", f"{self._access.url}/api/search", params=asked), _Found)
        if answer.traces is None and answer.metrics is None:
            raise session.garbled("neither traces nor metrics")
        ids = [trace.trace_id for trace in answer.traces or ()]
        if not all(trace.isalnum() for trace in ids):
            raise session.garbled("trace ids that are none")
        return ids

    def _trace(self, trace: str, session: Session) -> _Trace | None:
        """Its spans by resource; None where Tempo found it but will not give it (gone since, or too large)."""
        session.what = f"trace {trace}"
        try:
            answer = self._by_id(trace, session)
        except SourceRefused as error:
            if error.came_back.startswith(("HTTP 401", "HTTP 403")):
                raise
            return None
        try:
            for _ in self._rows(answer.by_resource if answer else ()):
                pass
        except ValueError as error:
            raise session.garbled(str(error)) from error
        return answer

    def _by_id(self, trace: str, session: Session) -> _Trace | None:
        """By the second version of the API, which gives what it can of a trace too large and says so; by the first where
        a server doesn't know it."""
        if not self._first_version:
            body = session.ask("GET", f"{self._access.url}/api/v2/traces/{trace}", missing=b"{}")
            told = session.decode(body, _Told)
            if told.trace is not None:
                told.trace.partial = told.status in ("PARTIAL", 1)
                return told.trace if told.trace.by_resource else None
        answer = session.decode(session.ask("GET", f"{self._access.url}/api/traces/{trace}"), _Trace)
        if answer.batches is None and answer.resource_spans is None:
            raise session.garbled("no spans by resource")
        self._first_version = True
        return answer

    def _rows(self, batches: Iterable[_Batch]) -> Iterator[reading.SpanRow]:
        for batch in batches:
            texts = ((one.key, one.value.get("stringValue")) for one in batch.resource.attributes)
            node = self._entities.node("span", {key: text for key, text in texts if isinstance(text, str)})
            for scope in (*batch.scope_spans, *batch.instrumentation_library_spans):
                for span in scope.spans:
                    start = int(span.start_time_unix_nano)
                    yield (
                        start,
                        node,
                        span.name,
                        _hex(span.trace_id),
                        _hex(span.span_id),
                        _hex(span.parent_span_id),
                        max(0, int(span.end_time_unix_nano) - start),
                        reading.failed(((one.key, _plain(one.value)) for one in span.attributes), span.status.code),
                    )

    def _gaps(self, found: list[list[str]], traces: list[_Trace | None]) -> tuple[Gap, ...]:
        full, lost = sum(len(ids) >= self._each for ids in found), sum(trace is None for trace in traces)
        cut = sum(trace is not None and trace.partial for trace in traces)
        gaps = []
        if full:
            why = f"{full} of {len(found)} searches found more than the {self._each} traces that are read of each"
            gaps.append(Gap("traces", why, "name the symptom's service, or a shorter time"))
        if lost:
            gaps.append(
                Gap("traces", f"{lost} of {len(traces)} traces were found but not given", "look at Tempo's limits")
            )
        if cut:
            why = f"of {cut} of {len(traces)} traces Tempo gave a part, for they are larger than it gives"
            gaps.append(Gap("traces", why, "raise Tempo's max_bytes_per_trace"))
        return tuple(gaps)


def _plain(value: dict[str, Any]) -> Any:
    """What an OTLP value holds: one of `stringValue`, `intValue` (as text), `boolValue` and more."""
    return next(iter(value.values()), None)


def _hex(identity: str) -> str:
    """An id in hexadecimal: Tempo writes bytes as base64, other servers of its API as OTLP does. ValueError for neither."""
    if len(identity) in (0, 16, 32):
        return identity.lower()
    try:
        return base64.b64decode(identity, validate=True).hex()
    except binascii.Error as error:
        raise ValueError(f"{identity!r} is no id: {error}") from error


# ---------------------------------------------------------------- the answers


class _Build(msgspec.Struct):
    version: str = ""


class _Hit(msgspec.Struct):
    trace_id: str = msgspec.field(name="traceID")


class _Found(msgspec.Struct):
    traces: list[_Hit] | None = None  # left out where there are none
    metrics: dict[str, Any] | None = None


class _Attribute(msgspec.Struct):
    key: str
    value: dict[str, Any] = {}


class _Resource(msgspec.Struct):
    attributes: list[_Attribute] = []


class _Status(msgspec.Struct):
    code: str | int = 0


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str
    span_id: str
    start_time_unix_nano: str | int
    end_time_unix_nano: str | int
    parent_span_id: str = ""
    name: str = ""
    status: _Status = msgspec.field(default_factory=_Status)
    attributes: list[_Attribute] = []


class _Scope(msgspec.Struct):
    spans: list[_Span] = []


class _Batch(msgspec.Struct, rename="camel"):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scope_spans: list[_Scope] = []
    instrumentation_library_spans: list[_Scope] = []  # before OTLP 0.15


class _Trace(msgspec.Struct, rename="camel"):
    batches: list[_Batch] | None = None  # Tempo's name
    resource_spans: list[_Batch] | None = None  # OTLP's
    partial: bool = False  # not told here, but beside it

    @property
    def by_resource(self) -> list[_Batch]:
        return self.batches or self.resource_spans or []


class _Told(msgspec.Struct):
    trace: _Trace | None = None
    status: str | int = ""  # "COMPLETE", which is mostly left out, or "PARTIAL"
