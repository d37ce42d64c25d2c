"""The bench of paths: the graph it says it measures, and answers that are networkx' own."""

from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest

from aiops.bench import paths

STORE = (200, 600, 20)


def test_both_give_the_same_answers() -> None:
    told = json.loads(paths.run(as_json=True, sizes=((300, 1500, 25), (200, 1500, 25)), questions=50, store=STORE))
    sizes = [(f["pairs"], f["nodes"], f["edges"], f["questions"]) for f in told["figures"]]
    assert sizes == [(kind, nodes, 1500, 50) for kind in ("connected", "any") for nodes in (300, 200)]
    assert all(f["equal"] == f["networkx_questions"] == 25 for f in told["figures"])
    assert all(0 < f["p50_ms"] <= f["p99_ms"] for f in told["figures"])
    assert [f["unit"] for f in told["store"]] == ["edges/s", "ms", "ms"]
    assert all(f["least"] <= f["value"] <= f["most"] for f in told["store"])
    assert [f["reference_name"] for f in told["store"]][1:] == ["networkx", ""]


def test_the_table_shows_them_side_by_side() -> None:
    text = paths.run(sizes=((300, 1500, 5),), questions=10, store=STORE)
    assert text.count("5/5") == 2
    assert "a plain SQLite table" in text


@pytest.mark.parametrize(("nodes", "edges"), [(100, 200), (500, 5000)])
def test_the_graph_is_a_dag_of_that_size(nodes: int, edges: int) -> None:
    starts, targets, costs = paths.dag(nodes, edges)
    tails = np.repeat(np.arange(nodes), np.diff(starts))
    assert (tails < targets).all()
    assert len(set(zip(tails.tolist(), targets.tolist(), strict=True))) == len(targets) == len(costs) == edges
    assert (costs >= 0).all()
    assert nx.is_directed_acyclic_graph(nx.DiGraph(list(zip(tails.tolist(), targets.tolist(), strict=True))))
    again = paths.dag(nodes, edges)
    assert all(np.array_equal(a, b) for a, b in zip((starts, targets, costs), again, strict=True))
