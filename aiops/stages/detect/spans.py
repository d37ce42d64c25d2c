"""Traces: which call got slower between its two ends, and which operation stopped making its calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from aiops.domain import BoolArray, FloatArray, IntArray, Spans

FLOOR_NS = 1e6  # a gap below a millisecond is clock and serialisation


@dataclass(frozen=True, slots=True)
class SpanTable:
    """Spans with integer codes: `node`, `operation` index `nodes`, `operations`; `parent` is a row or -1."""

    nodes: tuple[str, ...]
    operations: tuple[str, ...]
    node: IntArray
    operation: IntArray
    parent: IntArray
    rows: dict[str, int]


def codes(values: Iterable[str]) -> tuple[tuple[str, ...], IntArray]:
    """Sorted distinct values and the index of each value among them."""
    listed = list(values)
    names = sorted(set(listed))
    index = {name: k for k, name in enumerate(names)}
    return tuple(names), np.fromiter((index[v] for v in listed), dtype=np.int64, count=len(listed))


def span_table(spans: Spans) -> SpanTable:
    """Joins children to parents by span id. O(N)."""
    nodes, node = codes(spans.nodes)
    operations, operation = codes(spans.operations)
    rows = {span: row for row, span in enumerate(spans.span_ids)}
    parent = np.fromiter((rows.get(p, -1) for p in spans.parent_ids), dtype=np.int64, count=len(spans))
    return SpanTable(nodes, operations, node, operation, parent, rows)


@dataclass(frozen=True, slots=True)
class EdgeGap:
    """Caller's client span minus callee's server span on one edge. `shift`: log ratio of the upper quartile, incident over
    reference; `z`: Mann-Whitney score of incident gaps against reference gaps; `callee_z`: the same of all calls to the callee,
    each gap in units of its edge's reference quartile; `n`: incident calls; `onset_ns`: the first incident call whose gap is
    nearer (in log) to the quartile after than to the one before."""

    caller: str
    callee: str
    shift: float
    z: float
    callee_z: float
    n: int
    before_ns: float
    after_ns: float
    onset_ns: int


def edge_gaps(spans: Spans, table: SpanTable) -> list[EdgeGap]:
    """Network time of every edge, before and in the incident.

    Only parents with exactly one remote child are clean client spans. An edge without baseline calls is compared with the
    baseline of all edges.
    """
    child = np.flatnonzero(table.parent >= 0)
    child = child[table.node[child] != table.node[table.parent[child]]]
    fan_out = np.bincount(table.parent[child], minlength=len(spans))
    child = child[fan_out[table.parent[child]] == 1]
    parent = table.parent[child]
    gap = np.maximum((spans.durations[parent] - spans.durations[child]).astype(np.float64), FLOOR_NS)
    edge = table.node[parent] * len(table.nodes) + table.node[child]
    incident = told_apart(spans)[child]
    result = []
    samples: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for code in np.unique(edge):
        of_edge = edge == code
        late = of_edge & incident
        after = gap[late]
        if len(after) == 0:
            continue
        before = _reference(gap, of_edge, incident)
        if len(before) == 0:
            continue
        caller, callee = divmod(int(code), len(table.nodes))
        upper_before, upper_after = float(np.quantile(before, 0.75)), float(np.quantile(after, 0.75))
        shift = float(np.log(upper_after / upper_before))
        samples.setdefault(table.nodes[callee], []).append((after / upper_before, before / upper_before))
        slow = spans.times[child[late]][after >= np.sqrt(upper_before * upper_after)]
        result.append(
            EdgeGap(
                table.nodes[caller],
                table.nodes[callee],
                shift,
                mann_whitney(after, before),
                0.0,
                len(after),
                upper_before,
                upper_after,
                int(slow.min()) if len(slow) else int(spans.times[child[late]].min()),
            )
        )
    pooled = {callee: _pooled(pairs) for callee, pairs in samples.items()}
    return [dataclasses.replace(gap, callee_z=pooled[gap.callee]) for gap in result]


def _pooled(samples: list[tuple[FloatArray, FloatArray]]) -> float:
    """Mann-Whitney score of several (incident, reference) samples of one unit as one: a few calls of each of several callers
    together are many."""
    return mann_whitney(np.concatenate([a for a, _ in samples]), np.concatenate([b for _, b in samples]))


def told_apart(spans: Spans) -> BoolArray:
    """Incident flags. Where nothing has a baseline, the first third of the recorded spans stands for it: recordings begin
    before the symptom, and rarely at the very start of the fault."""
    if not len(spans) or not spans.incident.all():
        return spans.incident
    first, last = int(spans.times.min()), int(spans.times.max())
    return np.asarray(spans.times >= first + (last - first) // 3)


def _reference(gap: FloatArray, of_edge: BoolArray, incident: BoolArray) -> FloatArray:
    own = gap[of_edge & ~incident]
    if len(own):
        return own
    return gap[~incident]


def mann_whitney(a: FloatArray, b: FloatArray) -> float:
    """Standardised U of `a` against `b` (positive: a is larger), ties at mid-rank without tie correction. O(n log n)."""
    ordered = np.sort(b)
    below = np.searchsorted(ordered, a, side="left")
    upto = np.searchsorted(ordered, a, side="right")
    u = float(np.sum(below + 0.5 * (upto - below)))
    n, m = len(a), len(b)
    return (u - n * m / 2.0) / sqrt(n * m * (n + m + 1) / 12.0)


def gap_evidence(gaps: list[EdgeGap]) -> dict[str, float]:
    """Callee id -> mean shift over its incoming edges, weighted by sqrt(n), times the significance z^2 / (z^2 + 9) of all its
    calls; unsaturated."""
    weight: dict[str, float] = {}
    total: dict[str, float] = {}
    for gap in gaps:
        w = sqrt(gap.n)
        significance = gap.callee_z**2 / (gap.callee_z**2 + 9.0) if gap.callee_z > 0 else 0.0
        weight[gap.callee] = weight.get(gap.callee, 0.0) + w
        total[gap.callee] = total.get(gap.callee, 0.0) + w * max(gap.shift, 0.0) * significance
    return {callee: total[callee] / weight[callee] for callee in sorted(total)}
