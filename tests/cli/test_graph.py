"""The known dependencies: imported, shown, walked and cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
EDGES = [["web", "cart"], ["web", "search", "traces"], ["cart", "db", "declared", "RUNS_ON"], ["db", "web"]]


@pytest.fixture
def graph(run: Run) -> Run:
    Path("topology.json").write_text(json.dumps({"edges": EDGES}), encoding="utf-8")
    assert run("graph", "import", "topology.json").code == 0
    return run


def pairs(told: Any) -> list[tuple[str, str]]:
    assert told.code == 0, told
    return [(e["caller"], e["callee"]) for e in json.loads(told.out)["edges"]]


def test_what_is_imported_is_shown(graph: Run) -> None:
    assert pairs(graph("graph", "show", "--format", "json")) == [
        ("cart", "db"),
        ("db", "web"),
        ("web", "cart"),
        ("web", "search"),
    ]
    assert pairs(graph("graph", "show", "search", "--hops", "1", "--format", "json")) == [("web", "search")]
    assert "RUNS_ON" in graph("graph", "show").out


def test_a_path_follows_the_calls(graph: Run) -> None:
    assert pairs(graph("graph", "path", "web", "db", "--format", "json")) == [("web", "cart"), ("cart", "db")]
    assert pairs(graph("graph", "path", "web", "web", "--format", "json")) == []
    none = graph("graph", "path", "search", "db")
    assert (none.code, none.out) == (1, "")
    strange = graph("graph", "path", "web", "nobody")
    assert strange.code == 2
    assert "no node 'nobody'" in strange.err


def test_a_cut_edge_stays_away(graph: Run) -> None:
    assert graph("graph", "cut", "web", "cart").code == 0
    assert graph("graph", "path", "web", "db").code == 1
    again = graph("graph", "import", "topology.json")
    assert (again.code, again.err) == (0, "3 dependencies taken between 4 nodes\n1 left out: they were cut\n")
    assert graph("graph", "path", "web", "db").code == 1


def test_a_cut_is_listed_and_taken_back(graph: Run) -> None:
    before = graph("graph", "show", "--format", "json").out
    assert graph("graph", "cut", "web", "cart").code == 0
    assert graph("graph", "cut", "--list").out.split() == ["caller", "callee", "web", "->", "cart"]
    assert json.loads(graph("graph", "cut", "--list", "--format", "json").out) == {
        "cuts": [{"caller": "web", "callee": "cart"}]
    }
    assert graph("graph", "cut", "web", "cart", "--undo").code == 0
    assert graph("graph", "show", "--format", "json").out == before
    assert graph("graph", "cut", "--list").out.strip() == ""
    again = graph("graph", "cut", "web", "cart", "--undo")
    assert (again.code, "is not cut" in again.err) == (2, True)


@pytest.mark.parametrize("given", [[], ["web"], ["web", "--undo"], ["--list", "--undo"], ["--list", "web", "cart"]])
def test_a_cut_is_of_two_nodes(graph: Run, given: list[str]) -> None:
    assert graph("graph", "cut", *given).code == 2
    assert pairs(graph("graph", "show", "--format", "json")) == [(a, b) for a, b, *_ in sorted(EDGES)]


def test_what_is_said_to_be_taken_is_what_is_there(run: Run) -> None:
    Path("edges.yaml").write_text("edges: [[a, a], [a, b], [a, b], [b, c, traces]]\nnodes: [d]\n", encoding="utf-8")
    assert run("graph", "import", "edges.yaml").err == "2 dependencies taken between 4 nodes\n"
    assert pairs(run("graph", "show", "--format", "json")) == [("a", "b"), ("b", "c")]


@pytest.mark.parametrize("file", ["graph.json", "graph.graphml"])
def test_what_is_exported_is_imported_elsewhere(graph: Run, file: str) -> None:
    assert graph("graph", "export", "-o", file).code == 0
    before = graph("graph", "show", "--format", "json").out
    assert graph("graph", "import", file, "--graph", "sqlite:other.db").code == 0
    assert graph("graph", "show", "--format", "json", "--graph", "sqlite:other.db").out == before


def test_a_part_is_exported(graph: Run) -> None:
    told = graph("graph", "export", "search", "--hops", "1")
    assert [(e["source"], e["target"]) for e in json.loads(told.out)["edges"]] == [("web", "search")]
    assert graph("graph", "export", "nobody").code == 2
    assert "<graphml" in graph("graph", "export", "--format", "graphml").out


def test_yaml_will_do(run: Run) -> None:
    Path("edges.yaml").write_text("edges:\n- [a, b]\n", encoding="utf-8")
    assert run("graph", "import", "edges.yaml").code == 0
    assert pairs(run("graph", "show", "--format", "json")) == [("a", "b")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "edges"),
        ("{", "neither JSON nor YAML"),
        ("edges: 1", "edges"),
        ("edges: [a]", r"edges[0]"),
        ("edges: [[a, b], [a]]", "edges[1]"),
        ("edges: [[a, 1]]", "edges[0]"),
        ("edges: [[a, b, c, d, e]]", "edges[0]"),
        ("edges: [[a, b, c, LIKES]]", "LIKES"),
        ("edges: [{source: a, target: b, strength: 0}]", "above 0 and at most 1"),
        ("edges: [[a, b, c, CALLS, 1.5]]", "above 0 and at most 1"),
        ("edges: []\nnodes: [{id: m, kind: Metric}]", "a Metric needs service and name"),
        ("edges: [[a, m]]\nnodes: [{id: m, kind: Metric, service: a, name: cpu}]", "'m' is a Metric"),
    ],
)
def test_what_is_no_topology_is_refused(run: Run, text: str, named: str) -> None:
    Path("bad.yaml").write_text(text, encoding="utf-8")
    refused = run("graph", "import", "bad.yaml")
    assert refused.code == 2
    assert named in refused.err
    assert "bad.yaml" in refused.err


def test_an_empty_graph_says_how_to_fill_it(run: Run) -> None:
    empty = run("graph", "show")
    assert empty.code == 0
    assert "graph import" in empty.err


SIGHTING = """
nodes: [{id: m, kind: Metric, service: cart, name: "cpu\\x1b[31m"}]
edges:
- {source: cart, target: m, kind: CONTAINS, strength: 0.5, first_seen: 2026-01-01T00:00:00Z, last_seen: 2026-01-01T00:00:00Z}
"""


def test_what_diagnoses_saw_is_shown_and_exported(graph: Run) -> None:
    Path("seen.yaml").write_text(SIGHTING, encoding="utf-8")
    assert "1 sightings" in graph("graph", "import", "seen.yaml").err
    shown = graph("graph", "show", "cart")
    assert "CONTAINS" in shown.out
    assert "\x1b" not in shown.out
    (told,) = json.loads(graph("graph", "show", "cart", "--format", "json").out)["sightings"]
    assert (told["cause"]["service"], told["effect"]["kind"], told["strength"]) == ("cart", "Metric", 0.5)
    assert "CONTAINS" not in graph("graph", "show", "search", "--hops", "1").out
    for file in ("all.json", "all.graphml"):
        exported = graph("graph", "export", "-o", file)
        if file.endswith("json"):
            assert exported.code == 0
            assert graph("graph", "import", file, "--graph", "sqlite:other.db").code == 0
            again = graph("graph", "show", "--format", "json", "--graph", "sqlite:other.db").out
            assert again == graph("graph", "show", "--format", "json").out
        else:  # no XML can hold that name
            assert exported.code == 2
            assert "JSON" in exported.err


def test_a_graph_elsewhere_that_is_down_is_told(run: Run) -> None:
    Path("edges.yaml").write_text("edges:\n- [a, b]\n", encoding="utf-8")
    where = ("--graph", "neo4j://127.0.0.1:1")
    told = run("graph", "import", "edges.yaml", *where)
    assert told.code == 0
    assert "1 writes wait" in told.err
    assert "127.0.0.1:1" in run("graph", "path", "a", "b", *where).err
    shown = run("graph", "show", *where, "--format", "json")
    assert pairs(shown) == [("a", "b")]
    assert "127.0.0.1:1" in shown.err
    assert "1 writes wait" in shown.err


def test_the_doctor_sends_to_the_setting_of_a_graph_elsewhere(run: Run) -> None:
    told = run("doctor", "--graph", "neo4j://127.0.0.1:1")
    assert "aiops config show stores.graph" in told.out
