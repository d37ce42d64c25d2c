"""The embedded graph store for `aiops bench paths`: writing edges, and one alert's neighbourhood, beside what one would take else.

A graph of services with hubs: a tenth of the edges leads to one node in a hundred. The store is the one that `aiops` opens, with its
file and its durability. The references hold the same edges: a plain SQLite table, and networkx.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from aiops import app
from aiops.bench.figure import Figure
from aiops.bench.progress import progress
from aiops.domain import Call

NODES, EDGES, HOPS = 100_000, 300_000, 5
BATCH, ROUNDS, QUESTIONS, REFERENCES = 10_000, 5, 200, 10
_SEEN = datetime(2026, 1, 1, tzinfo=UTC)

_PLAIN = "CREATE TABLE edges (caller TEXT, callee TEXT, seen INTEGER, PRIMARY KEY (caller, callee)) WITHOUT ROWID"
_BACK = "CREATE INDEX back ON edges (callee, caller)"
_UPSERT = "INSERT INTO edges VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen)"


def figures(nodes: int = NODES, edges: int = EDGES, questions: int = QUESTIONS) -> list[Figure]:
    """Edges written per second, and milliseconds (median, 99th percentile) for the edges within `HOPS` of a node."""
    calls = _calls(nodes, edges)
    flags = {"model.url": "", "chat.url": "", "stores.graph": "sqlite:"}
    with (
        tempfile.TemporaryDirectory(prefix="aiops-bench-") as folder,
        app.connect(home=folder, flags=flags) as ops,
        contextlib.closing(sqlite3.connect(Path(folder) / "plain.db", isolation_level=None)) as plain,
    ):
        graph = ops.sources.graph
        return [_written(graph, plain, calls), *_around(graph, calls, nodes, questions)]


def _calls(nodes: int, edges: int, seed: int = 3) -> list[Call]:
    draw = np.random.default_rng(seed)
    tails, heads = draw.integers(0, nodes, edges), draw.integers(0, nodes, edges)
    heads = np.where(draw.random(edges) < 0.1, draw.integers(0, max(1, nodes // 100), edges), heads)
    pairs = dict.fromkeys(zip(tails.tolist(), heads.tolist(), strict=True))
    return [Call(f"service-{a}", f"service-{b}", "traces", "CALLS", _SEEN, _SEEN) for a, b in pairs if a != b]


def _written(graph: Any, plain: sqlite3.Connection, calls: Sequence[Call]) -> Figure:
    """Edges in transactions of `BATCH`, into an empty store at first; the two take turns."""
    plain.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_PLAIN}; {_BACK}")

    def naive(batch: Sequence[Call]) -> None:
        plain.execute("BEGIN IMMEDIATE")
        plain.executemany(_UPSERT, [(c.caller, c.callee, 0) for c in batch])
        plain.execute("COMMIT")

    rounds = min(ROUNDS, max(1, len(calls) // BATCH))
    size = len(calls) // rounds
    ours, theirs = [], []
    for i in range(rounds):
        part = calls[i * size : (i + 1) * size] if i < rounds - 1 else calls[i * size :]
        ours.append(_rate(graph.upsert, part))
        theirs.append(_rate(naive, part))
        progress(i + 1, rounds)
    name, reference = f"edges written, {BATCH} in a transaction", "a plain SQLite table"
    return Figure(name, statistics.median(ours), min(ours), max(ours), "edges/s", statistics.median(theirs), reference)


def _rate(write: Callable[[Sequence[Call]], object], calls: Sequence[Call]) -> float:
    began = time.perf_counter()
    for i in range(0, len(calls), BATCH):
        write(calls[i : i + BATCH])
    return len(calls) / (time.perf_counter() - began)


def _around(graph: Any, calls: Sequence[Call], nodes: int, questions: int) -> list[Figure]:
    """The same questions to both; networkx gets some of them. ValueError when they don't agree on how many edges there are."""
    other = _networkx(calls)
    draw = np.random.default_rng(9)
    named = [f"service-{n}" for n in draw.integers(0, nodes, questions)]
    graph.calls(named[:1], HOPS)  # read into memory and compiled before the clock starts
    ours: list[float] = []
    theirs: list[float] = []
    every = max(1, questions // REFERENCES)
    for asked, node in enumerate(named):
        count, took = _timed(lambda: len(graph.calls([node], HOPS)))  # noqa: B023 - called at once
        ours.append(took)
        if asked % every == 0:
            found, took = _timed(lambda: other(node))  # noqa: B023 - as above
            theirs.append(took)
            if found != count:
                raise ValueError(f"networkx finds {found} edges around {node}, the store {count}")
            progress(asked // every + 1, -(-questions // every))
    least, most = min(ours), max(ours)
    middle, last = f"{HOPS} hops around a node, median", f"{HOPS} hops around a node, 99th percentile"
    return [
        Figure(middle, statistics.median(ours), least, most, "ms", statistics.median(theirs), "networkx"),
        Figure(last, float(np.percentile(ours, 99)), least, most, "ms"),
    ]


def _timed(ask: Callable[[], int]) -> tuple[int, float]:
    began = time.perf_counter()
    found = ask()
    return found, (time.perf_counter() - began) * 1e3


def _networkx(calls: Sequence[Call]) -> Callable[[str], int]:
    import networkx as nx

    graph: Any = nx.DiGraph()
    graph.add_edges_from((c.caller, c.callee) for c in calls)

    def around(node: str) -> int:
        """Breadth first in both directions, then the edges inside."""
        if node not in graph:
            return 0
        near, frontier = {node}, {node}
        for _ in range(HOPS):
            frontier = set(itertools.chain.from_iterable(map(graph.succ.__getitem__, frontier))).union(
                *map(graph.pred.__getitem__, frontier)
            )
            frontier -= near
            near |= frontier
        return sum(other in near for one in near for other in graph.succ[one])

    return around
