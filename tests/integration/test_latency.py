"""From the first notification of a real Alertmanager to the report, debounce included: of a real Prometheus with 1,000 series,
with the embedded stores and with Neo4j and Redis."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiops.domain import NS, Panel, to_ns

import servers
from conftest import needed
from servers.backfill import openmetrics

FEW, MANY = 2, 20  # alerts, each an episode
SERVICES, METRICS = 50, 20
WITHIN_S = {"embedded": 5.0, "neo4j and redis": 8.0}  # 95 of 100
CONFIG = """
route: {{receiver: aiops, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: aiops, webhook_configs: [{{url: "{url}/v1/webhooks/alertmanager"}}]}}]
"""


def system(now: datetime) -> Panel:
    """An hour and a quarter of `SERVICES` x `METRICS` series; in the last five minutes every fifth service is ill."""
    times = to_ns(now) // NS * NS - np.arange(300, 0, -1, dtype=np.int64) * 15 * NS
    draw = np.random.default_rng(3)
    labels = tuple(
        [{"__name__": f"app_metric_{m}", "service": f"s{s}"} for s in range(SERVICES) for m in range(METRICS)]
    )
    values = 100 + draw.normal(0, 3, (len(labels), len(times))) + draw.normal(0, 10, (len(labels), 1))
    ill = np.arange(len(labels)) // METRICS % 5 == 0
    values[np.ix_(ill, times > to_ns(now) - 300 * NS)] *= 1.8
    return Panel(labels, times, values, ("",) * len(labels), np.zeros(len(times), np.bool_))


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[servers.Server]:
    data = tmp_path / "prometheus"
    data.mkdir()
    (data / "system.om").write_text(openmetrics(system(datetime.now(UTC))))
    with needed():
        servers.promtool("tsdb", "create-blocks-from", "openmetrics", str(data / "system.om"), str(data))
        with servers.prometheus(data) as server:
            yield server


def post(url: str, body: object) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30):
        pass


def alert(number: int, now: datetime) -> dict[str, Any]:
    labels = {"alertname": f"Slow{number}", "service": f"s{number % SERVICES}", "severity": "page"}
    return {
        "labels": labels,
        "startsAt": (now - timedelta(minutes=2)).isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
    }


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 240
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.soak
@pytest.mark.parametrize("stores", WITHIN_S)
def test_from_the_first_notification_to_the_report(
    prometheus: servers.Server, tmp_path: Path, stores: str, pytestconfig: pytest.Config
) -> None:
    soaking = bool(pytestconfig.getoption("soak"))
    home = tmp_path / "home"
    with ExitStack() as stack:
        flags: list[str] = []
        if stores != "embedded":
            with needed():
                graph = stack.enter_context(servers.neo4j(tmp_path / "neo4j"))
                queue = stack.enter_context(servers.redis(tmp_path / "redis"))
            flags = ["--graph", graph.url.replace("bolt", "neo4j"), "--queue", queue.url]

        def command(port: int) -> list[str]:
            program = str(Path(sys.executable).with_name("aiops"))
            listen = ["--listen", f"127.0.0.1:{port}", "--home", str(home)]
            return [program, "serve", *listen, "--metrics", f"prometheus+{prometheus.url}", *flags]

        env = {**os.environ, "AIOPS_MODEL__URL": "", "AIOPS_CHAT__URL": ""}
        serving = stack.enter_context(servers.serving("aiops", command, servers.answers("/readyz"), env=env))
        alerting = stack.enter_context(servers.alertmanager(tmp_path / "am", CONFIG.format(url=serving.url)))
        took: list[float] = []
        # The first warms up what is compiled and loaded once in the life of a server.
        for number in range((MANY if soaking else FEW) + 1):
            post(f"{alerting.url}/api/v2/alerts", [alert(number, datetime.now(UTC))])
            until(lambda n=number: len(reported(home)) == n + 1)  # type: ignore[misc]
        took = [(created - opened) / 1000 for opened, created in reported(home)][1:]
    p95 = float(np.quantile(took, 0.95))
    print(f"{stores}: {len(took)} reports, median {np.median(took):.1f} s, p95 {p95:.1f} s")
    assert not soaking or p95 <= WITHIN_S[stores]


def reported(home: Path) -> list[tuple[int, int]]:
    """Of each episode with a report: when its first notification came, and when the report was there; milliseconds."""
    with sqlite3.connect(home / "store.db") as store:
        return store.execute(
            "SELECT opened, created FROM episodes JOIN reports USING (id) ORDER BY episodes.number"
        ).fetchall()
