"""The k cheapest paths, against a best-first search in plain Python and against all paths there are."""

from __future__ import annotations

import heapq
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.kernels.paths import csr
from aiops.kernels.topk import MAX_DEPTH, Graph, cheapest

Edge = tuple[int, int, float]
Found = list[tuple[float, tuple[int, ...]]]


def oracle(count: int, edges: list[Edge], source: int, target: int, k: int, depth: int) -> Found:
    """Best first without any bound: partial simple paths in the order of (cost, nodes)."""
    out: dict[int, dict[int, float]] = {}
    for a, b, cost in edges:
        if a != b:
            out.setdefault(a, {})[b] = min(cost, out.get(a, {}).get(b, np.inf))
    heap: Found = [(0.0, (source,))]
    found: Found = []
    while heap and len(found) < k:
        cost, nodes = heapq.heappop(heap)
        if nodes[-1] == target:
            found.append((cost, nodes))
        elif len(nodes) <= depth:
            for other, price in out.get(nodes[-1], {}).items():
                if other not in nodes:
                    heapq.heappush(heap, (cost + price, (*nodes, other)))
    return found


def brute(count: int, edges: list[Edge], source: int, target: int, k: int, depth: int) -> Found:
    """Every simple path, sorted."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    for a, b, cost in edges:
        if a != b:
            graph.add_edge(a, b, w=min(cost, graph.edges[a, b]["w"] if graph.has_edge(a, b) else np.inf))
    if source == target:
        return [(0.0, (source,))][:k]
    if depth == 0:
        return []
    paths = nx.all_simple_paths(graph, source, target, cutoff=depth)
    return sorted((sum(graph.edges[e]["w"] for e in pairwise(p)), tuple(p)) for p in paths)[:k]


def dag(seed: int, count: int, edges: int, costs: str) -> list[Edge]:
    draw = random.Random(seed)
    order = list(range(count))
    draw.shuffle(order)
    price = {
        "any": draw.random,
        "few": lambda: float(draw.randrange(3)),
        "none": lambda: 0.0,
    }[costs]
    out = []
    for _ in range(edges):
        a, b = sorted(draw.sample(range(count), 2))
        out.append((order[a], order[b], price()))
    return out


@pytest.mark.parametrize("costs", ["any", "few", "none"])
@pytest.mark.parametrize(("count", "edges"), [(2, 1), (8, 20), (30, 120), (100, 500), (200, 1000)])
def test_equal_to_brute_force_on_random_dags(count: int, edges: int, costs: str):
    for seed in range(8):
        listed = dag(seed, count, edges, costs)
        graph = Graph.of(*csr(count, listed))
        draw = random.Random(seed)
        for _ in range(6):
            source, target = draw.randrange(count), draw.randrange(count)
            found = cheapest(graph, source, target)
            assert found == oracle(count, listed, source, target, 10, 5)
            wanted = brute(count, listed, source, target, 10, 5)
            assert [cost for cost, _ in found] == pytest.approx([cost for cost, _ in wanted], rel=1e-12)
            assert [nodes for _, nodes in found] == [nodes for _, nodes in wanted]


edge = st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from((0.0, 1.0, 2.0, 0.1, 0.2, 0.3)))


@given(st.lists(edge, max_size=45), st.integers(0, 9), st.integers(0, 9), st.integers(0, 30), st.integers(0, MAX_DEPTH))
@settings(max_examples=300, deadline=None)
def test_equal_to_the_oracle_on_any_graph(edges: list[Edge], source: int, target: int, k: int, depth: int):
    """With cycles, self loops, parallel edges and many ties."""
    graph = Graph.of(*csr(10, edges))
    found = cheapest(graph, source, target, k, depth)
    assert found == oracle(10, edges, source, target, k, depth)
    assert found == cheapest(graph, source, target, k, depth), "a search must leave no trace"
    assert np.isinf(graph.bound).all()
    assert not graph.mark.any()


def test_paths_are_simple_short_and_sorted():
    graph = Graph.of(*csr(300, dag(3, 300, 6000, "any")))
    for source in range(0, 300, 7):
        found = cheapest(graph, source, (source * 31) % 300, k=50)
        assert [cost for cost, _ in found] == sorted(cost for cost, _ in found)
        assert len({nodes for _, nodes in found}) == len(found)
        assert all(len(set(nodes)) == len(nodes) <= 6 for _, nodes in found)


def test_no_path_and_no_edge():
    graph = Graph.of(*csr(3, [(0, 1, 1.0)]))
    assert cheapest(graph, 1, 0) == []
    assert cheapest(graph, 0, 2) == []
    assert cheapest(graph, 2, 2) == [(0.0, (2,))]
    assert cheapest(graph, 0, 1, depth=0) == []
    assert cheapest(graph, 0, 1, k=0) == []
    assert cheapest(Graph.of(*csr(1, [])), 0, 0) == [(0.0, (0,))]


@pytest.mark.parametrize(
    "asked", [{"source": -1}, {"target": 3}, {"k": -1}, {"depth": -1}, {"depth": MAX_DEPTH + 1}], ids=str
)
def test_what_is_not_there_is_refused(asked: dict[str, int]):
    graph = Graph.of(*csr(3, [(0, 1, 1.0)]))
    with pytest.raises(ValueError, match="paths of depth"):
        cheapest(graph, **{"source": 0, "target": 1, **asked})


@pytest.mark.parametrize("cost", [-1.0, float("nan")])
def test_a_cost_below_zero_is_refused(cost: float):
    with pytest.raises(ValueError, match="costs"):
        Graph.of(np.array([0, 1, 1]), np.array([1]), np.array([cost]))


def test_threads_take_turns():
    listed = dag(1, 200, 3000, "any")
    graph = Graph.of(*csr(200, listed))
    pairs = [(i, (i * 37) % 200) for i in range(200)]
    alone = [cheapest(graph, *pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda pair: cheapest(graph, *pair), pairs)) == alone
