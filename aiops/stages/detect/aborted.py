"""Requests that break off: which call was the last thing an operation did before it stopped doing what it always did.

An operation that no longer finishes ends either on its own (it made no call at all: its own code stopped) or right after one
call (what came back from there stopped it). So of every operation the *last call* of each span is counted, before and in the
incident; a last call that became more frequent accuses the node that was called, or the operation's own node when there was none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import sqrt

import numpy as np

from aiops.domain import IntArray, Spans
from aiops.stages.detect.presence import Counts, g_statistic, weigh_up, witness_parts
from aiops.stages.detect.spans import SpanTable, told_apart

LEAST_SPANS = 30  # of an operation on either side: shares of fewer are anecdotes


@dataclass(frozen=True, slots=True)
class Abort:
    """Share of spans of `operation` at `caller` that end after calling `node` (itself: no call), which rose.

    `strength` = sqrt(G) x change of share."""

    node: str
    caller: str
    operation: str
    last_call: str
    before: float
    after: float
    strength: float


def aborts(spans: Spans, table: SpanTable) -> list[Abort]:
    """Last calls that became more frequent, strongest first. O(N log N)."""
    incident = told_apart(spans).tolist()
    last, remote = _last_calls(spans, table)
    nodes, operations = table.node.tolist(), table.operation.tolist()
    parts = witness_parts(list(zip(nodes, operations, spans.trace_ids.tolist(), incident, strict=True)))
    ends_of = [_end(row, last, remote, table) for row in range(len(spans))]
    groups = list(zip(nodes, operations, strict=True))
    spans_of = Counter(zip(groups, incident, strict=True))
    witnesses = weigh_up(zip(groups, incident, parts, strict=True))
    counts: dict[tuple[int, int], dict[tuple[int, int], Counts]] = {}
    for (group, end), pair in weigh_up(zip(zip(groups, ends_of, strict=True), incident, parts, strict=True)).items():
        counts.setdefault(group, {})[end] = pair
    found = []
    for (caller, operation), ends in sorted(counts.items()):
        if min(spans_of[(caller, operation), side] for side in (False, True)) < LEAST_SPANS:
            continue
        n_before, n_after = witnesses[caller, operation]
        for (call, node), (k_before, k_after) in sorted(ends.items()):
            rise = k_after / n_after - k_before / n_before
            if rise > 0:
                found.append(
                    Abort(
                        table.nodes[node],
                        table.nodes[caller],
                        table.operations[operation],
                        table.operations[call] if call >= 0 else "",
                        k_before / n_before,
                        k_after / n_after,
                        sqrt(g_statistic(k_before, n_before, k_after, n_after)) * rise,
                    )
                )
    return sorted(found, key=lambda a: (-a.strength, a.node, a.caller, a.operation, a.last_call))


def _end(row: int, last: IntArray, remote: IntArray, table: SpanTable) -> tuple[int, int]:
    """(operation, node) of a span's last call; (-1, its own node) where it made none."""
    call = int(last[row])
    if call < 0:
        return -1, int(table.node[row])
    there = int(remote[call]) if remote[call] >= 0 else call
    return int(table.operation[call]), int(table.node[there])


def _last_calls(spans: Spans, table: SpanTable) -> tuple[IntArray, IntArray]:
    """((N,) row of the child that started last or -1, (N,) row of a child at another node or -1)."""
    last, remote = np.full(len(spans), -1), np.full(len(spans), -1)
    child = np.flatnonzero(table.parent >= 0)
    by_start = child[np.lexsort((table.operation[child], table.node[child], spans.times[child]))]
    last[table.parent[by_start]] = by_start
    away = by_start[table.node[by_start] != table.node[table.parent[by_start]]]
    remote[table.parent[away]] = away
    return last, remote
