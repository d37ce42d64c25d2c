"""A load generator for webhooks, in a process of its own: HTTP/1.1 on connections that stay open, bodies built beforehand.

    python -m aiops.bench.load URL --alerts 200 --seconds 5 --connections 32 [--rate 100]

Without a rate every connection sends as soon as it has its answer; with one, requests are due at even intervals whatever the
server does, and their time counts from when they were due. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import urlsplit
from uuid import uuid4

SERVICES, OF_GROUP = 50, 4  # services there are, and those that one group of alerts concerns
PATIENCE_S = 60  # for the last answers
BUILT = 2000  # alerts; more are made from them by writing another number into the bytes
PLACE = b"#" * 12  # where each alert's own number goes


def body(alerts: int, group: int = 0) -> bytes:
    """A notification of Alertmanager of that many alerts, with `PLACE` where they differ from those of another body."""
    told = [_alert(group, i) for i in range(alerts)]
    return json.dumps(
        {
            "receiver": "aiops",
            "status": "firing",
            "alerts": told,
            "groupLabels": {"alertname": "HighLatency"},
            "commonLabels": {"alertname": "HighLatency", "severity": "page"},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example:9093",
            "version": "4",
            "groupKey": f'{{}}:{{alertname="HighLatency", group="{group}-{PLACE.decode()}"}}',
            "truncatedAlerts": 0,
        }
    ).encode()


def _alert(group: int, number: int) -> dict[str, object]:
    service = f"service-{(group + number % OF_GROUP) % SERVICES}"
    return {
        "status": "firing",
        "labels": {
            "alertname": "HighLatency",
            "severity": "page",
            "service": service,
            "namespace": "shop",
            "cluster": "eu-west-1",
            "instance": f"10.{group % 250}.{number // 250}.{number % 250}:8080",
            "pod": f"{service}-7d9f8b6c5d-{number:05d}",
        },
        "annotations": {
            "summary": f"{service} answers slowly",
            "description": "The 99th percentile of request latency has been above 500 ms for 5 minutes.",
        },
        "startsAt": "2026-01-31T12:00:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=histogram_quantile%280.99%2C+x%29+%3E+0.5&g0.tab=1",
        "fingerprint": f"{number % 10000:04d}{PLACE.decode()}",
    }


def requests(path: str, host: str, alerts: int) -> Iterator[bytes]:
    """Requests without end, no alert of which comes twice, ready to be sent."""
    parts = []
    for group in range(max(1, BUILT // alerts)):
        sent = body(alerts, group)
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
        parts.append(head.encode() + sent)
    run = uuid4().hex[:6].encode()
    for number in count():
        yield parts[number % len(parts)].replace(PLACE, run + b"%06x" % number)


class _Connection(asyncio.Protocol):
    """One request at a time; tells each answer's status and seconds."""

    def __init__(self, done: Callable[[_Connection, int, float], None]) -> None:
        self._done, self._received = done, b""
        self._transport: asyncio.Transport | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, since: float) -> None:
        assert self._transport is not None
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self._received = rest[length:]
            self._done(self, int(head[9:12]), time.perf_counter() - self._since)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._received:
            self._done(self, 0, 0.0)


class _Load:
    """What is sent, by whom, and what came of it."""

    def __init__(self, made: Iterator[bytes], rate: float) -> None:
        self.made, self.rate = made, rate
        self.statuses: Counter[int] = Counter()
        self.times: list[float] = []
        self.idle: list[_Connection] = []
        self.due: deque[float] = deque()
        self.end = 0.0
        self.rest = asyncio.Event()  # set while nobody waits for an answer
        self.connections = 0

    def done(self, connection: _Connection, status: int, took: float) -> None:
        self.statuses[status] += 1
        self.times.append(took)
        now = time.perf_counter()
        if self.due:
            connection.send(next(self.made), self.due.popleft())
        elif not self.rate and now < self.end:
            connection.send(next(self.made), now)
        else:
            self.idle.append(connection)
            if len(self.idle) == self.connections:
                self.rest.set()

    def send(self, since: float) -> None:
        """At once, or as soon as a connection is idle."""
        self.rest.clear()
        if self.idle:
            self.idle.pop().send(next(self.made), since)
        else:
            self.due.append(since)


async def load(url: str, alerts: int, seconds: float, connections: int, rate: float) -> dict[str, object]:
    """What `main` prints."""
    to = urlsplit(url)
    host, port = to.hostname or "127.0.0.1", to.port or 80
    state = _Load(requests(to.path, to.netloc, alerts), rate)
    for _ in range(connections):
        made = await asyncio.get_running_loop().create_connection(lambda: _Connection(state.done), host, port)
        state.idle.append(made[1])
    state.connections = connections
    began = time.perf_counter()
    state.end = began + seconds
    if rate:
        for number in range(int(rate * seconds)):
            moment = began + number / rate
            if (wait := moment - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            state.send(moment)
    else:
        for _ in range(connections):
            state.send(time.perf_counter())
    async with asyncio.timeout(seconds + PATIENCE_S):
        await state.rest.wait()
    took = time.perf_counter() - began
    ranks = statistics.quantiles(state.times, n=100)
    return {
        "requests": len(state.times),
        "seconds": took,
        "statuses": {str(status): n for status, n in sorted(state.statuses.items())},
        "p50_ms": ranks[49] * 1e3,
        "p99_ms": ranks[98] * 1e3,
    }


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Send notifications to a webhook.")
    parser.add_argument("url")
    parser.add_argument("--alerts", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.0)
    told = parser.parse_args()
    print(json.dumps(asyncio.run(load(told.url, told.alerts, told.seconds, told.connections, told.rate))))  # noqa: T201


if __name__ == "__main__":
    main()
