"""Stage 5: Findings + Observation -> CausalGraph. Calls turned round (callee -> caller: trouble climbs), made acyclic, every
edge with its strength, its lag and where we know it from.

The strength of an edge is read as the probability that trouble at the cause shows at the effect. It depends on the source
alone (`edge_strength` in rules/ranking.yaml): evidence about nodes is weighed once, in `rank`, not a second time on the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from aiops.domain import CausalGraph, Edge, Findings, Observation, Panel, Scope
from aiops.kernels.components import components
from aiops.kernels.kinds import Kind, kind_of
from aiops.kernels.order import neutral
from aiops.telemetry import stage

GUESS = "learned"
LEAST = 1e-300  # strength of an edge that costs more than a float can tell
NEVER = datetime.max.replace(tzinfo=UTC)


@stage("link")
def link(findings: Findings, observation: Observation, scope: Scope, ranking: Mapping[str, Any]) -> CausalGraph:
    """The causal graph over all nodes that are known by calls or stand accused. Its last effect is the symptom.

    A symptom that no call mentions is *virtual*: every entry (a node that nobody calls) leads to it. An accused node from which
    no path leads to the symptom gets a weak edge of its own, marked `learned`, so that a missing topology hides nobody.
    """
    strength = {name: float(value) for name, value in ranking["edge_strength"].items()}
    price = source_costs(observation.panel) if ranking["cost_model"] == "source" else None
    onsets = findings.onsets()
    accused = {node for channel in findings.channels.values() for node, e in channel.items() if e > 0}
    calls = _calls(observation, onsets, strength)
    if price is not None:
        calls = [replace(e, strength=max(LEAST, math.exp(-price.get(e.cause, 0.0)))) for e in calls]
    known = {n for e in calls for n in (e.cause, e.effect)}
    symptom = scope.symptom
    entries = _entries(calls, symptom) if symptom not in known else []
    edges = [*calls, *(_edge(n, symptom, strength["entry"], "labels", onsets) for n in entries)]
    kept, dropped = _acyclic(edges, symptom, onsets)
    stranded = sorted(accused - _reaching(kept, symptom) - {symptom})
    kept += [_edge(n, symptom, strength[GUESS], GUESS, onsets) for n in stranded]
    nodes = known | accused | {symptom}
    return CausalGraph(tuple(sorted(nodes)), tuple(sorted(kept, key=_order)), tuple(sorted(dropped, key=_order)))


def source_costs(panel: Panel) -> dict[str, float]:
    """Node id -> log(1 + error rate) + latency in ms / 100 over the incident: the edge weight of the owner's design document.

    It grows with trouble, so minimising it walks around the fault; see `rank`. Latency is read as seconds unless the metric's
    name says ms or us; what is not measured costs nothing.
    """
    latency: dict[str, float] = {}
    errors: dict[str, float] = {}
    incident = panel.values[:, panel.incident]
    for row, (node, metric) in enumerate(zip(panel.nodes, panel.metrics, strict=True)):
        seen = incident[row][np.isfinite(incident[row])]
        kind, name = kind_of(metric), metric.lower()
        if not node or not len(seen):
            continue
        level = max(0.0, float(np.median(seen)))
        if kind is Kind.LATENCY:
            ms = level * (1.0 if "ms" in name else 1e-3 if "_us" in name else 1e3)
            latency[node] = max(latency.get(node, 0.0), ms)
        elif kind is Kind.AVAILABILITY:
            errors[node] = max(errors.get(node, 0.0), 1.0 - min(1.0, level / (100.0 if level > 1.5 else 1.0)))
    return {n: math.log1p(errors.get(n, 0.0)) + latency.get(n, 0.0) / 100.0 for n in sorted({*latency, *errors})}


def _calls(observation: Observation, onsets: Mapping[str, datetime], strength: Mapping[str, float]) -> list[Edge]:
    """One edge per pair of nodes: the best known source wins, a strength that was declared before that of its source. Self loops
    say nothing about causes."""
    best: dict[tuple[str, str], tuple[tuple[bool, float, str], Edge]] = {}
    for call in observation.calls:
        if not call.caller or not call.callee or call.caller == call.callee:
            continue
        edge = Edge(
            call.callee,
            call.caller,
            min(1.0, max(1e-9, strength.get(call.source, strength[GUESS]) if call.strength is None else call.strength)),
            _lag(onsets, call.callee, call.caller),
            call.source,
            call.kind,
            call.last_seen,
        )
        place, key = (call.strength is None, -edge.strength, edge.source), (edge.cause, edge.effect)
        if key not in best or place < best[key][0]:
            best[key] = place, edge
    return [best[key][1] for key in sorted(best)]


def _edge(cause: str, effect: str, strength: float, source: str, onsets: Mapping[str, datetime]) -> Edge:
    return Edge(cause, effect, strength, _lag(onsets, cause, effect), source)


def _lag(onsets: Mapping[str, datetime], cause: str, effect: str) -> timedelta:
    if cause in onsets and effect in onsets:
        return max(timedelta(0), onsets[effect] - onsets[cause])
    return timedelta(0)


def _entries(edges: Iterable[Edge], symptom: str) -> list[str]:
    listed = list(edges)
    causes = {e.cause for e in listed}
    return sorted({e.effect for e in listed} - causes - {symptom})


def _acyclic(edges: list[Edge], symptom: str, onsets: Mapping[str, datetime]) -> tuple[list[Edge], list[Edge]]:
    """(kept, dropped): inside each strongly connected component only edges from an earlier to a later onset stay.

    The symptom comes last of all; nodes without an onset come after those with one; a hash of the name breaks ties, so that no
    name is favoured. Edges out of the symptom are dropped: nothing that the symptom does explains it.
    """
    names = sorted({n for e in edges for n in (e.cause, e.effect)})
    index = {name: k for k, name in enumerate(names)}
    component = components(len(names), [(index[e.cause], index[e.effect]) for e in edges])

    def place(node: str) -> tuple[bool, datetime, str]:
        onset = onsets.get(node)
        return node == symptom, onset or NEVER, neutral(node)

    kept: list[Edge] = []
    dropped: list[Edge] = []
    for edge in edges:
        tied = component[index[edge.cause]] == component[index[edge.effect]]
        backwards = edge.cause == symptom or (tied and place(edge.cause) >= place(edge.effect))
        (dropped if backwards else kept).append(edge)
    return kept, dropped


def _reaching(edges: Iterable[Edge], symptom: str) -> set[str]:
    """Nodes from which a path leads to the symptom."""
    causes: dict[str, list[str]] = {}
    for edge in edges:
        causes.setdefault(edge.effect, []).append(edge.cause)
    reached, todo = {symptom}, [symptom]
    while todo:
        for cause in causes.get(todo.pop(), ()):
            if cause not in reached:
                reached.add(cause)
                todo.append(cause)
    return reached


def _order(edge: Edge) -> tuple[str, str, str]:
    return edge.cause, edge.effect, edge.source
