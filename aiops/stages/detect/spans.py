"""Traces: how spans hang together, and which calls got slower between their two ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from aiops.domain import BoolArray, FloatArray, IntArray, Spans

FLOOR_NS = 1e6  # a gap below a millisecond is clock and serialisation
UPPER = 0.75  # a delay that began halfway through the window holds up at least a quarter of its calls
EARLIER = 20.0  # calls of a callee to which the experience with all others amounts; 5 to 80 serve as well


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
class Gaps:
    """One row per call between two nodes: what its caller waited beyond the callee's own work. `caller`, `callee` index
    `nodes`; `gap` in ns; `reference`: the upper quartile of the same edge's gaps before the incident, of all edges' where the
    edge is new."""

    nodes: tuple[str, ...]
    caller: IntArray
    callee: IntArray
    times: IntArray
    gap: FloatArray
    reference: FloatArray
    incident: BoolArray


@dataclass(frozen=True, slots=True)
class EdgeGap:
    """Network time of one edge. `shift`: log ratio of the upper quartile, incident over before; `z`: Mann-Whitney score of incident
    gaps against earlier ones; `n`: incident calls; `onset_ns`: the first incident call whose gap is nearer (in log) to the
    quartile after than to the one before."""

    caller: str
    callee: str
    shift: float
    z: float
    n: int
    before_ns: float
    after_ns: float
    onset_ns: int


def call_gaps(spans: Spans, table: SpanTable) -> Gaps:
    """Parent client span minus remote child span, of every call. Only parents with exactly one remote child are clean client
    spans. Nothing is kept where no call is from before the incident."""
    child = np.flatnonzero(table.parent >= 0)
    child = child[table.node[child] != table.node[table.parent[child]]]
    fan_out = np.bincount(table.parent[child], minlength=len(spans))
    child = child[fan_out[table.parent[child]] == 1]
    incident = told_apart(spans)[child]
    if incident.all():
        child, incident = child[:0], incident[:0]
    parent = table.parent[child]
    gap = np.maximum((spans.durations[parent] - spans.durations[child]).astype(np.float64), FLOOR_NS)
    caller, callee = table.node[parent], table.node[child]
    reference = np.full(len(gap), np.quantile(gap[~incident], UPPER) if len(gap) else np.nan)
    edge = caller * len(table.nodes) + callee
    for code in np.unique(edge[~incident]):
        of_edge = edge == code
        reference[of_edge] = np.quantile(gap[of_edge & ~incident], UPPER)
    return Gaps(table.nodes, caller, callee, spans.times[child], gap, reference, incident)


def edge_gaps(gaps: Gaps) -> list[EdgeGap]:
    """Network time of every edge with calls in the incident; an edge without earlier calls is compared with those of all edges."""
    edge = gaps.caller * len(gaps.nodes) + gaps.callee
    found = []
    for code in np.unique(edge[gaps.incident]):
        of_edge = edge == code
        late = of_edge & gaps.incident
        earlier = gaps.gap[of_edge & ~gaps.incident]
        after, before = gaps.gap[late], earlier if len(earlier) else gaps.gap[~gaps.incident]
        caller, callee = divmod(int(code), len(gaps.nodes))
        upper_before, upper_after = float(gaps.reference[late][0]), float(np.quantile(after, UPPER))
        slow = gaps.times[late][after >= np.sqrt(upper_before * upper_after)]
        found.append(
            EdgeGap(
                gaps.nodes[caller],
                gaps.nodes[callee],
                float(np.log(upper_after / upper_before)),
                mann_whitney(after, before),
                len(after),
                upper_before,
                upper_after,
                int((slow if len(slow) else gaps.times[late]).min()),
            )
        )
    return found


def network_evidence(gaps: Gaps) -> dict[str, float]:
    """Callee id -> strength in [0, 1) of the suspicion that calls to it are held up on the way. Needs no half-strength.

    Each gap is taken in units of its edge's reference, so that few calls of several callers are judged together, and a caller that
    does not wait speaks for the callee. Of these ratios x, a quarter of the callee's n incident calls reach x', and two at least; chance lets a
    share p of all earlier calls reach it, those to the same callee counting for themselves (`EARLIER`). One of K callees
    being at fault, and the whole incident counted as one call (calls held up together are held up by one thing),
    Bayes gives 1 / (1 + K p / .25). Times the share of time on the way that is new, 1 - 1 / x', times (n - 1) / n: one call
    says nothing.
    """
    ratio = gaps.gap / gaps.reference
    earlier = np.sort(ratio[~gaps.incident])
    callees = np.unique(gaps.callee[gaps.incident])
    found = {}
    for callee in callees:
        mine = gaps.callee == callee
        now, own = ratio[mine & gaps.incident], ratio[mine & ~gaps.incident]
        upper = _reached(now)
        if upper <= 1.0:
            continue
        anywhere = (len(earlier) - int(np.searchsorted(earlier, upper)) + 1) / (len(earlier) + 1)
        chance = (int(np.sum(own >= upper)) + EARLIER * anywhere) / (len(own) + EARLIER)
        held_up = 1.0 / (1.0 + len(callees) * chance / (1.0 - UPPER))
        found[gaps.nodes[callee]] = held_up * (1.0 - 1.0 / upper) * (len(now) - 1) / len(now)
    return {callee: strength for callee, strength in sorted(found.items()) if strength > 0}


def _reached(ratio: FloatArray) -> float:
    """The upper quartile, and no more than the second largest: of four calls a quartile is a quarter of one slow call."""
    upper = float(np.quantile(ratio, UPPER))
    return min(upper, float(np.partition(ratio, -2)[-2])) if len(ratio) > 1 else upper


def told_apart(spans: Spans) -> BoolArray:
    """Incident flags. Where nothing has a baseline, the first third of the recorded spans stands for it: recordings begin
    before the symptom, and rarely at the very start of the fault."""
    if not len(spans) or not spans.incident.all():
        return spans.incident
    first, last = int(spans.times.min()), int(spans.times.max())
    return np.asarray(spans.times >= first + (last - first) // 3)


def mann_whitney(a: FloatArray, b: FloatArray) -> float:
    """Standardised U of `a` against `b` (positive: a is larger), ties at mid-rank without tie correction. O(n log n)."""
    ordered = np.sort(b)
    below = np.searchsorted(ordered, a, side="left")
    upto = np.searchsorted(ordered, a, side="right")
    u = float(np.sum(below + 0.5 * (upto - below)))
    n, m = len(a), len(b)
    return (u - n * m / 2.0) / sqrt(n * m * (n + m + 1) / 12.0)
