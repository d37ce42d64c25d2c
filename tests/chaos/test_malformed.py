"""What no client should send: requests made from our own OpenAPI, packed bombs, connections that dawdle.

None is answered with a server error or told a traceback, and who sends what is right is served meanwhile.
"""

from __future__ import annotations

import gzip
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import aiops
from aiops.service import protocol, server

HOOKS = ("/v1/webhooks/alertmanager", "/v1/webhooks/grafana")
SMALL_DAWDLERS, FULL_DAWDLERS = 50, 500
FEW_REQUESTS, REQUESTS = 8, 10_000  # of each operation; of all together
LIMIT = 2 * 2**20


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, demo_case: Path) -> Iterator[httpx.Client]:
    """A server without an embedded worker: what is asked for is queued and never made."""
    ready = threading.Event()
    home = str(tmp_path_factory.mktemp("malformed"))
    flags = {"model.url": "", "service.queue_limit": "1000000"}
    with aiops.connect(f"case:{demo_case}", home=home, flags=flags) as ops, server.bind("127.0.0.1:0") as opened:
        running = server.server(ops, external_url="", body_limit=LIMIT, ready=ready.set, terms=None)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
        thread.start()
        assert ready.wait(120)
        with httpx.Client(base_url=server.url(opened), timeout=60, trust_env=False) as made:
            yield made
        running.should_exit = True
        thread.join(120)


def check(told: httpx.Response) -> None:
    assert told.status_code < 500, told.text
    assert "Traceback" not in told.text


@pytest.mark.soak
def test_no_request_of_our_openapi_breaks_the_server(client: httpx.Client, soaking: bool) -> None:
    """Every operation, with what its schema allows and with what it does not."""
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    found: list[Any] = [one.ok() for one in schema.get_all_operations()]
    operations = [one for one in found if not one.path.endswith("/events")]  # a stream, tested by itself
    answered: set[str] = set()
    for operation in operations:
        hammer(client, operation, -(-REQUESTS // len(operations)) if soaking else FEW_REQUESTS, answered)
    assert {f"POST {hook}" for hook in HOOKS} <= answered


def hammer(client: httpx.Client, operation: Any, examples: int, answered: set[str]) -> None:
    wrong = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        derandomize=True,
        database=None,
    )
    @given(case=operation.as_strategy() | wrong)
    def one(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=str(client.base_url))
        sent = {key: sent[key] for key in ("method", "url", "params", "headers", "json", "data") if key in sent}
        if isinstance(sent.get("data"), str | bytes):
            sent["content"] = sent.pop("data")
        try:
            told = client.request(**sent)
        except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError, TypeError):
            return  # what this client can't put on the wire
        check(told)
        answered.add(f"{operation.method.upper()} {operation.path}")

    one()


NAMES = ("version", "alerts", "groupKey", "receiver", "routeLabels", "notification_reason", "truncatedAlerts", "status")
IN_ALERT = (
    "labels",
    "startsAt",
    "endsAt",
    "status",
    "annotations",
    "fingerprint",
    "values",
    "silenceURL",
    "generatorURL",
)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("2026-01-31T12:00:00Z")
TREE = st.recursive(
    LEAF, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=6), c, max_size=3), max_leaves=6
)
ALERT = st.fixed_dictionaries(
    {"labels": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3) | TREE},
    optional=dict.fromkeys(IN_ALERT[1:], TREE) | {"startsAt": st.just("2026-01-31T12:00:00Z") | TREE},
)
BODY = st.fixed_dictionaries(
    {"version": st.sampled_from(("4", "1")), "alerts": st.lists(ALERT, max_size=3)},
    optional=dict.fromkeys(NAMES[2:], TREE),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hook=st.sampled_from(HOOKS), body=BODY, cut=st.integers(0, 40))
def test_no_notification_breaks_the_server(client: httpx.Client, hook: str, body: dict[str, Any], cut: int) -> None:
    text = json.dumps(body).encode()
    check(client.post(hook, content=text[: len(text) - cut] if cut > 20 else text))


@pytest.mark.soak
def test_bombs_and_dawdlers_hold_up_nobody(
    client: httpx.Client, soaking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 3.0)
    bomb = gzip.compress(b"\0" * (1000 * 64 * 1024), 9)  # 64 MB in 64 kB
    alerts = [{"labels": {"alertname": "Right"}, "startsAt": "2026-01-31T12:00:00Z"}]
    good = json.dumps({"version": "4", "alerts": alerts}).encode()
    host, port = client.base_url.host, client.base_url.port or 0
    took: list[float] = []
    stop = threading.Event()

    def bombs() -> None:
        with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as other:
            while not stop.is_set():
                told = other.post(HOOKS[0], content=bomb, headers={"content-encoding": "gzip"})
                assert told.status_code == 413
                stop.wait(0.05)

    with ExitStack() as stack:
        dawdlers = []
        for number in range(FULL_DAWDLERS if soaking else SMALL_DAWDLERS):
            one = stack.enter_context(socket.create_connection((host, port)))
            # A head that never ends, a body that never comes, nothing at all.
            body = b"POST /v1/webhooks/alertmanager HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            one.sendall((b"POST /v1/ask HTTP/1.1\r\nHost: loc", body, b"")[number % 3])
            dawdlers.append(one)
        thrower = threading.Thread(target=bombs)
        thrower.start()
        for _ in range(300 if soaking else 60):
            began = time.perf_counter()
            assert client.post(HOOKS[0], content=good).status_code == 202
            took.append(time.perf_counter() - began)
        # Whose head does not come is sent away; the others' time is that of a body.
        for one in dawdlers[::3] + dawdlers[2::3]:
            one.settimeout(30)
            assert one.recv(1) == b""
        stop.set()
        thrower.join()
    p99 = statistics.quantiles(took, n=100)[98]
    print(f"{len(dawdlers)} dawdlers; p99 of what is right {p99 * 1e3:.0f} ms")
    assert not soaking or p99 <= 1.0


def test_a_head_without_end_is_cut_short(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
        raw.settimeout(30)
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        try:
            for number in range(4000):
                raw.sendall(b"X-%d: %s\r\n" % (number, b"a" * 1000))
        except OSError:
            return  # closed while we were writing
        assert raw.recv(64).startswith(b"HTTP/1.1 431")
