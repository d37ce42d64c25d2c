"""Cheapest paths over non-negative edge costs: Dijkstra from one source, exact.

A graph is a CSR triple over N nodes: `starts` (N + 1,), `targets` (M,), `costs` (M,) with costs >= 0.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from aiops.domain import FloatArray, IntArray

Csr: TypeAlias = tuple[IntArray, IntArray, FloatArray]


def csr(count: int, edges: Iterable[tuple[int, int, float]]) -> Csr:
    """CSR of `count` nodes; of parallel edges the cheapest stays, self loops go. ValueError for a negative or NaN cost."""
    cheapest: dict[tuple[int, int], float] = {}
    for source, target, cost in edges:
        if not cost >= 0:
            raise ValueError(f"edge {source} -> {target} has cost {cost}; costs are >= 0")
        if source != target:
            cheapest[source, target] = min(cost, cheapest.get((source, target), np.inf))
    starts = np.zeros(count + 1, np.int64)
    for source, _ in cheapest:
        starts[source + 1] += 1
    ordered = sorted(cheapest.items())
    targets = np.array([target for (_, target), _ in ordered], dtype=np.int64)
    costs = np.array([cost for _, cost in ordered], dtype=np.float64)
    return np.cumsum(starts), targets, costs


def dijkstra(starts: IntArray, targets: IntArray, costs: FloatArray, source: int) -> tuple[list[float], list[int]]:
    """Distance of every node from `source` (inf = unreachable) and its predecessor on a cheapest path (-1 = none).

    Ties are broken towards the lower node index, so the answer depends on the graph alone. O((N + M) log N).
    E. W. Dijkstra, A note on two problems in connexion with graphs, 1959.
    """
    count = len(starts) - 1
    begin, head, price = starts.tolist(), targets.tolist(), costs.tolist()
    distance, before = [float("inf")] * count, [-1] * count
    distance[source] = 0.0
    heap = [(0.0, source)]
    settled = [False] * count
    while heap:
        reached, node = heapq.heappop(heap)
        if settled[node]:
            continue
        settled[node] = True
        for k in range(begin[node], begin[node + 1]):
            other, total = head[k], reached + price[k]
            if total < distance[other] or (total == distance[other] and not settled[other] and node < before[other]):
                distance[other], before[other] = total, node
                heapq.heappush(heap, (total, other))
    return distance, before


def walk_back(before: list[int], node: int) -> list[int]:
    """Nodes from `node` back to the source of the search that made `before`."""
    path = [node]
    while before[path[-1]] >= 0:
        path.append(before[path[-1]])
    return path
