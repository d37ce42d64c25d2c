"""`aiops bench paths`: the ten cheapest causal paths of at most five edges, beside networkx, in one run and taking turns.

The graph is a random DAG: a tenth of the edges leads to one node in a hundred, as in a call graph with its databases; no edge
leads further than a tenth of the order, so that a search meets its full fan-out and doesn't run out of graph; costs are -log of
a strength. Questions are of two kinds: `connected`, a pair that a random walk of up to five edges connects, as a symptom and its
cause are; and `any`, two nodes drawn at random, most of which no path connects. networkx is asked some of the same questions,
between ours: all simple paths with that cutoff, of which the ten cheapest are taken. Its other way, Yen's, knows no cutoff.

The graph store's own figures stand beside them (graphstore.py).
"""

from __future__ import annotations

import heapq
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from aiops.bench import graphstore
from aiops.bench.figure import Figure as Stored
from aiops.bench.progress import progress
from aiops.domain import FloatArray, IntArray
from aiops.errors import ConfigError
from aiops.kernels.topk import Graph, cheapest

SIZES = ((10_000, 50_000, 20), (100_000, 1_000_000, 3))  # nodes, edges, questions that networkx is asked too
QUESTIONS = 1_000
STORE = (graphstore.NODES, graphstore.EDGES, graphstore.QUESTIONS)
K, DEPTH = 10, 5
WINDOW = 10
Csr = tuple[IntArray, IntArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Figure:
    """One size and kind of question. Times in milliseconds; `equal`: of the questions put to both, how many have one answer."""

    pairs: str
    nodes: int
    edges: int
    questions: int
    p50_ms: float
    p99_ms: float
    networkx_p50_ms: float
    networkx_questions: int
    equal: int

    @property
    def ratio(self) -> float:
        return self.networkx_p50_ms / self.p50_ms


def run(
    as_json: bool = False,
    sizes: tuple[tuple[int, int, int], ...] = SIZES,
    questions: int = QUESTIONS,
    store: tuple[int, int, int] = STORE,
) -> str:
    """The table, or JSON. ConfigError without networkx (the extra `graph`)."""
    _networkx()
    measured = [figure for size in sizes for figure in _measure(*size, questions)]
    figures = sorted(measured, key=lambda f: f.pairs != "connected")
    stored = graphstore.figures(*store)
    if as_json:
        told = [{**asdict(f), "ratio": f.ratio} for f in figures]
        kept = [{**asdict(f), "ratio": f.ratio} for f in stored]
        return json.dumps({"k": K, "depth": DEPTH, "figures": told, "store": kept}, indent=2)
    return f"{_paths_text(figures)}\n\n{_store_text(stored, *store[:2])}"


def _paths_text(figures: list[Figure]) -> str:
    head = f"{'pairs':<11}{'nodes':>9}{'edges':>11}{'p50 ms':>9}{'p99 ms':>9}{'networkx':>11}{'ratio':>9}  equal"
    rows = [
        f"{f.pairs:<11}{f.nodes:>9,}{f.edges:>11,}{f.p50_ms:>9.3f}{f.p99_ms:>9.3f}{f.networkx_p50_ms:>11,.0f}{f.ratio:>9,.0f}"
        f"  {f.equal}/{f.networkx_questions}"
        for f in figures
    ]
    return "\n".join([f"{K} cheapest paths of at most {DEPTH} edges", head, *rows])


def _store_text(figures: list[Stored], nodes: int, edges: int) -> str:
    rows = [f"{f.name:<44}{f.value:>12,.2f} {f.unit}" + _beside(f) for f in figures]
    return "\n".join([f"embedded graph store, {nodes:,} nodes and {edges:,} edges", *rows])


def _beside(figure: Stored) -> str:
    return f"   {figure.reference_name}: {figure.reference:,.2f}" if figure.reference is not None else ""


def _measure(nodes: int, edges: int, references: int, questions: int) -> list[Figure]:
    starts, targets, costs = dag(nodes, edges)
    graph, reference = Graph.of(starts, targets, costs), _reference(starts, targets, costs)
    draw = np.random.default_rng(13)
    asked = {
        "connected": list(_pairs(starts, targets, questions)),
        "any": [(int(a), int(b)) for a, b in draw.integers(0, nodes, (questions, 2))],
    }
    cheapest(graph, *asked["connected"][0], K, DEPTH)  # compiled before the clock starts
    return [_asked(name, graph, reference, pairs, references) for name, pairs in asked.items()]


def _asked(kind: str, graph: Graph, reference: Any, pairs: list[tuple[int, int]], references: int) -> Figure:
    questions = len(pairs)
    every = max(1, questions // references)
    ours: list[float] = []
    theirs: list[float] = []
    equal = 0
    for asked, (source, target) in enumerate(pairs):
        began = time.perf_counter()
        found = cheapest(graph, source, target, K, DEPTH)
        ours.append((time.perf_counter() - began) * 1e3)
        if asked % every == 0 and len(theirs) < references:
            began = time.perf_counter()
            wanted = _asked_of_networkx(reference, source, target)
            theirs.append((time.perf_counter() - began) * 1e3)
            equal += [nodes for _, nodes in found] == wanted
            progress(len(theirs), references)
    ranks = statistics.quantiles(ours, n=100)
    return Figure(
        kind,
        len(graph.starts) - 1,
        len(graph.targets),
        questions,
        statistics.median(ours),
        ranks[98],
        statistics.median(theirs),
        len(theirs),
        equal,
    )


def dag(nodes: int, edges: int, seed: int = 7) -> Csr:
    """CSR of a random DAG: `edges` distinct pairs, each from a lower number to one at most nodes / WINDOW higher."""
    draw = np.random.default_rng(seed)
    keys = np.empty(0, np.int64)
    while len(keys) < edges:
        tails = draw.integers(0, nodes, 2 * edges)
        heads = np.minimum(tails + draw.integers(1, max(2, nodes // WINDOW), 2 * edges), nodes - 1)
        hub = np.minimum(heads // 100 * 100 + 100, nodes - 1)
        heads = np.where(draw.random(2 * edges) < 0.1, hub, heads)
        fresh = (tails * nodes + heads)[tails < heads]
        keys = np.unique(np.concatenate([keys, fresh]))
    keys = np.sort(draw.choice(keys, edges, replace=False))
    tails, heads = keys // nodes, keys % nodes
    starts = np.concatenate([[0], np.cumsum(np.bincount(tails, minlength=nodes))]).astype(np.int64)
    return starts, heads, -np.log(draw.uniform(0.05, 1.0, edges))


def _pairs(starts: IntArray, targets: IntArray, count: int, seed: int = 11) -> Iterator[tuple[int, int]]:
    draw = np.random.default_rng(seed)
    while count:
        source = node = int(draw.integers(0, len(starts) - 1))
        for _ in range(int(draw.integers(2, DEPTH + 1))):
            if starts[node] < starts[node + 1]:
                node = int(targets[draw.integers(starts[node], starts[node + 1])])
        if node != source:
            count -= 1
            yield source, node


# ---------------------------------------------------------------- the reference


def _networkx() -> Any:
    try:
        import networkx as nx
    except ImportError as error:
        raise ConfigError("the reference is networkx: pip install '.[graph]' in the checkout") from error
    return nx


def _reference(starts: IntArray, targets: IntArray, costs: FloatArray) -> Any:
    graph = _networkx().DiGraph()
    tails = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    graph.add_weighted_edges_from(zip(tails.tolist(), targets.tolist(), costs.tolist(), strict=True))
    return graph


def _asked_of_networkx(graph: Any, source: int, target: int) -> list[tuple[int, ...]]:
    paths = _networkx().all_simple_paths(graph, source, target, cutoff=DEPTH)
    priced = ((sum(graph.edges[step]["weight"] for step in pairwise(path)), tuple(path)) for path in paths)
    return [nodes for _, nodes in heapq.nsmallest(K, priced)]
