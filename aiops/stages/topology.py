"""Topology from what is already there: label sets and spans -> Calls, each with its source. Pure.

`rules/topology.yaml` says which metrics and labels state a dependency; nothing here knows a product.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

from aiops.domain import Call, Labels, Panel, Spans, from_ns
from aiops.rules import Entities, Relation, Topology

SERVICE_GRAPH, LABELS, TRACES, DECLARED = "service-graph", "labels", "traces", "declared"
Key = tuple[str, str, str, str]


def calls_of_labels(
    series: Iterable[Labels], topology: Topology, entities: Entities, at: datetime | None = None
) -> tuple[Call, ...]:
    """What label sets that were there `at` some time state: CALLS of `service-graph`, RUNS_ON of `labels`; sorted, each once.

    O(series x rules)."""
    sets = list(series)
    watched = {entities.node("series", labels) for labels in sets}
    found: set[Call] = set()
    for labels in sets:
        for relation in topology.calls:
            found.update(_call(labels, relation, topology, entities))
        for relation in topology.runs_on:
            found.update(_host(labels, relation, topology, entities, watched))
    return merged(dated(found, at))


def calls_of_panel(
    panel: Panel, topology: Topology, entities: Entities, at: datetime | None = None
) -> tuple[Call, ...]:
    """As `calls_of_labels`, of the series that have a sample."""
    rows = np.flatnonzero((~np.isnan(panel.values)).any(axis=1)).tolist()
    return calls_of_labels((panel.labels[row] for row in rows), topology, entities, at)


def dated(calls: Iterable[Call], at: datetime | None) -> Iterator[Call]:
    """What was observed without a time of its own was there `at` that time; what people declared has none."""
    return (
        replace(c, first_seen=at, last_seen=at) if c.last_seen is None and c.source != DECLARED else c for c in calls
    )


def calls_of_spans(spans: Spans) -> tuple[Call, ...]:
    """Parent spans of one node with a child of another, with the first and last start of such a child. O(N)."""
    row = {(trace, span): i for i, (trace, span) in enumerate(zip(spans.trace_ids, spans.span_ids, strict=True))}
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    for i, key in enumerate(zip(spans.trace_ids, spans.parent_ids, strict=True)):
        parent = row.get(key, -1)
        caller, callee, at = spans.nodes[parent], spans.nodes[i], int(spans.times[i])
        if parent >= 0 and caller and callee and caller != callee:
            first, last = seen.get((caller, callee), (at, at))
            seen[caller, callee] = min(first, at), max(last, at)
    return tuple(Call(a, b, TRACES, "CALLS", from_ns(f), from_ns(t)) for (a, b), (f, t) in sorted(seen.items()))


def merged(*many: Iterable[Call]) -> tuple[Call, ...]:
    """Each edge once, sorted by caller, callee, kind and source, seen from the first to the last time that any says."""
    best: dict[Key, Call] = {}
    for call in (call for calls in many for call in calls):
        key = call.caller, call.callee, call.kind, call.source
        other = best.get(key, call)
        first = min((at for at in (call.first_seen, other.first_seen) if at), default=None)
        last = max((at for at in (call.last_seen, other.last_seen) if at), default=None)
        strength = other.strength if call.strength is None else call.strength
        best[key] = Call(call.caller, call.callee, call.source, call.kind, first, last, strength)
    return tuple(best[key] for key in sorted(best))


def _call(labels: Labels, relation: Relation, topology: Topology, entities: Entities) -> Iterator[Call]:
    if not relation.fits(labels):
        return
    caller = _end(labels, relation.tail, topology, entities)
    callee = _end(labels, relation.head, topology, entities)
    if caller and callee and caller != callee:
        yield Call(caller, callee, SERVICE_GRAPH)


def _host(
    labels: Labels, relation: Relation, topology: Topology, entities: Entities, watched: Collection[str]
) -> Iterator[Call]:
    """Of several names of a host the one that has series of its own, else the first."""
    if not relation.fits(labels):
        return
    what = _end(labels, relation.tail, topology, entities) if relation.tail else entities.node("series", labels)
    names = [name for label, kind in relation.head.items() if (name := _end(labels, {label: kind}, topology, entities))]
    known = [name for name in names if name in watched and name != what]
    host = next(iter(known or ([] if relation.watched else names)), "")
    if what and host and host != what:
        yield Call(what, host, LABELS, "RUNS_ON")


def _end(labels: Labels, names: Mapping[str, str], topology: Topology, entities: Entities) -> str:
    """The node that the first telling label of `names` means; "" when none does."""
    for label, kind in names.items():
        value = labels.get(label, "")
        if not value or value in topology.ignore:
            continue
        node = entities.node("series", {kind: topology.shortened(value)})
        if node and node not in topology.ignore:
            return node
    return ""
