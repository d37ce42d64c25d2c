"""`jaeger+http(s)://HOST/PREFIX`: traces and dependencies from Jaeger, and from what speaks its query API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec

from aiops.adapters import reading
from aiops.adapters.http import Access, Session
from aiops.domain import Call, Gap, Scope, Spans
from aiops.rules import Entities

MAX_TRACES = 500  # per phase, about: each service has its share
LEAST = 5  # traces of one service in one slice
LOOK_BACK = timedelta(days=1)  # dependencies of this time are what "there is"


class Jaeger:
    """A TraceSource. A span's node comes from its process: its service, or the tags that rules/entities.yaml names."""

    def __init__(self, access: Access, entities: Entities, *, max_traces: int = MAX_TRACES) -> None:
        self._access, self._entities, self._max_traces = access, entities, max_traces

    def read(self, scope: Scope, timeout: float) -> Spans:
        """The traces that touch the scope's nodes, whole, about `max_traces` a phase, evenly over it and over the services.

        Which traces a full search leaves out is Jaeger's choice; that it was full is said as a gap."""
        with self._access.session("services", timeout) as session:
            services = [s for s in self._services(session) if reading.wanted(self._node(s, {}), scope)]
        if not services:
            return Spans.empty()
        windows = list(reading.parts(scope, reading.TRACE_SLICES))
        limit = max(LEAST, self._max_traces // (reading.TRACE_SLICES * len(services)))
        searches: list[Callable[[Session], list[_Trace]]] = [
            partial(self._search, service, start, end, limit) for service in services for start, end in windows
        ]
        found = self._access.each("traces", timeout, searches)
        whole = {trace.trace_id: trace for traces in found for trace in traces}
        rows = [row for trace in whole.values() for row in self._rows(trace)]
        full = sum(len(traces) >= limit for traces in found)
        return reading.spans(rows, scope).leaving_out(_gaps(full, len(found), limit))

    def calls(self, timeout: float) -> tuple[Call, ...]:
        """Who called whom in the last day, as Jaeger computed it."""
        with self._access.session("dependencies", timeout) as session:
            asked = {"endTs": str(time.time_ns() // 10**6), "lookback": str(int(LOOK_BACK.total_seconds() * 1000))}
            links = session.decode(session.ask("GET", self._path("dependencies"), params=asked), _Links).data or []
        ends = {(self._node(link.parent, {}), self._node(link.child, {})) for link in links}
        return tuple(Call(a, b, "traces") for a, b in sorted(ends) if a and b)

    def ping(self, timeout: float) -> str:
        with self._access.session("services", timeout) as session:
            return f"Jaeger query API with {len(self._services(session))} services at {self._access.url}"

    # ------------------------------------------------ asking

    def _path(self, endpoint: str) -> str:
        return f"{self._access.url}/api/{endpoint}"

    def _services(self, session: Session) -> list[str]:
        return sorted(session.decode(session.ask("GET", self._path("services")), _Services).data or [])

    def _search(self, service: str, start: int, end: int, limit: int, session: Session) -> list[_Trace]:
        session.what = f"traces of {service}"
        asked = {
            "service": service,
            "start": str(start // 1000),
            "end": str(-(-end // 1000)),
            "limit": str(limit),
        }
        answer = session.decode(session.ask("GET", self._path("traces"), params=asked), _Traces)
        if answer.errors:
            raise session.garbled("; ".join(error.msg for error in answer.errors))
        traces = answer.data or []
        for trace in traces:
            unknown = {span.process_id for span in trace.spans} - set(trace.processes)
            if unknown:
                raise session.garbled(f"trace {trace.trace_id} has no process {min(unknown)!r}")
        return traces

    def _node(self, service: str, tags: dict[str, str]) -> str:
        return self._entities.node("span", tags | {"service.name": service})

    def _rows(self, trace: _Trace) -> Iterator[reading.SpanRow]:
        nodes = {
            name: self._node(one.service_name, {t.key: t.value for t in one.tags if isinstance(t.value, str)})
            for name, one in trace.processes.items()
        }
        for span in trace.spans:
            parents = [r.span_id for r in span.references if r.trace_id == span.trace_id and r.ref_type == "CHILD_OF"]
            yield (
                span.start_time * 1000,
                nodes[span.process_id],
                span.operation_name,
                span.trace_id,
                span.span_id,
                parents[0] if parents else "",
                span.duration * 1000,
                reading.failed((tag.key, tag.value) for tag in span.tags),
            )


def _gaps(full: int, searches: int, limit: int) -> tuple[Gap, ...]:
    if not full:
        return ()
    why = f"{full} of {searches} searches found more than the {limit} traces that are read of each"
    return (Gap("traces", why, "name the symptom's service, or a shorter time"),)


# ---------------------------------------------------------------- the answers


class _Tag(msgspec.Struct):
    key: str
    value: Any = None


class _Reference(msgspec.Struct):
    ref_type: str = msgspec.field(name="refType")
    trace_id: str = msgspec.field(name="traceID")
    span_id: str = msgspec.field(name="spanID")


class _Span(msgspec.Struct):
    trace_id: str = msgspec.field(name="traceID")
    span_id: str = msgspec.field(name="spanID")
    operation_name: str = msgspec.field(name="operationName")
    start_time: int = msgspec.field(name="startTime")  # us
    duration: int  # us
    process_id: str = msgspec.field(name="processID")
    references: list[_Reference] = []
    tags: list[_Tag] = []


class _Process(msgspec.Struct):
    service_name: str = msgspec.field(name="serviceName")
    tags: list[_Tag] = []


class _Trace(msgspec.Struct):
    trace_id: str = msgspec.field(name="traceID")
    spans: list[_Span]
    processes: dict[str, _Process]


class _Error(msgspec.Struct):
    msg: str = ""


class _Traces(msgspec.Struct):
    data: list[_Trace] | None
    errors: list[_Error] | None = None


class _Services(msgspec.Struct):
    data: list[str] | None


class _Link(msgspec.Struct):
    parent: str
    child: str


class _Links(msgspec.Struct):
    data: list[_Link] | None
