"""Shortest paths and components against brute force and networkx."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.kernels.components import components
from aiops.kernels.order import neutral
from aiops.kernels.paths import csr, dijkstra, walk_back

NODES = 6
EDGES = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.floats(0, 10, allow_nan=False)), max_size=20
)


@settings(deadline=None)
@given(EDGES)
def test_dijkstra_equals_brute_force_on_small_dags(edges: list[tuple[int, int, float]]) -> None:
    dag = [(min(a, b), max(a, b), c) for a, b, c in edges if a != b]
    cheapest: dict[tuple[int, int], float] = {}
    for a, b, c in dag:
        cheapest[a, b] = min(c, cheapest.get((a, b), math.inf))
    distance, before = dijkstra(*csr(NODES, dag), 0)
    for target in range(1, NODES):
        inner = [n for n in range(1, NODES) if n != target]
        costs = [
            math.fsum(cheapest.get(pair, math.inf) for pair in itertools.pairwise((0, *middle, target)))
            for k in range(NODES - 1)
            for middle in itertools.combinations(inner, k)
        ]
        assert distance[target] == pytest.approx(min(costs))
        if math.isfinite(distance[target]):
            path = walk_back(before, target)
            assert path[-1] == 0
            assert math.fsum(cheapest[b, a] for a, b in itertools.pairwise(path)) == pytest.approx(distance[target])


@settings(deadline=None)
@given(EDGES)
def test_components_equal_networkx(edges: list[tuple[int, int, float]]) -> None:
    graph = nx.DiGraph([(a, b) for a, b, _ in edges])
    graph.add_nodes_from(range(NODES))
    number = components(NODES, [(a, b) for a, b, _ in edges])
    groups = {frozenset(n for n in range(NODES) if number[n] == k) for k in set(number)}
    assert groups == {frozenset(c) for c in nx.strongly_connected_components(graph)}
    assert all(number[a] <= number[b] for a, b, _ in edges)


@pytest.mark.parametrize("cost", [-1.0, float("nan")])
def test_a_negative_cost_is_refused(cost: float) -> None:
    with pytest.raises(ValueError, match="costs are >= 0"):
        csr(2, [(0, 1, cost)])


def test_self_loops_go_and_the_cheapest_parallel_edge_stays() -> None:
    starts, targets, costs = csr(2, [(0, 0, 1.0), (0, 1, 3.0), (0, 1, 2.0)])
    assert (starts.tolist(), targets.tolist(), costs.tolist()) == ([0, 1, 1], [1], [2.0])


def test_a_deep_chain_does_not_exhaust_the_stack() -> None:
    count = 20_000
    assert len(set(components(count, [(k, k + 1) for k in range(count - 1)]))) == count


def test_neutral_order_is_not_the_alphabet() -> None:
    names = [f"service-{k}" for k in range(20)]
    assert sorted(names, key=neutral) != sorted(names)
