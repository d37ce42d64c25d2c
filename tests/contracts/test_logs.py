"""What every LogSource must do, over the demo incident, and how the live ones fail when their server does."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import requests

from aiops import recording, resources, rules
from aiops.adapters import reading
from aiops.adapters.case import CaseLogs
from aiops.adapters.elastic import Elastic
from aiops.adapters.http import Access
from aiops.adapters.loki import Loki
from aiops.domain import NS, Logs, Scope, TimeRange, from_ns
from aiops.errors import ConfigError, SourceError, SourceGarbled, SourceRefused, SourceUnreachable
from aiops.ports import LogSource

import servers
from conftest import needed
from servers import products
from servers.products import Asked, Raw, Web, web

ENTITIES = rules.load(resources.folder("rules")).entities
Open = Callable[..., LogSource]


@pytest.fixture(scope="session")
def recorded(demo_case: Path) -> Logs:
    found = recording.read_logs(recording.open_files(demo_case))
    assert found is not None
    return found


@pytest.fixture(scope="session")
def scope(demo_case: Path, recorded: Logs) -> Scope:
    at = recording.symptom_of(recording.read_case(recording.open_files(demo_case)), "demo").at
    assert at is not None
    start, end = from_ns(int(recorded.times[0]) // 1000 * 1000), from_ns(int(recorded.times[-1]) + NS)
    return Scope(at, TimeRange(start, at), TimeRange(at, end))


@pytest.fixture(scope="session")
def servers_of(recorded: Logs) -> Iterator[dict[str, Web]]:
    with web(products.loki(recorded)) as loki, web(products.elastic(recorded)) as elastic:
        yield {"loki": loki, "elastic": elastic}


def live(kind: str, url: str, **options: object) -> LogSource:
    if kind == "loki":
        return Loki(Access.to(f"loki+{url}", "loki", "logs source"), ENTITIES, **options)
    return Elastic(Access.to(f"elastic+{url}/app-logs", "elastic", "logs source"), ENTITIES, **options)


@pytest.fixture(scope="session")
def opensearch(recorded: Logs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server that holds what was recorded, in `app-logs`."""
    with needed(), servers.opensearch(tmp_path_factory.mktemp("opensearch")) as server:
        _put(server.url, "app-logs", "date_nanos", recorded)
        yield server.url


def _put(url: str, index: str, time_type: str, logs: Logs) -> None:
    """Documents as a shipper of the Elastic Common Schema writes them; only the time is mapped, the rest as it comes."""
    with requests.Session() as http:
        http.trust_env = False
        mapped = {"settings": {"number_of_shards": 2}, "mappings": {"properties": {"@timestamp": {"type": time_type}}}}
        http.put(f"{url}/{index}", json=mapped, timeout=60).raise_for_status()
        lines = []
        for at, node, message, trace, span in zip(
            logs.times.tolist(), logs.nodes, logs.messages, logs.trace_ids, logs.span_ids, strict=True
        ):
            told = {"@timestamp": reading.when(at), "message": message, "service": {"name": node}}
            told |= ({"trace": {"id": trace}} if trace else {}) | ({"span": {"id": span}} if span else {})
            lines.append(f'{{"index": {{}}}}\n{json.dumps(told)}\n')
        body, head = "".join(lines).encode(), {"Content-Type": "application/x-ndjson"}
        answer = http.post(f"{url}/{index}/_bulk?refresh=true", data=body, headers=head, timeout=120)
        answer.raise_for_status()
        assert not answer.json()["errors"]


