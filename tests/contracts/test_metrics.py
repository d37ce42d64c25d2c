"""What every MetricsSource must do, and how `prometheus+http://` fails when its server does."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest

from aiops import recording
from aiops.adapters.case import CaseMetrics
from aiops.adapters.http import Access
from aiops.adapters.prometheus import MAX_POINTS, Prometheus
from aiops.domain import NS, Panel, Query, Samples, Scope, TimeRange, from_ns, quote, series_key
from aiops.errors import ConfigError, SourceError, SourceGarbled, SourceRefused, SourceUnreachable
from aiops.kernels.wire.labels import encode
from aiops.kernels.wire.protobuf import field, integer, varint
from aiops.kernels.wire.remote_read import crc32c
from aiops.kernels.wire.snappy import compress
from aiops.ports import MetricsSource

import servers
from conftest import needed
from servers.backfill import openmetrics
from servers.listening import listening


@pytest.fixture(scope="session")
def recorded(demo_case: Path) -> Panel:
    return recording.read_metrics(recording.open_files(demo_case))[0]


@pytest.fixture(scope="session")
def scope(demo_case: Path, recorded: Panel) -> Scope:
    at = recording.symptom_of(recording.read_case(recording.open_files(demo_case)), "demo").at
    assert at is not None
    start, end = from_ns(int(recorded.times[0])), from_ns(int(recorded.times[-1]) + NS)
    return Scope(at, TimeRange(start, at), TimeRange(at, end))


@pytest.fixture(params=["case", "prometheus", "victoria_metrics"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def source(kind: str, request: pytest.FixtureRequest, demo_case: Path) -> MetricsSource:
    return CaseMetrics(demo_case) if kind == "case" else Prometheus(request.getfixturevalue(kind).url)


@pytest.fixture
def lost(kind: str) -> float:
    """The relative error with which a server keeps values: VictoriaMetrics keeps decimals, of 12 digits where they vary."""
    return 1e-11 if kind == "victoria_metrics" else 0.0


def test_reads_what_was_recorded(source: MetricsSource, scope: Scope, recorded: Panel, lost: float):
    panel = source.read(scope, 30)
    seen = ~np.isnan(recorded.values).all(axis=1)
    wanted = {
        series_key(labels): row for labels, row, has in zip(recorded.labels, recorded.values, seen, strict=True) if has
    }
    got = {series_key(labels): row for labels, row in zip(panel.labels, panel.values, strict=True)}
    assert np.array_equal(panel.times, recorded.times)
    assert wanted.keys() <= got.keys()
    for key, row in wanted.items():
        np.testing.assert_allclose(got[key], row, rtol=lost, atol=0, err_msg=key)


def test_splits_baseline_from_incident_at_the_symptom(source: MetricsSource, scope: Scope):
    panel = source.read(scope, 30)
    assert panel.incident.any()
    assert (~panel.incident).any()
    assert np.array_equal(panel.incident, scope.incident.mask(panel.times))


def test_series_are_sorted_and_times_increase(source: MetricsSource, scope: Scope):
    panel = source.read(scope, 30)
    keys = [series_key(labels) for labels in panel.labels]
    assert keys == sorted(set(keys))
    assert (np.diff(panel.times) > 0).all()
    assert panel.nodes == ("",) * len(keys)


def test_asking_twice_gives_the_same(source: MetricsSource, scope: Scope):
    first, second = source.read(scope, 30), source.read(scope, 30)
    assert np.array_equal(first.values, second.values, equal_nan=True)
    assert first.labels == second.labels


def test_nothing_is_read_outside_the_scope(source: MetricsSource, scope: Scope):
    start, end = scope.at - timedelta(minutes=5), scope.at + timedelta(minutes=2)
    short = dataclasses.replace(scope, baseline=TimeRange(start, scope.at), incident=TimeRange(scope.at, end))
    panel = source.read(short, 30)
    assert len(panel.times)
    assert TimeRange(start, end).mask(panel.times).all()


def test_an_empty_time_is_an_empty_panel(source: MetricsSource, scope: Scope):
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    nothing = TimeRange(long_ago, long_ago)
    if source.window() is None:
        assert source.read(dataclasses.replace(scope, at=long_ago, baseline=nothing, incident=nothing), 30).labels == ()


def test_catalog_names_every_series(source: MetricsSource, recorded: Panel):
    names = {series_key(labels) for labels in source.catalog(30)}
    assert names == {series_key(labels) for labels in recorded.labels}


def test_the_values_of_a_label(source: MetricsSource, scope: Scope, recorded: Panel) -> None:
    name = recorded.labels[0]["__name__"]
    window = TimeRange(scope.baseline.start, scope.incident.end)
    everywhere = {labels["service"] for labels in recorded.labels}
    some = {labels["service"] for labels in recorded.labels if labels["__name__"] == name}
    assert set(source.label_values("service", '{__name__!=""}', window, 30)) == everywhere
    found = source.label_values("service", f"{{__name__={quote(name)}}}", window, 30)
    assert list(found) == sorted(some)
    assert source.label_values("no_such_label", '{__name__!=""}', window, 30) == ()


def test_catalog_of_some_metrics(source: MetricsSource, recorded: Panel):
    name = recorded.metrics[0]
    found = {series_key(labels) for labels in source.catalog(30, f"{re.escape(name)}|nothing")}
    assert found == {series_key(labels) for labels in recorded.labels if labels["__name__"] == name}
    assert source.catalog(30, "nothing|at_all") == ()


def whole(scope: Scope) -> TimeRange:
    return TimeRange(scope.baseline.start, scope.incident.end)


def finite(samples: Samples) -> dict[bytes, tuple[list[int], list[float]]]:
    """Times and values by series, without what is no number: a recording has no stale markers."""
    told = {}
    for k, key in enumerate(samples.keys):
        rows = slice(samples.starts[k], samples.starts[k + 1])
        number = ~np.isnan(samples.values[rows])
        if number.any():
            told[key] = samples.times[rows][number].tolist(), samples.values[rows][number].tolist()
    return told


def test_samples_are_those_recorded(source: MetricsSource, scope: Scope, recorded: Panel, lost: float):
    samples = source.samples('{__name__!=""}', whole(scope), 30)
    told = finite(samples)
    wanted = {
        encode(labels): (recorded.times[~np.isnan(row)].tolist(), row[~np.isnan(row)].tolist())
        for labels, row in zip(recorded.labels, recorded.values, strict=True)
        if not np.isnan(row).all()
    }
    assert told.keys() == wanted.keys()
    for key, (times, values) in wanted.items():
        assert told[key][0] == times
        np.testing.assert_allclose(told[key][1], values, rtol=lost, atol=0)
    assert [encode(labels) for labels in samples.labels] == list(samples.keys)
    assert len(samples.labels) == len(samples.keys) == len(samples)
    assert samples.starts[-1] == len(samples.times) == len(samples.values)
    for k in range(len(samples)):
        assert (np.diff(samples.times[samples.starts[k] : samples.starts[k + 1]]) > 0).all()


def test_samples_are_half_open(source: MetricsSource, scope: Scope, recorded: Panel):
    start, end = (from_ns(int(recorded.times[k])) for k in (3, 7))
    times = source.samples('{__name__!=""}', TimeRange(start, end), 30).times
    assert sorted(set(times.tolist())) == recorded.times[3:7].tolist()
    assert len(source.samples('{__name__!=""}', TimeRange(start, start), 30)) == 0


def test_samples_of_one_selector(source: MetricsSource, scope: Scope, recorded: Panel):
    labels = recorded.labels[0]
    name, service = labels["__name__"], labels["service"]
    for text in (
        f"{name}{{service={quote(service)}}}",
        f"{{__name__={quote(name)},service=~{quote(re.escape(service))}}}",
        f'{name}{{service!~{quote(f"(?:{re.escape(service)}).+")},service={quote(service)},nothing=""}}',
    ):
        assert list(source.samples(text, whole(scope), 30).labels) == [labels]
    assert len(source.samples("no_such_metric", whole(scope), 30)) == 0


def test_samples_on_a_grid_keep_the_last_value(source: MetricsSource, scope: Scope, recorded: Panel):
    """Twice as fine as it was recorded: each value twice."""
    step = timedelta(microseconds=int(np.median(np.diff(recorded.times))) // 2000)
    every = step // timedelta(microseconds=1) * 1000
    query = f"{{service={quote(recorded.labels[0]['service'])}}}"
    raw = finite(source.samples(query, whole(scope), 30))
    fine = finite(source.samples(query, whole(scope), 30, step))
    assert raw.keys() == fine.keys()
    for key, rows in raw.items():
        told = dict(zip(*fine[key], strict=True))
        assert all(at % every == 0 for at in told)
        for at, value in zip(*rows, strict=True):
            assert told[at] == value
            assert told.get(at + every, value) == value


@pytest.mark.parametrize("query", ["up[", "{a=}", "{a=~'('}"])
def test_a_wrong_query_is_refused(source: MetricsSource, scope: Scope, query: str):
    with pytest.raises(SourceRefused) as caught:
        source.samples(query, whole(scope), 30)
    assert query in str(caught.value)


def test_a_recording_says_what_it_can_answer(demo_case: Path, scope: Scope):
    with pytest.raises(SourceRefused, match="plain selectors only"):
        CaseMetrics(demo_case).samples("rate(up[5m])", whole(scope), 30)


def test_an_expression_is_evaluated_at_each_step(prometheus: servers.Server, scope: Scope):
    told = Prometheus(prometheus.url).samples("vector(3)", whole(scope), 30, timedelta(seconds=10))
    assert set(told.values.tolist()) == {3.0}
    assert whole(scope).mask(told.times).all()
    assert (np.diff(told.times) == 10 * NS).all()


def test_ping_says_who_answers(source: MetricsSource):
    assert source.ping(10)


# ---------------------------------------------------------------- prometheus: reading


def test_only_what_was_asked_for(prometheus: servers.Server, scope: Scope, recorded: Panel):
    service = recorded.labels[0]["service"]
    panel = Prometheus(prometheus.url).read(
        dataclasses.replace(scope, queries=(Query(f"{{service={quote(service)}}}"),)), 30
    )
    assert {labels["service"] for labels in panel.labels} == {service}


def test_a_series_that_two_queries_find_is_one(prometheus: servers.Server, scope: Scope, recorded: Panel):
    query = Query(f"{{service={quote(recorded.labels[0]['service'])}}}")
    once = Prometheus(prometheus.url).read(dataclasses.replace(scope, queries=(query,)), 30)
    twice = Prometheus(prometheus.url).read(dataclasses.replace(scope, queries=(query, query)), 30)
    assert once.labels == twice.labels
    assert np.array_equal(once.values, twice.values, equal_nan=True)


def test_an_expression_gets_its_metric_as_name(prometheus: servers.Server, scope: Scope):
    query = Query('sum by (service) ({__name__!=""})', metric="everything")
    panel = Prometheus(prometheus.url).read(dataclasses.replace(scope, queries=(query,)), 30)
    assert set(panel.metrics) == {"everything"}


def test_long_reads_are_split(prometheus: servers.Server, scope: Scope):
    """At a step of 100 ms the demo incident's time holds more points than Prometheus gives at once."""
    query = Query('topk(1, {__name__!=""})', metric="top")
    fine = Prometheus(prometheus.url, step=timedelta(milliseconds=100))
    panel = fine.read(dataclasses.replace(scope, queries=(query,)), 60)
    span = (scope.incident.end - scope.baseline.start) / timedelta(milliseconds=100)
    assert span > 2 * MAX_POINTS
    assert len(panel.times) == pytest.approx(span, abs=1)
    assert (np.diff(panel.times) == 100_000_000).all()


