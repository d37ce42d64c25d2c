"""What every TraceSource must do, over the demo incident, and how the live ones fail when their server does."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from aiops import recording, resources, rules
from aiops.adapters.case import CaseTraces
from aiops.adapters.http import Access
from aiops.adapters.jaeger import Jaeger
from aiops.adapters.tempo import Tempo
from aiops.domain import NS, Call, Scope, Spans, TimeRange, from_ns
from aiops.errors import SourceError, SourceGarbled, SourceRefused, SourceUnreachable
from aiops.ports import TraceSource

from servers import products
from servers.products import Answer, Asked, Raw, Refusal, Web, web

ENTITIES = rules.load(resources.folder("rules")).entities


@pytest.fixture(scope="session")
def recorded(demo_case: Path) -> Spans:
    found = recording.read_spans(recording.open_files(demo_case))
    assert found is not None
    return found


@pytest.fixture(scope="session")
def stated(demo_case: Path) -> tuple[Call, ...]:
    return recording.read_calls(recording.open_files(demo_case))


@pytest.fixture(scope="session")
def scope(demo_case: Path, recorded: Spans) -> Scope:
    at = recording.symptom_of(recording.read_case(recording.open_files(demo_case)), "demo").at
    assert at is not None
    start, end = from_ns(int(recorded.times[0]) // 1000 * 1000), from_ns(int(recorded.times[-1]) + NS)
    return Scope(at, TimeRange(start, at), TimeRange(at, end))


@pytest.fixture(scope="session")
def servers_of(recorded: Spans, stated: tuple[Call, ...]) -> Iterator[dict[str, Web]]:
    links = [(call.caller, call.callee) for call in stated]
    with (
        web(products.tempo(recorded)) as tempo,
        web(products.tempo(recorded, version=2)) as tempo2,
        web(products.jaeger(recorded, links)) as jaeger,
    ):
        yield {"tempo": tempo, "tempo v2": tempo2, "jaeger": jaeger}


def live(kind: str, url: str, **options: int) -> TraceSource:
    access = Access.to(f"{kind}+{url}", kind, "traces source")
    return (Tempo if kind == "tempo" else Jaeger)(access, ENTITIES, **options)


@pytest.fixture(params=["tempo", "jaeger"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["case", "tempo", "tempo v2", "jaeger"])
def source(request: pytest.FixtureRequest, demo_case: Path, servers_of: dict[str, Web]) -> TraceSource:
    if request.param == "case":
        return CaseTraces(demo_case)
    return live(request.param.split()[0], servers_of[request.param].url, max_traces=100_000)


def table(spans: Spans) -> list[tuple[object, ...]]:
    """Rows to the microsecond, which is all that Jaeger keeps; a root has no parent."""
    parents = ["" if parent == "root" else parent for parent in spans.parent_ids]
    columns = [spans.nodes, spans.operations, spans.trace_ids, spans.span_ids, parents, spans.errors]
    return sorted(zip((spans.times // 1000).tolist(), (spans.durations // 1000).tolist(), *columns, strict=True))


def test_reads_what_was_recorded(source: TraceSource, scope: Scope, recorded: Spans):
    found = source.read(scope, 60)
    assert found.gaps == ()
    assert table(found) == table(recorded)
    assert np.array_equal(found.incident, scope.incident.mask(found.times))
    assert (np.diff(found.times) >= 0).all()
    assert found.incident.any()
    assert not found.incident.all()
    assert found.durations.min() >= 0


def test_asking_twice_gives_the_same(source: TraceSource, scope: Scope, recorded: Spans):
    near = dataclasses.replace(scope, nodes=(recorded.nodes[-1],))
    first, second = source.read(near, 60), source.read(near, 60)
    for field in dataclasses.fields(Spans):
        assert np.array_equal(getattr(first, field.name), getattr(second, field.name))


def test_nothing_later_than_the_scope(source: TraceSource, scope: Scope):
    end = scope.at + timedelta(minutes=1)
    found = source.read(dataclasses.replace(scope, incident=TimeRange(scope.at, end)), 60)
    assert len(found)
    assert from_ns(int(found.times[-1])) < end


def test_states_its_dependencies_or_none(source: TraceSource, stated: tuple[Call, ...]):
    found = source.calls(10)
    ends = [(call.caller, call.callee) for call in found]
    assert ends == sorted(ends)
    assert ends in ([], [(call.caller, call.callee) for call in stated])


def test_ping_says_who_answers(source: TraceSource):
    assert source.ping(10)


# ---------------------------------------------------------------- the live ones: reading


def test_jaeger_states_what_called_what(servers_of: dict[str, Web], stated: tuple[Call, ...]):
    found = live("jaeger", servers_of["jaeger"].url).calls(10)
    assert {(c.caller, c.callee, c.source) for c in found} == {(c.caller, c.callee, "traces") for c in stated}


def test_only_traces_that_touch_the_nodes(kind: str, servers_of: dict[str, Web], scope: Scope, recorded: Spans):
    node = recorded.nodes[-1]
    found = live(kind, servers_of[kind].url, max_traces=100_000).read(dataclasses.replace(scope, nodes=(node,)), 60)
    assert set(found.trace_ids) == set(recorded.trace_ids[recorded.nodes == node])
    assert set(found.nodes) > {node}


def test_a_full_search_is_a_sample_of_whole_traces(
    kind: str, servers_of: dict[str, Web], scope: Scope, recorded: Spans
):
    found = live(kind, servers_of[kind].url, max_traces=10).read(scope, 60)
    assert any("searches found more than the" in gap.why for gap in found.gaps)
    assert 0 < len(set(found.trace_ids)) < len(set(recorded.trace_ids))
    for trace in set(found.trace_ids):
        assert (found.trace_ids == trace).sum() == (recorded.trace_ids == trace).sum()


HOSTILE = ['a"b', "a\\b", "a\nb", '" } || { true', "ünï漢字", "a&service=b", "${x}", "(", "a.b", "a/b?c#d"]


def test_names_of_any_kind_are_data(kind: str):
    count = len(HOSTILE)
    times = np.arange(count, dtype=np.int64) * NS + NS
    nodes = np.array(HOSTILE, np.object_)
    traces = np.array([f"{i + 1:032x}" for i in range(count)], np.object_)
    ids, roots = np.array([f"{i + 1:016x}" for i in range(count)], np.object_), np.full(count, "root", np.object_)
    flags = np.zeros(count, np.bool_)
    spans = Spans(times, times * 0 + 5000, nodes, nodes, traces, ids, roots, flags, flags)
    there = Scope(from_ns(5 * NS), TimeRange(from_ns(0), from_ns(5 * NS)), TimeRange(from_ns(5 * NS), from_ns(60 * NS)))
    with web(exact(spans) if kind == "tempo" else products.jaeger(spans, [])) as server:
        for name in HOSTILE:
            found = live(kind, server.url).read(dataclasses.replace(there, nodes=(name,)), 20)
            assert list(found.nodes) == [name]
            assert list(found.operations) == [name]


def exact(spans: Spans) -> Answer:
    """Tempo, with the literals of the query read as Go reads them."""
    inner = products.tempo(spans)

    def answer(asked: Asked) -> object:
        if asked.path != "/api/search":
            return inner(asked)
        (name,) = {n for n in HOSTILE if f"resource.service.name = {products.literal(n)} ||" in asked.params["q"]}
        row = HOSTILE.index(name)
        return {"traces": [{"traceID": spans.trace_ids[row]}], "metrics": {}}

    return answer


def test_a_trace_that_tempo_will_not_give_is_a_gap(scope: Scope, recorded: Spans):
    inner, lost = products.tempo(recorded), recorded.trace_ids[0]

    def answer(asked: Asked) -> object:
        if asked.path.endswith(lost.lstrip("0")):
            raise Refusal(422, "trace exceeds max size")
        return inner(asked)

    with web(answer) as server:
        found = live("tempo", server.url, max_traces=100_000).read(scope, 60)
    assert [gap.why for gap in found.gaps] == [f"1 of {len(set(recorded.trace_ids))} traces were found but not given"]
    assert set(found.trace_ids) == set(recorded.trace_ids) - {lost}


def test_of_a_trace_too_large_tempo_gives_a_part_and_that_is_a_gap(scope: Scope, recorded: Spans):
    inner, large = products.tempo(recorded, version=2), recorded.trace_ids[0]

    def answer(asked: Asked) -> object:
        told = inner(asked)
        if asked.path.endswith(large.lstrip("0")):
            return {**told, "status": "PARTIAL", "message": "Trace exceeds maximum size"}
        return told

    with web(answer) as server:
        found = live("tempo", server.url, max_traces=100_000).read(scope, 60)
    (gap,) = found.gaps
    assert gap.why.startswith(f"of 1 of {len(set(recorded.trace_ids))} traces Tempo gave a part")
    assert table(found) == table(recorded)


def test_a_tempo_without_the_second_version_is_asked_for_it_once_at_most(scope: Scope, recorded: Spans):
    asked: list[str] = []
    inner = products.tempo(recorded)

    def answer(one: Asked) -> object:
        asked.append(one.path)
        return inner(one)

    with web(answer) as server:
        source = live("tempo", server.url, max_traces=100_000)
        source.read(scope, 60)
        asked.clear()
        source.read(scope, 60)
    assert not [path for path in asked if path.startswith("/api/v2/")]


@pytest.mark.parametrize("told", [{"trace": 5}, {"trace": {"resourceSpans": [1]}}, [], "no"])
def test_what_is_no_trace_is_garbled(told: object, scope: Scope, recorded: Spans):
    inner = products.tempo(recorded, version=2)
    with (
        web(lambda asked: told if asked.path.startswith("/api/v2/") else inner(asked)) as server,
        pytest.raises(SourceGarbled),
    ):
        live("tempo", server.url).read(scope, 60)


def test_an_empty_trace_is_one_that_is_not_given(scope: Scope, recorded: Spans):
    inner = products.tempo(recorded, version=2)
    with web(lambda asked: {"trace": {}} if asked.path.startswith("/api/v2/") else inner(asked)) as server:
        found = live("tempo", server.url).read(scope, 60)
    assert len(found) == 0
    assert any("were found but not given" in gap.why for gap in found.gaps)


def test_tempo_reads_plain_otlp_too():
    span = {"traceId": "0" * 31 + "a", "spanId": "00000000000000bb", "name": "GET", "status": {"code": 2}}
    span |= {"startTimeUnixNano": 7 * NS, "endTimeUnixNano": 8 * NS, "parentSpanId": ""}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]}

    def answer(asked: Asked) -> object:
        if asked.path == "/api/search":
            return {"traces": [{"traceID": "a"}], "metrics": {}}
        return {"resourceSpans": [{"resource": resource, "instrumentationLibrarySpans": [{"spans": [span]}]}]}

    there = Scope(from_ns(7 * NS), TimeRange(from_ns(0), from_ns(7 * NS)), TimeRange(from_ns(7 * NS), from_ns(9 * NS)))
    with web(answer) as server:
        found = live("tempo", server.url).read(there, 5)
    assert found.span_ids.tolist() == ["00000000000000bb"]
    assert found.errors.tolist() == found.incident.tolist() == [True]
    assert found.durations.tolist() == [NS]


def test_jaeger_knows_failed_spans_and_other_parents():
    def span(name: str, **more: object) -> dict[str, object]:
        fixed = {"traceID": "t", "spanID": name, "operationName": "o", "startTime": 5_000_000, "duration": 1}
        return {**fixed, "processID": "p1", "references": [], "tags": [], **more}

    follows = [{"refType": "FOLLOWS_FROM", "traceID": "t", "spanID": "z"}]
    elsewhere = [
        {"refType": "CHILD_OF", "traceID": "u", "spanID": "y"},
        {"refType": "CHILD_OF", "traceID": "t", "spanID": "x"},
    ]
    spans = [
        span("a", tags=[{"key": "error", "type": "bool", "value": True}], references=follows),
        span("b", tags=[{"key": "otel.status_code", "value": "ERROR"}], references=elsewhere),
        span("c", tags=[{"key": "error", "type": "bool", "value": False}]),
    ]

    def answer(asked: Asked) -> object:
        if asked.path == "/api/services":
            return {"data": ["cart"]}
        return {"data": [{"traceID": "t", "spans": spans, "processes": {"p1": {"serviceName": "cart"}}}]}

    there = Scope(from_ns(5 * NS), TimeRange(from_ns(0), from_ns(5 * NS)), TimeRange(from_ns(5 * NS), from_ns(9 * NS)))
    with web(answer) as server:
        found = live("jaeger", server.url).read(there, 5)
    assert found.span_ids.tolist() == ["a", "b", "c"]
    assert found.errors.tolist() == [True, True, False]
    assert found.parent_ids.tolist() == ["", "x", ""]


MOMENT = Scope(from_ns(5 * NS), TimeRange(from_ns(0), from_ns(5 * NS)), TimeRange(from_ns(5 * NS), from_ns(9 * NS)))

# What a span says of itself, and whether that is a failure. Texts are how Envoy and Zipkin write what others write as numbers.
SAID = [
    ({}, False),
    ({"error": True}, True),
    ({"error": "true"}, True),
    ({"error": "connection reset by peer"}, True),
    ({"error": "false"}, False),
    ({"error": ""}, False),
    ({"http.status_code": 503}, True),
    ({"http.status_code": "500"}, True),
    ({"http.response.status_code": 502}, True),
    ({"http.response.status_code": 404}, False),
    ({"rpc.grpc.status_code": 14}, True),
    ({"rpc.grpc.status_code": 5}, False),
    ({"grpc.status_code": "13"}, True),
    ({"rpc.response.status_code": "UNAVAILABLE"}, True),
    ({"rpc.response.status_code": "NOT_FOUND"}, False),
    ({"http.status_code": "soon", "rpc.grpc.status_code": None}, False),
    ({"otel.status_code": "ERROR"}, True),
    ({"otel.status_code": "OK", "http.status_code": 500}, False),
]


@pytest.mark.parametrize(("tags", "failed"), SAID)
def test_jaeger_knows_a_failed_span_by_what_it_says(tags: dict[str, object], failed: bool):
    told = [{"key": key, "type": "string", "value": value} for key, value in tags.items()]
    span = {"traceID": "t", "spanID": "a", "operationName": "o", "startTime": 5_000_000, "duration": 1}
    trace = {
        "traceID": "t",
        "spans": [{**span, "processID": "p1", "references": [], "tags": told}],
        "processes": {"p1": {"serviceName": "cart"}},
    }
    with web(lambda asked: {"data": ["cart"] if asked.path == "/api/services" else [trace]}) as server:
        found = live("jaeger", server.url).read(MOMENT, 5)
    assert found.errors.tolist() == [failed]


@pytest.mark.parametrize(("tags", "failed"), SAID)
def test_tempo_knows_a_failed_span_by_what_it_says(tags: dict[str, object], failed: bool):
    def value(of: object) -> dict[str, object]:
        if isinstance(of, bool):
            return {"boolValue": of}
        if isinstance(of, int):
            return {"intValue": str(of)}
        return {} if of is None else {"stringValue": of}

    stated = tags.get("otel.status_code")
    span = {
        "traceId": "0" * 31 + "a",
        "spanId": "00000000000000bb",
        "status": {"code": f"STATUS_CODE_{stated}"} if stated else {},
        "startTimeUnixNano": str(5 * NS),
        "endTimeUnixNano": str(6 * NS),
        "attributes": [{"key": k, "value": value(v)} for k, v in tags.items() if k != "otel.status_code"],
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]}
    trace = {"batches": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    with web(lambda asked: {"traces": [{"traceID": "a"}]} if asked.path == "/api/search" else trace) as server:
        found = live("tempo", server.url).read(MOMENT, 5)
    assert found.errors.tolist() == [failed]


# ---------------------------------------------------------------- the live ones: failing

AT = datetime(2022, 8, 22, 4, 0, tzinfo=UTC)
SHORT = Scope(AT, TimeRange(AT - timedelta(minutes=5), AT), TimeRange(AT, AT + timedelta(minutes=5)))
ASKS = {
    "read": lambda source: source.read(SHORT, 5),
    "calls": lambda source: source.calls(5),
    "ping": lambda source: source.ping(5),
}


def says(status: int, body: bytes) -> Raw:
    def answer(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


FAILING = [("tempo", "read"), ("tempo", "ping"), ("jaeger", "read"), ("jaeger", "calls"), ("jaeger", "ping")]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, SourceRefused),
        (401, SourceRefused),
        (404, SourceRefused),
        (429, SourceUnreachable),
        (503, SourceUnreachable),
    ],
)
@pytest.mark.parametrize(("kind", "ask"), FAILING)
def test_http_errors_say_status_and_body(kind: str, ask: str, status: int, error: type[SourceError]):
    with (
        web(raw=says(status, b"its own\n\x1b[31mwords")) as server,
        pytest.raises(error, match=rf"HTTP {status} its own \?\[31mwords") as caught,
    ):
        ASKS[ask](live(kind, server.url))
    assert server.url in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\x00", b"[]", b"null", b"{}", b'{"data": 3, "traces": 3}'])
@pytest.mark.parametrize(("kind", "ask"), [f for f in FAILING if f != ("tempo", "ping")])
def test_garbage_is_called_garbage(kind: str, ask: str, body: bytes):
    with web(raw=says(200, body)) as server, pytest.raises(SourceGarbled, match=r"127\.0\.0\.1"):
        ASKS[ask](live(kind, server.url))


@pytest.mark.parametrize(
    "trace",
    [
        {},
        {"batches": 3},
        {"batches": [{"scopeSpans": [{"spans": [{}]}]}]},
        {
            "batches": [
                {
                    "scopeSpans": [
                        {"spans": [{"traceId": "??", "spanId": "", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}]}
                    ]
                }
            ]
        },
        {
            "batches": [
                {
                    "scopeSpans": [
                        {"spans": [{"traceId": "", "spanId": "", "startTimeUnixNano": "x", "endTimeUnixNano": "2"}]}
                    ]
                }
            ]
        },
    ],
)
def test_a_garbled_trace_of_tempo(trace: object):
    def answer(asked: Asked) -> object:
        return {"traces": [{"traceID": "a"}], "metrics": {}} if asked.path == "/api/search" else trace

    with web(answer) as server, pytest.raises(SourceGarbled):
        live("tempo", server.url).read(SHORT, 5)


def test_an_id_of_tempo_is_no_path():
    with web(lambda _: {"traces": [{"traceID": "../../admin"}]}) as server:
        with pytest.raises(SourceGarbled):
            live("tempo", server.url).read(SHORT, 5)
        assert {asked.path for asked in server.asked} == {"/api/search"}


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"traceID": "t", "spans": [{}], "processes": {}}]},
        {"data": None, "errors": [{"code": 500, "msg": "no storage"}]},
        {
            "data": [
                {
                    "traceID": "t",
                    "processes": {},
                    "spans": [
                        {
                            "traceID": "t",
                            "spanID": "s",
                            "operationName": "o",
                            "startTime": 1,
                            "duration": 1,
                            "processID": "p1",
                        }
                    ],
                }
            ]
        },
    ],
)
def test_garbled_traces_of_jaeger(answer: object):
    with (
        web(lambda asked: {"data": ["cart"]} if asked.path == "/api/services" else answer) as server,
        pytest.raises(SourceGarbled),
    ):
        live("jaeger", server.url).read(SHORT, 5)


def test_slow_is_unreachable_once_the_time_is_up(kind: str):
    def silent(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        time.sleep(1.5)

    with web(raw=silent) as server, pytest.raises(SourceUnreachable, match=r"within 0\.5 s"):
        live(kind, server.url).read(SHORT, 0.5)


def test_down_is_unreachable_and_retryable(kind: str):
    with web() as server:
        gone = server.url
    with pytest.raises(SourceUnreachable, match="refused") as caught:
        live(kind, gone).read(SHORT, 5)
    assert caught.value.retryable


def test_secrets_are_sent_but_never_shown(kind: str):
    def echo(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        says(403, str(handler.headers).encode())(handler, asked)

    with web(raw=echo) as server:
        access = Access(server.url, "s3cret")
        with pytest.raises(SourceRefused) as caught:
            (Tempo if kind == "tempo" else Jaeger)(access, ENTITIES).read(SHORT, 5)
    assert server.asked[0].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value)


def test_nobody_known_is_nothing_read():
    with web(lambda _: {"data": ["cart"]}) as server:
        assert len(live("jaeger", server.url).read(dataclasses.replace(SHORT, nodes=("pay",)), 5)) == 0