@pytest.fixture(params=["loki", "elastic"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["case", "loki", "elastic", "opensearch"])
def source(request: pytest.FixtureRequest, demo_case: Path, servers_of: dict[str, Web]) -> LogSource:
    if request.param == "case":
        return CaseLogs(demo_case)
    if request.param == "opensearch":
        return live("elastic", request.getfixturevalue("opensearch"))
    return live(request.param, servers_of[request.param].url)


def same(a: Logs, b: Logs) -> bool:
    names = [f.name for f in dataclasses.fields(Logs) if f.name != "gaps"]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_reads_what_was_recorded(source: LogSource, scope: Scope, recorded: Logs):
    found = source.read(scope, 60)
    assert len(found) == len(recorded)
    assert found.gaps == ()
    assert same(found, dataclasses.replace(recorded, incident=scope.incident.mask(recorded.times)))


def test_times_never_fall_and_tell_the_phases_apart(source: LogSource, scope: Scope):
    found = source.read(scope, 60)
    assert (np.diff(found.times) >= 0).all()
    assert found.incident.any()
    assert not found.incident.all()


def test_asking_twice_gives_the_same(source: LogSource, scope: Scope):
    assert same(source.read(scope, 60), source.read(scope, 60))


def test_nothing_later_than_the_scope(source: LogSource, scope: Scope):
    end = scope.at + timedelta(minutes=1)
    found = source.read(dataclasses.replace(scope, incident=TimeRange(scope.at, end)), 60)
    assert len(found) > 0
    assert (scope.incident.mask(found.times) == found.incident).all()
    assert from_ns(int(found.times[-1])) < end


def test_ping_says_who_answers(source: LogSource):
    assert source.ping(10)


# ---------------------------------------------------------------- the live ones: reading


def test_only_the_nodes_that_were_asked_for(kind: str, servers_of: dict[str, Web], scope: Scope, recorded: Logs):
    nodes = tuple(sorted(set(recorded.nodes))[:3])
    found = live(kind, servers_of[kind].url).read(dataclasses.replace(scope, nodes=nodes), 60)
    assert set(found.nodes) == set(nodes)
    assert len(found) == np.isin(recorded.nodes, nodes).sum()


@pytest.mark.parametrize("page", [1000, 137])
def test_pages_lose_and_repeat_nothing(kind: str, servers_of: dict[str, Web], scope: Scope, recorded: Logs, page: int):
    found = live(kind, servers_of[kind].url, page=page).read(scope, 120)
    assert same(found, dataclasses.replace(recorded, incident=scope.incident.mask(recorded.times)))


def crowded(per_moment: int) -> Logs:
    """Three moments with `per_moment` lines each, some of them alike."""
    times = np.repeat(np.array([10, 20, 30], np.int64) * NS, per_moment)
    text = np.empty(len(times), np.object_)
    text[:] = [f"line {i % (per_moment - 1)}" for i in range(len(times))]
    ids, nodes = np.full(len(times), "", np.object_), np.full(len(times), "cart", np.object_)
    return Logs(times, nodes, text, ids, ids, times > 15 * NS)


CROWD = Scope(from_ns(15 * NS), TimeRange(from_ns(0), from_ns(15 * NS)), TimeRange(from_ns(15 * NS), from_ns(60 * NS)))
PRODUCTS = {"loki": products.loki, "elastic": products.elastic}


@pytest.mark.parametrize(("page", "whole"), [(8, True), (7, True), (6, False), (2, False)])
def test_lines_of_one_moment_span_pages(kind: str, page: int, whole: bool):
    logs = crowded(6)
    with web(PRODUCTS[kind](logs)) as server:
        found = live(kind, server.url, page=page).read(CROWD, 20)
    if whole:
        assert sorted(found.messages) == sorted(logs.messages)
        assert found.gaps == ()
    else:
        assert [set(found.messages[found.times == at]) <= set(logs.messages) for at in set(logs.times)]
        assert f"at 3 moments more than {page} lines" in found.gaps[0].why


def test_above_the_cap_an_even_sample_is_read_and_said(
    kind: str, servers_of: dict[str, Web], scope: Scope, recorded: Logs
):
    found = live(kind, servers_of[kind].url, max_lines=len(recorded) // 4).read(scope, 120)
    (gap,) = found.gaps
    assert f"{len(recorded)} lines lie in the window; 25.0%" in gap.why
    before = (~found.incident).sum() / (recorded.times < found.times[found.incident][0]).sum()
    after = found.incident.sum() / scope.incident.mask(recorded.times).sum()
    assert 0.1 < before < 0.4
    assert 0.1 < after < 0.4


def test_a_real_server_pages_samples_and_keeps_to_the_nodes(opensearch: str, scope: Scope, recorded: Logs):
    nodes = tuple(sorted(set(recorded.nodes))[:3])
    found = live("elastic", opensearch, page=500).read(dataclasses.replace(scope, nodes=nodes), 60)
    wanted = np.isin(recorded.nodes, nodes)
    assert list(found.times) == list(recorded.times[wanted])
    assert list(found.messages) == list(recorded.messages[wanted])
    some = live("elastic", opensearch, max_lines=len(recorded) // 4).read(scope, 60)
    assert f"{len(recorded)} lines lie in the window; 25.0%" in some.gaps[0].why
    assert 0.1 < len(some) / len(recorded) < 0.4


def test_a_real_server_with_times_in_milliseconds_and_lines_of_one_moment(opensearch: str):
    logs = crowded(6)
    _put(opensearch, "crowd", "date", logs)
    for page, whole in ((7, True), (5, False)):
        found = Elastic(Access(f"{opensearch}/crowd"), ENTITIES, page=page).read(CROWD, 20)
        assert (sorted(found.messages) == sorted(logs.messages)) is whole
        assert bool(found.gaps) is not whole
    assert len(Elastic(Access(f"{opensearch}/no-such-*"), ENTITIES).read(CROWD, 20)) == 0


HOSTILE = ['a"b', "a\\b", "a\nb", '"} | json #', "ünï漢字", "a|b", "${x}{{y}}", ".*", "(", "a.b"]


def test_names_of_any_kind_are_data(kind: str):
    times = np.arange(len(HOSTILE), dtype=np.int64) * NS
    ids, nodes = np.full(len(times), "", np.object_), np.array(HOSTILE, np.object_)
    with web(PRODUCTS[kind](Logs(times, nodes, nodes, ids, ids, times > 0))) as server:
        for name in HOSTILE:
            found = live(kind, server.url).read(dataclasses.replace(CROWD, nodes=(name,)), 20)
            assert list(found.nodes) == [name]


def test_ids_are_found_in_the_line_too():
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    assert reading.ids_in(f'{{"traceId": "{trace}", "span_id":"{span}"}}') == (trace, span)
    assert reading.ids_in(f"level=info trace_id={trace} msg=ok") == (trace, "")
    assert reading.ids_in("trace id: none") == ("", "")


def test_labels_name_a_node_in_the_order_of_the_rules():
    """A stream whose service is no name is read by its pod, and only once."""

    def answer(asked: Asked) -> object:
        if asked.path.endswith("/labels"):
            return {"status": "success", "data": ["pod", "service", "colour"]}
        if asked.path.endswith("/query"):
            return {"data": {"resultType": "vector", "result": []}}
        streams = {
            '{service=~".+"}': {"service": "cart", "pod": "cart-5d9f8b6c5d-x2x4z"},
            f'{{pod=~".+", service=~"{NOBODY}"}}': {"service": "unknown", "pod": "pay-5d9f8b6c5d-x2x4z"},
        }
        stream = streams[asked.params["query"]]
        return {"data": {"resultType": "streams", "result": [{"stream": stream, "values": [["5", "hello"]]}]}}

    with web(answer) as server:
        found = live("loki", server.url).read(CROWD, 20)
    assert sorted(found.nodes) == ["cart", "pay"]


NOBODY = json.dumps("|".join(sorted(ENTITIES.ignore)).replace("-", "\\-"))[1:-1]


# ---------------------------------------------------------------- the live ones: failing

AT = datetime(2022, 8, 22, 4, 0, tzinfo=UTC)
SHORT = Scope(AT, TimeRange(AT - timedelta(minutes=5), AT), TimeRange(AT, AT + timedelta(minutes=5)))


def says(status: int, body: bytes, **headers: str) -> Raw:
    def answer(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


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
@pytest.mark.parametrize("ask", ["read", "ping"])
def test_http_errors_say_status_and_body(kind: str, status: int, error: type[SourceError], ask: str):
    with web(raw=says(status, b"its own\n\x1b[31mwords")) as server:
        source = live(kind, server.url)
        with pytest.raises(error, match=rf"HTTP {status} its own \?\[31mwords") as caught:
            source.read(SHORT, 5) if ask == "read" else source.ping(5)
    assert server.url in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\x00", b"[]", b"null", b"{}", b'{"data": 3, "count": "x"}'])
@pytest.mark.parametrize("ask", ["read", "ping"])
def test_garbage_is_called_garbage(kind: str, body: bytes, ask: str):
    with web(raw=says(200, body)) as server:
        source = live(kind, server.url)
        with pytest.raises(SourceGarbled, match=r"127\.0\.0\.1"):
            source.read(SHORT, 5) if ask == "read" else source.ping(5)


def garbled_lines(result: object) -> products.Answer:
    def answer(asked: Asked) -> object:
        if asked.path.endswith("/labels"):
            return {"status": "success", "data": ["service_name"]}
        if asked.path.endswith("/query"):
            return {"data": {"resultType": "vector", "result": []}}
        return result

    return answer


@pytest.mark.parametrize(
    "result",
    [
        {"data": {"resultType": "matrix", "result": []}},
        {"data": {"resultType": "streams", "result": [{"stream": {}, "values": [["soon", "x"]]}]}},
        {"data": {"resultType": "streams", "result": [{"stream": {}, "values": [["5", "x"]]}]}},
        {"data": {"resultType": "streams", "result": [{"stream": {"a": 1}, "values": []}]}},
    ],
)
def test_garbled_lines_of_loki(result: object):
    with web(garbled_lines(result)) as server, pytest.raises(SourceGarbled):
        live("loki", server.url).read(SHORT, 5)


@pytest.mark.parametrize(
    "more",
    [
        {"timed_out": True},
        {"_shards": {"total": 3, "failed": 2}},
        {"hits": {"hits": [{"_id": "a", "_index": "i", "sort": [1]}]}},
        {"hits": {"hits": [{"_id": "a", "_index": "i", "sort": []}]}},
    ],
)
def test_half_an_answer_of_elastic_is_none(more: dict[str, object]):
    def answer(asked: Asked) -> object:
        return {"count": 1} if asked.path.endswith("_count") else {"timed_out": False, "hits": {"hits": []}, **more}

    with web(answer) as server, pytest.raises(SourceGarbled):
        live("elastic", server.url).read(SHORT, 5)


def test_slow_is_unreachable_once_the_time_is_up(kind: str):
    def drip(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        try:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            for _ in range(30):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass  # the other side has hung up, as it should

    with web(raw=drip) as server, pytest.raises(SourceUnreachable, match=r"within 0\.5 s"):
        live(kind, server.url).read(SHORT, 0.5)


def test_down_is_unreachable_and_retryable(kind: str):
    with web() as server:
        gone = server.url
    with pytest.raises(SourceUnreachable, match="refused") as caught:
        live(kind, gone).read(SHORT, 5)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("token", "sent"), [("s3cret", "Bearer s3cret"), ("ApiKey s3cret", "ApiKey s3cret"), ("", "Basic bWU6czNjcmV0")]
)
def test_secrets_are_sent_but_never_shown(kind: str, token: str, sent: str):
    def echo(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        says(403, str(handler.headers).encode())(handler, asked)

    with web(raw=echo) as server:
        access = Access(server.url, token, "" if token else "me", "" if token else "s3cret", tenant="team-a")
        source = Loki(access, ENTITIES) if kind == "loki" else Elastic(access, ENTITIES)
        with pytest.raises(SourceRefused) as caught:
            source.read(SHORT, 5)
    assert server.asked[0].headers["Authorization"] == sent
    assert server.asked[0].headers["X-Scope-OrgID"] == "team-a"
    assert "s3cret" not in str(caught.value)
    assert "bWU6czNjcmV0" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["loki+http://me:s3cret@host:1", "loki+ftp://host", "loki+http://", "loki+http://h?x=s3cret"]
)
def test_a_wrong_address_is_refused_without_its_secret(url: str):
    with pytest.raises(ConfigError) as caught:
        Access.to(url, "loki", "logs source")
    assert "s3cret" not in str(caught.value)


def test_elastic_reads_the_usual_indices_unless_one_is_named():
    with web(garbled_lines({})) as server:
        source = Elastic(Access(server.url), ENTITIES)
        with pytest.raises(SourceGarbled):
            source.read(SHORT, 5)
        assert server.asked[-1].path.startswith("/logs-*,filebeat-*")
        with pytest.raises(SourceGarbled):
            Elastic(Access(f"{server.url}/es/my-logs-*"), ENTITIES).read(SHORT, 5)
    assert server.asked[-1].path == "/es/my-logs-*/_count"
