"""Who is within k hops: breadth-first search over a directed graph in compressed sparse rows, followed both ways.

Pure numpy, a handful of array operations per hop: O(hops * N + edges touched) for one question, O(E log E) to build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

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
        return Adjacency(heads, _offsets(tails, nodes), tails[np.argsort(heads, kind="stable")], _offsets(heads, nodes))

    def within(self, seeds: Index, hops: int) -> Index:
        """Nodes at most `hops` edges from any of `seeds`, either way, ascending."""
        reached = np.zeros(len(self.out) - 1, np.bool_)
        reached[seeds] = True
        frontier = seeds
        for _ in range(hops):
            before = reached.copy()
            reached[self.heads[spans(self.out, frontier)]] = True
            reached[self.tails[spans(self.into, frontier)]] = True
            frontier = np.flatnonzero(reached & ~before)
            if not len(frontier):
                break
        return np.flatnonzero(reached)

    def inside(self, members: Index) -> Index:
        """Edges with both ends among `members` (ascending), ascending."""
        chosen = np.zeros(len(self.out) - 1, np.bool_)
        chosen[members] = True
        edges = spans(self.out, members)
        return edges[chosen[self.heads[edges]]]


def spans(offsets: Index, rows: Index) -> Index:
    """The positions offsets[r]:offsets[r + 1] of every r in `rows`, one after the other."""
    starts, counts = offsets[rows], offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(counts)
    if not len(ends) or not ends[-1]:
        return np.empty(0, np.int64)
    positions: Index = np.arange(ends[-1], dtype=np.int64) + np.repeat(starts - ends + counts, counts)
    return positions


def _offsets(ends: Index, nodes: int) -> Index:
    return np.concatenate([[0], np.cumsum(np.bincount(ends, minlength=nodes))]).astype(np.int64)
