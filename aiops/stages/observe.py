"""Stage 3: Scope -> Observation. Reads all sources at once under one deadline; each failure becomes a Gap.

Raises SourceError only when no source at all could be read: then there is nothing to report about.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Set
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

import numpy as np

from aiops.domain import (
    Alert,
    Call,
    Calls,
    Change,
    Gap,
    Labels,
    Logs,
    ObjectArray,
    Observation,
    Panel,
    Scope,
    Spans,
    series_key,
)
from aiops.errors import AiopsError, SourceError, SourceUnreachable
from aiops.kernels.counters import is_counter, rate
from aiops.ports import ChangeSource, GraphStore, LogSource, MetricsSource, TraceSource
from aiops.rules import Entities, Topology
from aiops.stages.topology import calls_of_labels, calls_of_panel, calls_of_spans, dated, merged

T = TypeVar("T")


def observe(
    scope: Scope,
    metrics: MetricsSource,
    logs: LogSource | None,
    traces: TraceSource | None,
    changes: ChangeSource | None,
    graph: GraphStore,
    alerts: tuple[Alert, ...],
    entities: Entities,
    topology: Topology,
    deadline_s: float,
) -> Observation:
    """All that the sources say about `scope` within `deadline_s` seconds."""
    gaps: list[Gap] = list(scope.gaps)
    failures: list[SourceError] = []
    ends = time.monotonic() + deadline_s
    pool = ThreadPoolExecutor(7, thread_name_prefix="observe")
    try:
        reads: dict[str, Future[object] | None] = {
            "metrics": pool.submit(metrics.read, scope, deadline_s),
            "logs": pool.submit(logs.read, scope, deadline_s) if logs else None,
            "traces": pool.submit(traces.read, scope, deadline_s) if traces else None,
            "stated dependencies": pool.submit(traces.calls, deadline_s) if traces else None,
            "changes": pool.submit(changes.read, scope, deadline_s) if changes else None,
            "dependencies in metrics": pool.submit(metrics.catalog, deadline_s, topology.metrics),
            "known dependencies": pool.submit(graph.calls, scope.nodes, 1),
        }

        def take(what: str, otherwise: Callable[[], T]) -> T:
            """The answer about `what`, or `otherwise` and a gap."""
            future = reads[what]
            if future is None:
                gaps.append(Gap(what, "no source is configured", f"aiops config show sources.{what}"))
                return otherwise()
            try:
                return future.result(max(0.0, ends - time.monotonic()))  # type: ignore[return-value]  # the port's type
            except FutureTimeoutError:
                failures.append(SourceUnreachable(what, "its source", f"no answer within {deadline_s:g} s"))
                gaps.append(Gap(what, str(failures[-1]), "aiops doctor --live"))
            except SourceError as error:
                failures.append(error)
                gaps.append(Gap(what, str(error), "aiops doctor --live"))
            except AiopsError as error:
                gaps.append(Gap(what, str(error), "aiops doctor"))
            return otherwise()

        scraped = take("metrics", Panel.empty)
        lines = take("logs", Logs.empty)
        spans = take("traces", Spans.empty)
        stated: tuple[Call, ...] = take("stated dependencies", tuple) if traces else ()
        changed: tuple[Change, ...] = take("changes", tuple)
        related: tuple[Labels, ...] = take("dependencies in metrics", tuple)
        known: Calls = take("known dependencies", lambda: Calls.of(()))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

    if failures and not (len(scraped.labels) or len(lines) or len(spans)):
        raise failures[0]
    panel = _with_rates(scraped)
    nodes = tuple(entities.node("series", labels) for labels in panel.labels)
    gaps += [*lines.gaps, *spans.gaps, *known.gaps, *_unmapped(panel, nodes)]
    spans = dataclasses.replace(spans, nodes=_nodes(spans.nodes, "span", entities))
    # What a trace source states rests on more traces than were read here.
    traced = tuple(dated(stated, scope.at)) if stated else calls_of_spans(spans)
    labelled = (
        calls_of_labels(related, topology, entities, scope.at),
        calls_of_panel(scraped, topology, entities, scope.at),
    )
    observed = merged(traced, *labelled)
    calls = merged(observed, known, topology.declared)
    lines = dataclasses.replace(lines, nodes=_nodes(lines.nodes, "log", entities))
    seen = {*nodes, *lines.nodes, *spans.nodes}
    gaps += _unseen(scope, {*seen, *(n for c in calls for n in (c.caller, c.callee))})
    gaps += _unread(scope, observed, {*seen, *known.nodes})
    return Observation(
        dataclasses.replace(panel, nodes=nodes),
        lines,
        spans,
        changed,
        calls,
        alerts,
        tuple(entities.node("alert", a.labels) for a in alerts),
        tuple(gaps),
    )


def _with_rates(panel: Panel) -> Panel:
    """Counters as per-second rates, renamed `rate(NAME)`; everything else as it is."""
    names = panel.metrics
    rows = [i for i, name in enumerate(names) if is_counter(name, panel.values[i])]
    if not rows:
        return panel
    values, labels = panel.values.copy(), list(panel.labels)
    values[rows] = rate(panel.times, panel.values[rows])
    for i in rows:
        labels[i] = {**labels[i], "__name__": f"rate({names[i]})"}
    order = sorted(range(len(labels)), key=lambda i: series_key(labels[i]))
    return Panel(
        tuple(labels[i] for i in order),
        panel.times,
        values[order],
        tuple(panel.nodes[i] for i in order),
        panel.incident,
    )


def _nodes(names: ObjectArray, kind: str, entities: Entities) -> ObjectArray:
    """Node id of each stream name; the mapping is made once per distinct name."""
    known = {name: entities.node(kind, {"service": name}) for name in set(names)}
    out = np.empty(len(names), np.object_)
    out[:] = [known[name] for name in names]
    return out


def _unseen(scope: Scope, seen: Set[str]) -> list[Gap]:
    if scope.symptom_node is None or scope.symptom_node in seen:
        return []
    return [
        Gap(
            f"symptom {scope.symptom_node}",
            "no series, log, span or dependency mentions it, so every entry of the system is taken to lead to it",
            "aiops graph show lists the known names; name others under aliases in rules/entities.yaml",
        )
    ]


def _unread(scope: Scope, observed: Iterable[Call], known: Set[str]) -> list[Gap]:
    """What the graph did not know when the scope was drawn, and so was not read about."""
    near = set(scope.nodes)
    ends = ((a, b) for call in observed for a, b in ((call.caller, call.callee), (call.callee, call.caller)))
    fresh = sorted({other for one, other in ends if one in near} - near - known)
    if not fresh:
        return []
    named = f"{', '.join(fresh[:3])}{' and more' if len(fresh) > 3 else ''}"
    return [
        Gap(
            f"what {named} measured",
            "the graph learned of it just now, after it was settled what to read",
            "ask again: the next diagnosis reads it",
        )
    ]


def _unmapped(panel: Panel, nodes: tuple[str, ...]) -> list[Gap]:
    lost = [series_key(labels) for labels, node in zip(panel.labels, nodes, strict=True) if not node]
    if not lost:
        return []
    return [
        Gap(
            f"{len(lost)} series",
            f"they map to no node, for example {lost[0]}",
            "name their label under labels.series in rules/entities.yaml",
        )
    ]
