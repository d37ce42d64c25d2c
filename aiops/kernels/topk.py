"""The k cheapest simple paths of bounded depth between two nodes, exact.

With costs >= 0 and few edges allowed (causal paths have at most five), a best-first search needs no detours of Yen's algorithm
(J. Y. Yen, Management Science 17, 1971): partial paths wait in a heap by what they cost so far plus the least that the rest can
cost with the edges left (P. E. Hart, N. J. Nilsson, B. Raphael, IEEE Transactions SSC 4, 1968). That bound is the true cost of a
cheapest *walk*, so a partial path is opened in vain only where that walk would revisit a node. It is computed from both ends
(I. Pohl, Machine Intelligence 6, 1971), so that five edges cost no more than three: the bound back from the target is met by
lists of what the source reaches.

A graph is a CSR triple over N nodes as in `kernels.paths`.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from aiops.domain import FloatArray, IntArray
from aiops.kernels.compiled import njit

MAX_DEPTH = 8  # edges; the bound of one node fills a cache line
_SLACK = 1.0 - 1e-13  # a sum in another order may be larger by rounding; a bound must not


@dataclass(frozen=True, slots=True)
class Graph:
    """Edges out of every node (`starts`, `targets`, `costs`) and into it (`ends`, `origins`, `prices`), and room to search in.

    `bound` (N, MAX_DEPTH) is inf and `mark` (N,) 0 everywhere between two searches: each cleans up what it touched, so that it
    costs what it touches and not N. Threads take turns.
    """

    starts: IntArray
    targets: IntArray
    costs: FloatArray
    ends: IntArray
    origins: IntArray
    prices: FloatArray
    bound: FloatArray
    mark: npt.NDArray[np.uint16]
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
        bound, mark = np.full((count, MAX_DEPTH), np.inf), np.zeros(count, np.uint16)
        return Graph(starts, targets, costs, ends, tails[order], costs[order], bound, mark, Lock())


def cheapest(
    graph: Graph, source: int, target: int, k: int = 10, depth: int = 5
) -> list[tuple[float, tuple[int, ...]]]:
    """(cost, nodes) of the `k` cheapest simple paths of at most `depth` edges; fewer where there are fewer.

    Cheapest first; paths of one cost come by their nodes, so the answer depends on the graph alone. From a node to itself leads
    the node alone. ValueError for a node that isn't there, a negative k or a depth outside 0..MAX_DEPTH. Where b edges meet
    a node, O(b^((depth+1)/2)) for the bound and O(k depth b log) for the paths.
    """
    count = len(graph.starts) - 1
    if not (0 <= source < count and 0 <= target < count and 0 <= depth <= MAX_DEPTH and k >= 0):
        raise ValueError(f"no {k} paths of depth {depth} from {source} to {target} in a graph of {count} nodes")
    g = graph
    with graph.lock:
        found, nodes = _search(
            g.starts, g.targets, g.costs, g.ends, g.origins, g.prices, g.bound, g.mark, source, target, k, depth
        )
    rows = (row[: row.index(-1)] if row[-1] < 0 else row for row in nodes.tolist())
    return [(cost, tuple(row)) for cost, row in zip(found.tolist(), rows, strict=True)]


@njit(cache=True, nogil=True)
def _search(starts, targets, costs, ends, origins, prices, bound, mark, source, target, k, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """(costs, nodes): one row a path, -1 behind its end."""
    behind, ahead = _bounds(starts, targets, costs, ends, origins, prices, bound, mark, source, target, depth)
    found, nodes = _best_first(starts, targets, costs, bound, source, target, k, depth)
    for node in behind:
        bound[node, :] = np.inf
    for node in ahead:
        bound[node, :] = np.inf
        mark[node] = 0
    return found, nodes


@njit(cache=True, nogil=True)
def _bounds(starts, targets, costs, ends, origins, prices, bound, mark, source, target, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill `bound`; returns (nodes met from behind, nodes met ahead).

    Then min(bound[n, :r + 1]) is the least cost of a walk of at most r edges from n to the target, for every n that
    depth - r edges from the source reach.
    Levels back from the target and lists ahead of the source grow in turn, the one with fewer edges first, until they meet;
    from there the bounds of the lists are drawn back towards the source."""
    behind, ahead = np.empty(512, np.int64), np.empty(512, np.int64)
    into, onto = np.zeros(depth + 3, np.int64), np.zeros(depth + 3, np.int64)  # where each level, each list begins
    behind[0], ahead[0], into[1], onto[1] = target, source, 1, 1
    bound[target, 0] = 0.0
    back, forth = 0, 0
    if depth > 1:
        ahead = _list(starts, targets, mark, source, target, ahead, onto, 1)
    while back + forth < depth - 1:
        if _edges(ends, behind, into, back) <= _edges(starts, ahead, onto, forth + 1):
            back += 1
            behind = _level(ends, origins, prices, bound, source, target, behind, into, back)
        else:
            forth += 1
            if back + forth < depth - 1:
                ahead = _list(starts, targets, mark, source, target, ahead, onto, forth + 1)
    for j in range(forth, 0, -1):
        for i in range(onto[j], onto[j + 1]):
            node = ahead[i]
            for e in range(starts[node], starts[node + 1]):
                rest = costs[e] + _least(bound, targets[e], depth - j)
                bound[node, depth - j] = min(bound[node, depth - j], rest)
    return behind[: into[back + 1]], ahead[: onto.max()]


@njit(cache=True, nogil=True)
def _edges(offsets, nodes, places, level):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """How many edges the nodes of a level have."""
    total = 0
    for i in range(places[level], places[level + 1]):
        total += offsets[nodes[i] + 1] - offsets[nodes[i]]
    return total


@njit(cache=True, nogil=True)
def _least(bound, node, below):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Least cost from `node` to the target by fewer than `below` edges, as far as it is known."""
    least = np.inf
    for d in range(below):
        least = min(least, bound[node, d])
    return least


@njit(cache=True, nogil=True)
def _level(ends, origins, prices, bound, source, target, behind, into, d):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Set bound[n, d], the least cost of a walk of exactly d edges, for all n that have one; `behind` with them."""
    size = into[d]
    for i in range(into[d - 1], into[d]):
        node = behind[i]
        for e in range(ends[node], ends[node + 1]):
            other, price = origins[e], bound[node, d - 1] + prices[e]
            # A simple path has its ends only once.
            if price >= bound[other, d] or other in (source, target):
                continue
            if bound[other, d] == np.inf:
                if size == len(behind):
                    behind = _wider(behind)
                behind[size] = other
                size += 1
            bound[other, d] = price
    into[d + 1] = size
    return behind


@njit(cache=True, nogil=True)
def _list(starts, targets, mark, source, target, ahead, onto, j):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """`ahead` with the nodes that j edges from the source reach, each once; bit j of `mark` says that a node is listed."""
    size, bit = onto[j], np.uint16(1 << j)
    for i in range(onto[j - 1], onto[j]):
        for e in range(starts[ahead[i]], starts[ahead[i] + 1]):
            other = targets[e]
            if mark[other] & bit or other in (source, target):
                continue
            if size == len(ahead):
                ahead = _wider(ahead)
            mark[other] |= bit
            ahead[size] = other
            size += 1
    onto[j + 1] = size
    return ahead


@njit(cache=True, nogil=True)
def _best_first(starts, targets, costs, bound, source, target, k, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """A partial path is a row of `node`, `before` (its row without the last node), `spent` and `length`."""
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
            rest = _least(bound, other, left + 1)
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
