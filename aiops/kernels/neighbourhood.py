"""Who is within k hops: breadth-first search over a directed graph in compressed sparse rows, followed both ways.

O(nodes + edges touched) for one question, O(N + E) to build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from aiops.kernels.compiled import njit

Index: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Adjacency:
    """N nodes and E edges, which are sorted by tail.

    heads: (E,) node each edge leads to.
    out: (N + 1,) the edges of node n are out[n]:out[n + 1].
    tails: (E,) where each edge comes from, listed by head. into: (N + 1,) as `out`, for `tails`.
    """

    heads: Index
    out: Index
    tails: Index
    into: Index

    @staticmethod
    def build(tails: Index, heads: Index, nodes: int) -> Adjacency:
        """From edges tails[i] -> heads[i] with `tails` ascending."""
        into = _offsets(heads, nodes)
        # Opening an empty graph is to load no kernel.
        return Adjacency(heads, _offsets(tails, nodes), _by_head(tails, heads, into) if len(tails) else tails, into)

    def within(self, seeds: Index, hops: int) -> Index:
        """Nodes at most `hops` edges from any of `seeds`, either way, ascending."""
        if not len(seeds):
            return seeds
        return np.flatnonzero(_reached(self.heads, self.out, self.tails, self.into, seeds, hops))

    def inside(self, members: Index) -> Index:
        """Edges with both ends among `members` (ascending), ascending."""
        if not len(members):
            return members
        chosen = np.zeros(len(self.out) - 1, np.bool_)
        chosen[members] = True
        return _inside(self.heads, self.out, members, chosen)


def _offsets(ends: Index, nodes: int) -> Index:
    return np.concatenate([[0], np.cumsum(np.bincount(ends, minlength=nodes))]).astype(np.int64)


@njit(cache=True, nogil=True)
def _by_head(tails: Index, heads: Index, into: Index) -> Index:
    """`tails` in the order of `heads`: a counting sort, stable."""
    place, out = into.copy(), np.empty_like(tails)
    for edge in range(len(heads)):
        head = heads[edge]
        out[place[head]] = tails[edge]
        place[head] += 1
    return out


@njit(cache=True, nogil=True)
def _reached(heads: Index, out: Index, tails: Index, into: Index, seeds: Index, hops: int) -> npt.NDArray[np.bool_]:
    """(N,) bool. Each hop goes through the nodes met by the last in ascending order, which memory likes better than a queue."""
    count = len(out) - 1
    met, last, following = np.zeros(count, np.bool_), np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    met[seeds] = True
    last[seeds] = True
    for _ in range(hops):
        more = False
        for node in range(count):
            if not last[node]:
                continue
            last[node] = False
            for edge in range(out[node], out[node + 1]):
                other = heads[edge]
                if not met[other]:
                    met[other] = following[other] = more = True
            for edge in range(into[node], into[node + 1]):
                other = tails[edge]
                if not met[other]:
                    met[other] = following[other] = more = True
        if not more:
            break
        last, following = following, last
    return met


@njit(cache=True, nogil=True)
def _inside(heads: Index, out: Index, members: Index, chosen: npt.NDArray[np.bool_]) -> Index:
    most = 0
    for node in members:
        most += out[node + 1] - out[node]
    edges, size = np.empty(most, np.int64), 0
    for node in members:
        for edge in range(out[node], out[node + 1]):
            if chosen[heads[edge]]:
                edges[size] = edge
                size += 1
    return edges[:size]
