"""Reports made by hand: one as rich as a real one, one with nothing but gaps, and one whose every text is hostile."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any

from aiops.domain import (
    Alert,
    Anomaly,
    CausalPath,
    Chart,
    Crossing,
    Direction,
    Edge,
    Event,
    EventKind,
    Evidence,
    Forecast,
    Gap,
    Inputs,
    Intent,
    Remediation,
    Report,
    RootCause,
    Symptom,
    Task,
    TimeRange,
    Trial,
    Verdict,
)

START = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def wobble(step: int, phase: float) -> float:
    """Noise that is the same on every machine."""
    return 0.5 * math.sin(2.1 * step + phase) + 0.3 * math.sin(5.7 * step + 2 * phase) + 0.2 * math.sin(0.31 * step)


def chart(node: str, metric: str, base: float, noise: float, jump: float, onset: int, phase: float) -> Chart:
    """Two hours of a series that leaves its band at `onset` minutes."""
    steps = range(120)
    rise = [0.0 if step < onset else jump * (1 - math.exp(-(step - onset + 1) / 4)) for step in steps]
    values = tuple(base + noise * wobble(step, phase) + rise[step] for step in steps)
    centre = [base + 0.2 * noise * math.sin(0.31 * step) for step in steps]
    return Chart(
        title=f"{node} {metric}",
        node=node,
        metric=metric,
        times=tuple(int(at(step).timestamp()) for step in steps),
        values=values,
        lower=tuple(c - 1.3 * noise for c in centre),
        upper=tuple(c + 1.3 * noise for c in centre),
        marks=(("onset", int(at(onset).timestamp())), ("noticed", int(at(104).timestamp()))),
    )


def found() -> Report:
    """A database whose connections ran out after a deployment: four nodes, every kind of evidence."""
    nodes = ("orders-db", "orders", "checkout", "frontend")
    edges = (
        Edge("orders-db", "orders", 0.93, timedelta(seconds=60), "traces"),
        Edge("orders", "checkout", 0.88, timedelta(seconds=60), "traces"),
        Edge("checkout", "frontend", 0.81, timedelta(seconds=120), "service-graph"),
    )
    onsets = (at(97), at(98), at(99), at(101))
    first = RootCause(
        1,
        "orders-db",
        "db_client_connections_wait_seconds",
        0.8731,
        CausalPath(nodes, edges, onsets, -math.log(0.93 * 0.88 * 0.81)),
        (
            Evidence(
                "metric",
                "wait for a connection is 2.4 s where 8 to 21 ms was expected, from 10:37 on",
                'histogram_quantile(0.95, sum by (le) (rate(db_client_connections_wait_seconds_bucket{service="orders-db"}[5m])))',
                "https://grafana.example.net/d/orders?from=1773480000000",
                1.21,
            ),
            Evidence("log", "new error template in 41 of 44 failed requests: connection pool exhausted", weight=0.84),
            Evidence(
                "trace", "spans of orders that call orders-db wait 2.3 s longer; no callee of it is slower", weight=0.52
            ),
            Evidence("change", "pool size was lowered from 200 to 20 six minutes before the onset", weight=0.33),
        ),
        fault="connections",
    )
    second = RootCause(
        2,
        "orders",
        "http_server_duration_seconds",
        0.1142,
        CausalPath(nodes[1:], edges[1:], onsets[1:], -math.log(0.88 * 0.81)),
        (Evidence("metric", "p95 is 2.5 s where 60 to 110 ms was expected", weight=0.9),),
        "It is slow only while it waits for orders-db, which began a minute earlier.",
        "latency",
    )
    third = RootCause(
        3,
        "recommendations",
        "process_cpu_ratio",
        0.0311,
        CausalPath(
            ("recommendations", "frontend"),
            (Edge("recommendations", "frontend", 0.12, timedelta(0), "declared"),),
            (at(88), at(101)),
            -math.log(0.12),
        ),
        (Evidence("metric", "CPU is at 78% where 40 to 61% was expected", weight=0.3),),
        "Its CPU rose nine minutes before anything else, and its requests stayed as fast as before.",
        "cpu",
    )
    charts = (
        chart("orders-db", "db_client_connections_wait_seconds", 0.014, 0.005, 2.4, 97, 0.3),
        chart("orders", "http_server_duration_p95_seconds", 0.085, 0.02, 2.45, 98, 1.1),
        chart("checkout", "http_server_duration_p95_seconds", 0.16, 0.03, 2.6, 99, 2.7),
        chart("frontend", "http_server_duration_p95_seconds", 0.31, 0.05, 2.75, 101, 0.9),
        chart("checkout", "request_success_ratio", 0.996, 0.002, -0.31, 100, 4.2),
        chart("orders", "process_resident_memory_bytes", 4.1e8, 6e6, 9.4e7, 99, 3.3),
    )
    anomalies = tuple(
        Anomaly(
            c.node,
            c.metric,
            at(97 + index),
            Direction.DOWN if "success" in c.metric else Direction.UP,
            9.713456 / (index + 1),
            index,
            (c.lower[-1], c.upper[-1]),
            c.values[-1],
        )
        for index, c in enumerate(charts)
    )
    events = (
        Event(
            EventKind.CHANGE, "orders-db", "config", at(91), 3.1, "ConfigMap orders-db-pool: max_connections 200 -> 20"
        ),
        Event(
            EventKind.LOG,
            "orders",
            "new",
            at(97),
            6.2,
            "connection pool exhausted after <*> ms, 41 times",
            "ERROR pool: connection pool exhausted after 2000 ms (orders-db:5432, waiting=180)",
        ),
        Event(
            EventKind.LOG,
            "orders",
            "lost",
            at(98),
            4.4,
            "order <*> stored, from 620 a minute to 31",
            "INFO store: order 81723 stored in 12 ms",
        ),
        Event(
            EventKind.LOG,
            "checkout",
            "surged",
            at(99),
            2.2,
            "retrying call to orders, 14 times as often",
            "WARN client: retrying call to orders (attempt 2 of 3)",
        ),
        Event(
            EventKind.SPAN,
            "orders-db",
            "edge_gap",
            at(97),
            5.0,
            "orders waits 2.3 s longer for orders-db than the calls take",
            peer="orders",
        ),
        Event(EventKind.ALERT, "frontend", "FrontendLatencyHigh", at(104), 1.4, "p95 above 1 s for 3 min"),
    )
    alert = Alert(
        "c0ffee0123456789",
        "firing",
        MappingProxyType({"alertname": "FrontendLatencyHigh", "service": "frontend", "severity": "page"}),
        MappingProxyType(
            {"summary": "p95 of frontend is above 1 s", "runbook_url": "https://runbooks.example.net/latency"}
        ),
        at(104),
        generator_url="https://prometheus.example.net/graph?g0.expr=up",
    )
    symptom = Symptom("frontend", "http_server_duration_p95_seconds", at(104))
    return Report(
        id="5f0c2a9be1d47736",
        verdict=Verdict.FOUND,
        summary=(
            "orders-db ran out of connections at 10:37 UTC, and that slows frontend (87% sure)",
            "orders-db 10:37 → orders 10:38 → checkout 10:39 → frontend 10:41; alert at 10:44",
            "Rests on connection wait (2.4 s instead of 21 ms), a new error log in orders, and a pool change at 10:31",
        ),
        task=Task("frontend_latency_high", Intent.DIAGNOSE, Inputs(symptom=symptom, alerts=(alert,))),
        symptom=symptom,
        root_causes=(first, second, third),
        anomalies=anomalies,
        events=events,
        gaps=(
            Gap("traces of payment", "Tempo answered 504 after 5.0 s", "aiops doctor --live"),
            Gap("logs of recommendations", "no stream maps to this node", "add a line to rules/entities.yaml"),
        ),
        remediation=Remediation(
            "rollback-config",
            "Roll the ConfigMap orders-db-pool back to revision 41",
            "orders-db",
            ("kubectl", "rollout", "undo", "configmap/orders-db-pool", "--to-revision=41", "--namespace", "shop"),
            MappingProxyType({"revision": "41"}),
            "The pool size changed six minutes before the onset, on the node that is the cause.",
            "p95 of db_client_connections_wait_seconds is below 50 ms for 5 min",
            "kubectl rollout undo configmap/orders-db-pool --to-revision=42",
        ),
        charts=charts,
        dropped=(Edge("frontend", "checkout", 0.2, timedelta(0), "learned"),),
        versions=MappingProxyType({"aiops": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"}),
        hashes=MappingProxyType({"recording": "sha256:9f2c51", "rules": "sha256:77ab03"}),
        run=MappingProxyType({"created": "2026-03-14T10:44:12Z", "host": "ops-1", "seconds": "1.9"}),
    )


def inconclusive() -> Report:
    """Nothing could be read: no cause, no chart, only gaps."""
    symptom = Symptom("frontend", None, at(104))
    return Report(
        id="00d1e5b7a4c39f28",
        verdict=Verdict.INCONCLUSIVE,
        summary=(
            "Inconclusive: too little could be read to name a cause for frontend",
            "Metrics and traces did not answer; one log stream did, and nothing in it changed",
            "Mend the gaps below, then ask again",
        ),
        task=Task("frontend_latency_high", Intent.DIAGNOSE, Inputs(symptom=symptom)),
        symptom=symptom,
        root_causes=(),
        anomalies=(),
        events=(),
        gaps=(
            Gap("metrics", "http://prometheus:9090 refused the connection", "start Prometheus or pass --metrics URL"),
            Gap("traces", "no trace source is configured", "pass --traces tempo+http://HOST:3200"),
        ),
        remediation=None,
        charts=(),
        dropped=(),
        versions=MappingProxyType({"aiops": "0.1.0"}),
        hashes=MappingProxyType({}),
    )


def chinese() -> Report:
    """Names and lines in Chinese, as they come from a Chinese shop."""
    report = found()
    first, *rest = report.root_causes
    event = Event(
        EventKind.LOG,
        "订单服务",
        "new",
        at(97),
        7.0,
        "连接池已耗尽，41 次",
        "错误 连接池：等待 2000 毫秒后连接池已耗尽（订单数据库:5432）",
    )
    path = replace(first.path, nodes=("订单数据库", "订单服务", *first.path.nodes[2:]))
    return replace(
        report,
        summary=("订单数据库在 10:37 UTC 用尽了连接，拖慢了 frontend（把握 87%）", *report.summary[1:]),
        root_causes=(replace(first, node="订单数据库", path=path), *rest),
        events=(event, *report.events),
        charts=tuple(
            replace(c, node={"orders-db": "订单数据库", "orders": "订单服务"}.get(c.node, c.node))
            for c in report.charts
        ),
    )


def foreseen() -> Report:
    """A disk that will be full, and a series too young to say anything about."""
    steps = range(1, 25)
    mean = tuple(88 + 0.5 * step for step in steps)
    trials = (
        Trial("seasonal naive", 0.97, 1.31, 9.2, 24),
        Trial("Gaussian process", 0.942, 0.71, 4.4, 24),
        Trial("ETS", why_not="needs statsmodels: pip install '.[forecast]'"),
    )
    disk = Forecast(
        series='disk_used_percent{service="db-3"}',
        node="db-3",
        metric="disk_used_percent",
        times=tuple(int(at(60 * step).timestamp()) for step in steps),
        mean=mean,
        lower=tuple(m - 1.0 for m in mean),
        upper=tuple(m + 3.0 for m in mean),
        level=0.95,
        coverage=0.942,
        method="Gaussian process",
        trusted=True,
        reason="",
        trials=trials,
        history=TimeRange(at(-20160), at(0)),
        samples=336,
        gaps=3,
        step_s=3600,
        season_s=86_400,
        last=88.0,
        features=MappingProxyType({"mean": 80.5, 'linear_trend__attr_"slope"': 0.5}),
        crossing=Crossing(100.0, False, at(18 * 60), at(24 * 60), None),
    )
    young = replace(
        disk,
        node="",
        metric="load",
        trusted=False,
        coverage=None,
        method="robust band",
        crossing=None,
        samples=7,
        reason="only 7 of at least 12 samples: still warming up",
        trials=(Trial("ETS", why_not="still warming up"),),
    )
    past = tuple(int(at(60 * (step - 72)).timestamp()) for step in range(73))
    charts = tuple(
        Chart(
            title=f"{one.metric} of {one.node}",
            node=one.node,
            metric=one.metric,
            times=(*past, *one.times),
            values=(*(52 + 0.5 * step + 0.3 * wobble(step, 0.0) for step in range(73)), *[None] * 24),
            lower=(*[None] * 73, *one.lower),
            upper=(*[None] * 73, *one.upper),
            marks=(("now", past[-1]), ("full at the earliest", int(at(18 * 60).timestamp()))),
            mean=(*[None] * 73, *one.mean) if one.trusted else (),
            limit=one.crossing.limit if one.crossing else None,
            caption="95% band by Gaussian process; it covered 94.2% in the backtest",
        )
        for one in (disk, young)
    )
    return Report(
        id="7c41e0b2d95f3a68",
        verdict=Verdict.FOUND,
        summary=("disk_used_percent of db-3: up to 100 from 03:00Z on", "By Gaussian process", "Rests on 14 d"),
        task=Task("forecast_disk", Intent.FORECAST, Inputs(query="disk_used_percent", horizon=timedelta(days=1))),
        symptom=Symptom("db-3", "disk_used_percent", at(0)),
        root_causes=(),
        anomalies=(),
        events=(),
        gaps=(),
        remediation=None,
        charts=charts,
        dropped=(),
        versions=MappingProxyType({"aiops": "0.1.0"}),
        hashes=MappingProxyType({}),
        forecasts=(disk, young),
    )


def filled(report: Report, text: str) -> Report:
    """The same report with `text` in every field that takes text from outside."""
    hostile = _fill(report, text)
    assert isinstance(hostile, Report)
    return hostile


def _fill(value: Any, text: str) -> Any:
    if isinstance(value, Enum | datetime | timedelta):
        return value
    if isinstance(value, str):
        return text
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _fill(getattr(value, f.name), text) for f in fields(value)})
    if isinstance(value, tuple):
        return tuple(_fill(item, text) for item in value)
    if isinstance(value, MappingProxyType):
        # Keys by which the page looks things up stay, the others are hostile too.
        return MappingProxyType(
            {key: _fill(one, text) for key, one in value.items()}
            | {text: _fill(next(iter(value.values()), text), text)}
        )
    return value


def telling_times(first: str = "Cause: a, 90% likely, behind b since 2026-03-14 16:30:00Z") -> Report:
    """A path over midnight in Shanghai, as a stage tells it."""
    symptom = Symptom("b", None, datetime(2026, 3, 14, 16, 30, tzinfo=UTC))
    path = "Path: a 15:59:30Z -> b 16:01:00Z (probability 0.50)"
    return replace(found(), symptom=symptom, summary=(first, path, "Rests on: its place in the graph alone"))
