"""A small made-up system: entry -> mid -> leaf, entry -> side, with one fault where a test wants it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from aiops import resources, rules
from aiops.domain import NS, Call, FloatArray, Logs, Observation, Panel, Scope, Spans, TimeRange, from_ns, to_ns

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEP = 60 * NS
BASELINE, INCIDENT = 60, 5
EDGES = (("entry", "mid"), ("mid", "leaf"), ("entry", "side"))
NODES = ("entry", "mid", "leaf", "side")


def ranking(**changed: Any) -> dict[str, Any]:
    return {**rules.load(resources.folder("rules")).ranking, **changed}


def scope(node: str | None = "entry", metric: str | None = "latency_avg") -> Scope:
    start, end = from_ns(to_ns(AT) - BASELINE * STEP), from_ns(to_ns(AT) + INCIDENT * STEP)
    return Scope(AT, TimeRange(start, AT), TimeRange(AT, end), node, metric)


def times() -> np.ndarray[Any, np.dtype[np.int64]]:
    """Two incident rows before the symptom is noticed, as in life."""
    return to_ns(AT) + STEP * (np.arange(BASELINE + INCIDENT, dtype=np.int64) - BASELINE - 2 + 2)


def observe(
    series: dict[tuple[str, str], FloatArray],
    calls: tuple[tuple[str, str], ...] = EDGES,
    logs: Logs | None = None,
    spans: Spans | None = None,
) -> Observation:
    keys = sorted(series)
    panel = Panel(
        tuple({"__name__": metric, "service": node} for node, metric in keys),
        times(),
        np.array([series[key] for key in keys]).reshape(len(keys), BASELINE + INCIDENT),
        tuple(node for node, _ in keys),
        times() >= to_ns(AT),
    )
    declared = tuple(Call(a, b, "declared") for a, b in sorted(calls))
    return Observation(panel, logs or Logs.empty(), spans or Spans.empty(), (), declared)


def quiet(seed: int = 0, nodes: tuple[str, ...] = NODES) -> dict[tuple[str, str], FloatArray]:
    """Four metrics per node, Gaussian around their levels."""
    random = np.random.default_rng(seed)
    levels = {"cpu_usage": 0.3, "latency_avg": 0.1, "requests_total": 1000.0, "availability": 99.9}
    return {
        (node, metric): level * (1.0 + 0.02 * random.standard_normal(BASELINE + INCIDENT))
        for node in nodes
        for metric, level in levels.items()
    }


def faulty(node: str = "leaf", seed: int = 0) -> dict[tuple[str, str], FloatArray]:
    """`node` burns cpu and slows down by 0.3 s; each caller above it inherits that."""
    series = quiet(seed)
    series[node, "cpu_usage"][-4:] += 0.6
    above = {node}
    while True:
        more = above | {a for a, b in EDGES if b in above}
        if more == above:
            break
        above = more
    for one in above:
        series[one, "latency_avg"][-4:] += 0.3
    return series
