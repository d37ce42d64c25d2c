"""The k cheapest simple paths of bounded depth between two nodes, exact.

With costs >= 0 and few edges allowed (causal paths have at most five), a best-first search needs no detours of Yen's algorithm
(J. Y. Yen, Management Science 17, 1971): partial paths wait in a heap by what they cost so far plus the least that the rest can
cost with the edges left (P. E. Hart, N. J. Nilsson, B. Raphael, IEEE Transactions SSC 4, 1968). That bound is the true cost of a
cheapest *walk*, so a partial path is opened in vain only where that walk would revisit a node. It is computed backwards from
the target, level by level, and the last level, the largest, is never needed: there the search stands at the source.

A graph is a CSR triple over N nodes as in `kernels.paths`.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numba import njit

from aiops.domain import FloatArray, IntArray

MAX_DEPTH = 8  # edges; the bound of one node fills a cache line
_SLACK = 1.0 - 1e-13  # a sum in another order may be larger by rounding; a bound must not


@dataclass(frozen=True, slots=True)
class Graph:
    """Edges out of every node (`starts`, `targets`, `costs`) and into it (`ends`, `origins`, `prices`), and room to search in.

    `bound` (N, MAX_DEPTH) is inf everywhere between two searches: each cleans up what it touched, so that a search costs what
    it touches and not N. Threads take turns.
    """

    starts: IntArray
    targets: IntArray
    costs: FloatArray
    ends: IntArray
    origins: IntArray
    prices: FloatArray
    bound: FloatArray
    lock: Lock

    @staticmethod
    def of(starts: IntArray, targets: IntArray, costs: FloatArray) -> Graph:
        """From a CSR triple; of parallel edges each is another path. O(M log M). ValueError for a negative or NaN cost."""
        if not (costs >= 0).all():
            raise ValueError("costs are >= 0")
        count = len(starts) - 1
        tails = np.repeat(np.arange(count, dtype=np.int64), np.diff(starts))
        order = np.argsort(targets, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(targets, minlength=count))]).astype(np.int64)
        bound = np.full((count, MAX_DEPTH), np.inf)
        return Graph(starts, targets, costs, ends, tails[order], costs[order], bound, Lock())


def cheapest(
    graph: Graph, source: int, target: int, k: int = 10, depth: int = 5
) -> list[tuple[float, tuple[int, ...]]]:
    """(cost, nodes) of the `k` cheapest simple paths of at most `depth` edges; fewer where there are fewer.

    Cheapest first; paths of one cost come by their nodes, so the answer depends on the graph alone. From a node to itself leads
    the node alone. ValueError for a node that isn't there, a negative k or a depth outside 0..MAX_DEPTH. Where b edges meet
    a node, O(b^(depth-1)) for the bound and O(k depth b log) for the paths.
    """
    count = len(graph.starts) - 1
    if not (0 <= source < count and 0 <= target < count and 0 <= depth <= MAX_DEPTH and k >= 0):
        raise ValueError(f"no {k} paths of depth {depth} from {source} to {target} in a graph of {count} nodes")
    g = graph
    with graph.lock:
        found, nodes = _search(
            g.starts, g.targets, g.costs, g.ends, g.origins, g.prices, g.bound, source, target, k, depth
        )
    return [(float(cost), tuple(int(n) for n in row if n >= 0)) for cost, row in zip(found, nodes, strict=True)]


@njit(cache=True, nogil=True)
def _search(starts, targets, costs, ends, origins, prices, bound, source, target, k, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """(costs, nodes): one row a path, -1 behind its end."""
    touched, size = _backwards(ends, origins, prices, bound, source, target, depth)
    found, nodes = _forwards(starts, targets, costs, bound, source, target, k, depth)
    for i in range(size):
        bound[touched[i], :] = np.inf
    return found, nodes


@njit(cache=True, nogil=True)
def _backwards(ends, origins, prices, bound, source, target, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Set `bound[n, d]`, d < depth: the least cost of a walk of d edges from n to the target. (nodes set, how many)."""
    touched = np.empty(1024, np.int64)
    touched[0], size, first = target, 1, 0
    bound[target, 0] = 0.0
    for d in range(1, depth):
        last = size
        for i in range(first, last):
            node = touched[i]
            if node == source:
                continue  # a simple path has the source only once
            for e in range(ends[node], ends[node + 1]):
                other, price = origins[e], bound[node, d - 1] + prices[e]
                if price >= bound[other, d] or other in (target, node):
                    continue
                if bound[other, d] == np.inf:
                    if size == len(touched):
                        touched = _wider(touched)
                    touched[size] = other
                    size += 1
                bound[other, d] = price
        first = last
    return touched, size