HOSTILE = ['a"b', "a\\b", "a\nb", '"} or vector(1) #', "ünï漢字", "a'b`c", "${x}{{y}}", "\\", '\\"']


def test_label_values_of_any_kind_come_back(tmp_path: Path, scope: Scope):
    times = np.arange(10, dtype=np.int64) * 60 * NS + 1_661_140_260 * NS
    labels = tuple({"__name__": "up", "service": value} for value in HOSTILE)
    wanted = Panel(labels, times, np.arange(len(labels) * 10.0).reshape(-1, 10), ("",) * len(labels), times < 0)
    (tmp_path / "hostile.om").write_text(openmetrics(wanted))
    at = from_ns(int(times[5]))
    there = Scope(at, TimeRange(from_ns(int(times[0])), at), TimeRange(at, from_ns(int(times[-1]) + NS)))
    with needed():
        servers.promtool("tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "hostile.om"), str(tmp_path))
        with servers.prometheus(tmp_path) as server:
            source = Prometheus(server.url)
            for i, value in enumerate(HOSTILE):
                one = dataclasses.replace(there, queries=(Query(f"{{service={quote(value)}}}"),))
                panel = source.read(one, 30)
                assert [found["service"] for found in panel.labels] == [value]
                assert np.array_equal(panel.values[0], wanted.values[i])


# ---------------------------------------------------------------- prometheus: failing


Answer = Callable[[BaseHTTPRequestHandler, dict[str, list[str]]], None]


@contextmanager
def web(answer: Answer) -> Iterator[str]:
    """A real HTTP server that answers each request as the test says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace"))
            self.close_connection = True
            answer(self, form)

        do_GET = do_POST  # noqa: N815 - http.server's name

        def log_message(self, *_):
            pass

    with listening(Handler) as url:
        yield url


def says(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def matrix(*result: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}, **more}).encode()


AT = datetime(2022, 8, 22, 4, 0, tzinfo=UTC)
SHORT = Scope(AT, TimeRange(AT - timedelta(minutes=5), AT), TimeRange(AT, AT + timedelta(minutes=5)))
T0 = int(SHORT.baseline.start.timestamp())
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, SourceRefused),
        (401, SourceRefused),
        (404, SourceRefused),
        (422, SourceRefused),
        (429, SourceUnreachable),
        (500, SourceUnreachable),
        (503, SourceUnreachable),
    ],
)
@pytest.mark.parametrize("ask", ["read", "catalog", "ping"])
def test_http_errors_say_status_and_body(status: int, kind: type[SourceError], ask: str):
    with web(says(status, b"the server's\nown \x1b[31mwords")) as url:
        source = Prometheus(url)
        calls = {
            "read": lambda: source.read(SHORT, 5),
            "catalog": lambda: source.catalog(5),
            "ping": lambda: source.ping(5),
        }
        with pytest.raises(kind) as caught:
            calls[ask]()
    message = str(caught.value)
    assert f"HTTP {status} the server's own ?[31mwords" in message
    assert url in message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in</html>",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'{"status":"success"}',
        b'{"status":"error","error":"no"}',
        b'{"status":"success","data":{"resultType":"vector","result":[]}}',
        b'{"status":"success","data":{"resultType":"matrix","result":{}}}',
        matrix({"metric": {"__name__": "x"}, "values": [[T0, "abc"]]}),
        matrix({"metric": {"__name__": "x"}, "values": [[T0, 1.0]]}),
        matrix({"metric": {"__name__": "x"}, "values": [[T0 + 7, "1"]]}),
        matrix({"metric": {"__name__": "x"}, "values": [[T0 - 600, "1"]]}),
        matrix({"metric": {"__name__": "x"}, "values": [[1e300, "1"]]}),
        matrix({"metric": {"__name__": 3}, "values": []}),
        matrix({"metric": {"__name__": "x"}}, {"metric": {"__name__": "x"}}),
    ],
)
def test_garbage_is_called_garbage(body: bytes):
    with web(says(200, body)) as url, pytest.raises(SourceGarbled, match=r"127\.0\.0\.1"):
        Prometheus(url, step=MINUTE).read(SHORT, 5)


def test_what_came_back_is_shown_on_one_line_and_printable():
    told = b'{"status": "error", "error": "\\u001b[2J\\nbad", "data": null}'
    with web(says(200, told)) as url, pytest.raises(SourceGarbled) as caught:
        Prometheus(url, step=MINUTE).read(SHORT, 5)
    assert "(?[2J bad)" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data": [3]}', b'{"data": null}'])
def test_a_garbled_catalog_is_called_garbage(body: bytes):
    with web(says(200, body)) as url, pytest.raises(SourceGarbled):
        Prometheus(url).catalog(5)


def test_nothing_found_is_an_empty_panel():
    with web(says(200, matrix())) as url:
        assert Prometheus(url).read(SHORT, 5).labels == ()


def test_down_is_unreachable_and_retryable():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceUnreachable, match="refused") as caught:
        Prometheus(f"http://127.0.0.1:{port}").read(SHORT, 5)
    assert caught.value.retryable
    assert str(port) in str(caught.value)


def test_hanging_up_is_unreachable():
    def hang_up(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        pass

    with web(hang_up) as url, pytest.raises(SourceUnreachable, match="closed the connection"):
        Prometheus(url).read(SHORT, 5)


def test_an_unknown_host_is_unreachable():
    with pytest.raises(SourceUnreachable):
        Prometheus("http://nowhere.invalid:9090").ping(5)


def silent(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
    time.sleep(1.5)


def dripping(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def dripping_chunks(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b"1\r\n \r\n")
        handler.wfile.flush()
        time.sleep(0.1)


@pytest.mark.parametrize("answer", [silent, dripping, dripping_chunks])
@pytest.mark.parametrize("ask", ["read", "catalog"])
def test_slow_is_unreachable_once_the_time_is_up(answer: Answer, ask: str):
    def quiet(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        try:
            answer(handler, form)
        except OSError:
            handler.close_connection = True  # the other side has hung up, as it should

    with web(quiet) as url:
        source = Prometheus(url)
        with pytest.raises(SourceUnreachable, match=r"within 0\.5 s"):
            source.read(SHORT, 0.5) if ask == "read" else source.catalog(0.5)


def test_a_body_cut_short_is_unreachable():
    def cut(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")

    with web(cut) as url, pytest.raises(SourceError):
        Prometheus(url).read(SHORT, 5)


def test_a_redirect_is_not_followed():
    asked = []

    def elsewhere(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        asked.append(form)
        says(200, matrix())(handler, form)

    with (
        web(elsewhere) as other,
        web(says(302, b"", Location=f"{other}/login")) as url,
        pytest.raises(SourceRefused, match="redirect"),
    ):
        Prometheus(url).read(SHORT, 5)
    assert asked == []


def test_secrets_are_sent_but_never_shown():
    seen = []

    def echo(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        seen.append(handler.headers.get("Authorization"))
        says(403, str(handler.headers).encode())(handler, form)

    with web(echo) as url:
        with pytest.raises(SourceRefused) as caught:
            Prometheus(Access(url, token="s3cret-token")).read(SHORT, 5)
        with pytest.raises(SourceRefused) as basic:
            Prometheus(Access(url, user="me", password="s3cret-word")).catalog(5)
    assert seen[0] == "Bearer s3cret-token"
    assert seen[1].startswith("Basic ")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr([Access(url, token="s3cret-token"), Access(url, user="me", password="s3cret-word")])
    assert seen[1].split()[1] not in str(basic.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@host:9090",
        "http://me:s3cret@[::1",
        "http://me:s3cret@\u2100",
        "ftp://host",
        "http://",
        "nonsense",
        "http://host?x=s3cret",
        "http://host:notaport",
    ],
)
def test_a_wrong_address_is_refused_without_its_secret(url: str):
    with pytest.raises(ConfigError) as caught:
        Prometheus(url)
    assert "s3cret" not in str(caught.value)


def test_a_prefix_is_kept():
    paths = []

    def note(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        paths.append(handler.path)
        says(200, matrix())(handler, form)

    with web(note) as url:
        Prometheus(f"{url}/select/0/prometheus/").read(SHORT, 5)
    assert set(paths) == {"/select/0/prometheus/api/v1/query", "/select/0/prometheus/api/v1/query_range"}


def test_a_server_without_build_info_still_pings():
    def thanos(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        found = "buildinfo" not in handler.path
        says(200 if found else 404, b'{"status":"success","data":{"resultType":"vector","result":[]}}')(handler, form)

    with web(thanos) as url:
        assert url in Prometheus(url).ping(5)


def test_native_histograms_give_count_and_sum():
    histogram = {"count": "4", "sum": "1.5", "buckets": [[0, "0", "1", "4"]]}
    body = matrix({"metric": {"__name__": "latency", "service": "a"}, "histograms": [[T0, histogram]]})
    with web(says(200, body)) as url:
        panel = Prometheus(url, step=MINUTE).read(SHORT, 5)
    assert panel.metrics == ("latency_count", "latency_sum")
    assert panel.values.tolist() == [[4.0], [1.5]]


def test_not_a_number_and_infinity_are_gaps():
    values = [[T0 + 60 * i, value] for i, value in enumerate(["1", "NaN", "+Inf", "-Inf", "2"])]
    with web(says(200, matrix({"metric": {"__name__": "x"}, "values": values}))) as url:
        panel = Prometheus(url, step=MINUTE).read(SHORT, 5)
    assert np.array_equal(panel.values, [[1, np.nan, np.nan, np.nan, 2]], equal_nan=True)


def test_warnings_are_logged(caplog: pytest.LogCaptureFixture):
    with web(says(200, matrix(warnings=["a store\nis \x1b[31mdown"]))) as url:
        Prometheus(url, step=MINUTE).read(SHORT, 5)
    assert "a store is ?[31mdown" in caplog.text


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch):
    """A proxy variable must not send questions elsewhere."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with web(says(200, matrix())) as url:
        assert Prometheus(url, step=MINUTE).read(SHORT, 5).labels == ()


# ---------------------------------------------------------------- prometheus: samples, by every route, from broken servers


SELECTOR = 'x{job="q\\""}'
KEY = encode({"__name__": "x", "job": 'q"'})
STREAM = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"


def chunk(*samples: tuple[int, float]) -> bytes:
    """A series' chunk of samples a step apart, each with its own value."""
    (first, value), *rest = samples
    bits = "".join(format(byte, "08b") for byte in varint(first << 1) + struct.pack(">d", value))
    before = struct.unpack(">Q", struct.pack(">d", value))[0]
    for k, (_, other) in enumerate(rest):
        bits += "".join(format(b, "08b") for b in varint(rest[0][0] - first)) if k == 0 else "0"
        now = struct.unpack(">Q", struct.pack(">d", other))[0]
        bits += "11" + format(0, "05b") + format(0, "06b") + format(now ^ before, "064b")
        before = now
    bits += "0" * (-len(bits) % 8)
    return struct.pack(">H", len(samples)) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def stream(*series: tuple[bytes, int, bytes]) -> bytes:
    """A frame for each series: (key, encoding, chunk)."""
    body = b""
    for key, encoding, data in series:
        message = field(1, key + field(2, integer(1, 0) + integer(2, 1) + integer(3, encoding) + field(4, data)))
        body += varint(len(message)) + struct.pack(">I", crc32c(message)) + message
    return body


def remote(body: bytes, kind: str = STREAM) -> Answer:
    return says(200, body, Content_Type=kind)


T_MS = T0 * 1000
GOOD = chunk((T_MS, 1.5), (T_MS + 1000, 2.5))
WINDOW = SHORT.baseline
PATIENCE = 60.0  # seconds: the first read may compile the decoders


def test_remote_read_is_used_where_it_is_offered():
    asked = []

    def note(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        asked.append(handler.path)
        remote(stream((KEY, 1, GOOD)))(handler, form)

    with web(note) as url:
        source = Prometheus(url)
        told = source.samples(SELECTOR, WINDOW, PATIENCE)
        again = source.samples(SELECTOR, WINDOW, PATIENCE)
    assert asked == ["/api/v1/read"] * 3  # once to see that it is offered
    assert list(told.labels) == [{"__name__": "x", "job": 'q"'}]
    assert told.values.tolist() == again.values.tolist() == [1.5, 2.5]
    assert told.times.tolist() == [T0 * NS, (T0 + 1) * NS]


def test_plain_samples_are_understood_where_chunks_are_not_offered():
    series = field(1, KEY + field(2, b"\x09" + struct.pack("<d", 7.0) + integer(2, T_MS)))
    with web(remote(compress(field(1, series)), "application/x-protobuf")) as url:
        told = Prometheus(url).samples(SELECTOR, WINDOW, PATIENCE)
    assert (list(told.keys), told.values.tolist(), told.times.tolist()) == ([KEY], [7.0], [T0 * NS])


@pytest.mark.parametrize("broken", [(1, GOOD[:-6]), (1, b""), (2, b"\0\1"), (9, b"xx")])
def test_one_broken_series_is_a_gap_that_names_it(broken: tuple[int, bytes]):
    other = encode({"__name__": "y"})
    with web(remote(stream((KEY, *broken), (other, 1, GOOD)))) as url:
        told = Prometheus(url).samples(SELECTOR, WINDOW, PATIENCE)
    assert list(told.keys) == [other]
    assert told.values.tolist() == [1.5, 2.5]
    assert len(told.gaps) == 1
    assert SELECTOR in told.gaps[0].what
    assert told.gaps[0].mend


def test_a_wrong_checksum_or_a_cut_stream_is_garbage_that_names_what_was_asked():
    good = stream((KEY, 1, GOOD))
    for body in (good[:-1] + bytes([good[-1] ^ 1]), good[:-3]):
        with web(remote(body)) as url, pytest.raises(SourceGarbled, match="frame 0"):
            Prometheus(url).samples(SELECTOR, WINDOW, PATIENCE)


def refuses_read(answer: Answer) -> Answer:
    def both(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        (says(404, b"no such path") if handler.path.endswith("/read") else answer)(handler, form)

    return both


def test_native_histograms_are_gaps_among_samples():
    histogram = {"count": "4", "sum": "1.5", "buckets": [[0, "0", "1", "4"]]}
    body = matrix(
        {"metric": {"__name__": "latency"}, "histograms": [[T0, histogram]]},
        {"metric": {"__name__": "x"}, "values": [[T0, "1"]]},
    )
    with web(refuses_read(says(200, body))) as url:
        told = Prometheus(url).samples("x", WINDOW, PATIENCE)
    assert [gap.what for gap in told.gaps] == ["native histogram latency{}"]
    assert list(told.labels) == [{"__name__": "x"}]


def test_samples_out_of_order_or_at_the_same_time_are_put_in_order():
    values = [[T0 + 2, "2"], [T0 + 1, "1"], [T0 + 2, "3"], [T0 - 1, "9"]]
    with web(refuses_read(says(200, matrix({"metric": {"b": "1", "a": "2"}, "values": values})))) as url:
        told = Prometheus(url).samples("x", WINDOW, PATIENCE)
    assert [at // NS - T0 for at in told.times.tolist()] == [1, 2]
    assert told.values.tolist() == [1.0, 3.0]
    assert list(told.keys) == [encode({"a": "2", "b": "1"})]


def test_json_as_no_server_writes_it_is_read_all_the_same():
    told = json.loads(matrix({"values": [[float(T0), "1e-05"], [T0 + 0.5, "NaN"]], "metric": {"__name__": "ü\n\\"}}))
    with web(refuses_read(says(200, json.dumps(told, indent=2).encode()))) as url:
        samples = Prometheus(url).samples("x", WINDOW, PATIENCE)
    assert list(samples.labels) == [{"__name__": "ü\n\\"}]
    assert np.array_equal(samples.values, [1e-05, np.nan], equal_nan=True)
    assert (samples.times - T0 * NS).tolist() == [0, NS // 2]


def test_a_wrong_password_is_not_taken_for_a_missing_endpoint():
    with web(says(401, b"who are you?")) as url, pytest.raises(SourceRefused, match="who are you"):
        Prometheus(url).samples("x", WINDOW, PATIENCE)