@njit(cache=True, nogil=True)
def _forwards(starts, targets, costs, bound, source, target, k, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Best first. A partial path is a row of `node`, `before` (its row without the last node), `spent` and `length`."""
    node, before, length = np.empty(256, np.int64), np.empty(256, np.int64), np.empty(256, np.int64)
    spent, least, heap = np.empty(256), np.empty(256), np.empty(256, np.int64)
    node[0], before[0], length[0], spent[0], least[0], heap[0] = source, -1, 0, 0.0, 0.0, 0
    rows, waiting = 1, 1
    found, nodes, count = np.empty(k), np.full((k, depth + 1), -1, np.int64), 0
    while waiting and count < k:
        row = heap[0]
        waiting -= 1
        heap[0] = heap[waiting]
        _sink(heap, waiting, node, before, length, least)
        here = node[row]
        if here == target:
            found[count] = spent[row]
            step = row
            while step >= 0:
                nodes[count, length[step]] = node[step]
                step = before[step]
            count += 1
            continue
        left = depth - length[row] - 1
        if left < 0:
            continue
        for e in range(starts[here], starts[here + 1]):
            other = targets[e]
            rest = np.inf
            for d in range(left + 1):
                rest = min(rest, bound[other, d])
            if rest == np.inf or _visited(node, before, row, other):
                continue
            if rows == len(node):
                node, before, length = _wider(node), _wider(before), _wider(length)
                spent, least, heap = _wider(spent), _wider(least), _wider(heap)
            cost = spent[row] + costs[e]
            node[rows], before[rows], length[rows], spent[rows] = other, row, length[row] + 1, cost
            least[rows] = cost if other == target else (cost + rest) * _SLACK
            heap[waiting] = rows
            _rise(heap, waiting, node, before, length, least)
            waiting += 1
            rows += 1
    return found[:count], nodes[:count]


@njit(cache=True, nogil=True)
def _visited(node, before, row, other):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    while row >= 0:
        if node[row] == other:
            return True
        row = before[row]
    return False


@njit(cache=True, nogil=True)
def _first(a, b, node, before, length, least):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whether path a comes before path b: by `least`, then by the nodes from the source on, a beginning before the whole."""
    if least[a] != least[b]:
        return least[a] < least[b]
    for i in range(min(length[a], length[b]) + 1):
        left, right = _at(a, i, node, before, length), _at(b, i, node, before, length)
        if left != right:
            return left < right
    return length[a] < length[b]


@njit(cache=True, nogil=True)
def _at(row, i, node, before, length):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The i-th node of a path."""
    while length[row] > i:
        row = before[row]
    return node[row]


@njit(cache=True, nogil=True)
def _rise(heap, i, node, before, length, least):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    while i > 0:
        up = (i - 1) // 2
        if not _first(heap[i], heap[up], node, before, length, least):
            return
        heap[i], heap[up] = heap[up], heap[i]
        i = up


@njit(cache=True, nogil=True)
def _sink(heap, waiting, node, before, length, least):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    i = 0
    while True:
        down = 2 * i + 1
        if down >= waiting:
            return
        if down + 1 < waiting and _first(heap[down + 1], heap[down], node, before, length, least):
            down += 1
        if not _first(heap[down], heap[i], node, before, length, least):
            return
        heap[i], heap[down] = heap[down], heap[i]
        i = down


@njit(cache=True, nogil=True)
def _wider(column):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The same in twice the room."""
    out = np.empty(2 * len(column), column.dtype)
    out[: len(column)] = column
    return out
