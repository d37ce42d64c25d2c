"""Calls become a causal DAG: turned round, acyclic, nothing lost silently."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import system

from aiops.domain import Anomaly, Call, CausalGraph, Direction, Findings
from aiops.stages.link import link, source_costs

NAMES = st.sampled_from(["a", "b", "c", "d", "e", "entry"])


def findings(onsets: dict[str, int], accused: tuple[str, ...] = ()) -> Findings:
    anomalies = tuple(
        Anomaly(n, "m", system.AT + timedelta(seconds=s), Direction.UP, 2.0, 0, (0.0, 1.0), 2.0)
        for n, s in sorted(onsets.items())
    )
    return Findings(anomalies, (), {"resource": dict.fromkeys(accused, 0.5)})


def linked(calls: tuple[tuple[str, str], ...], found: Findings) -> CausalGraph:
    return link(found, system.observe({}, calls=calls), system.scope(), system.ranking())


@settings(max_examples=100, deadline=None)
@given(st.sets(st.tuples(NAMES, NAMES), max_size=20), st.dictionaries(NAMES, st.integers(-100, 100)))
def test_any_graph_becomes_a_dag_and_says_what_it_dropped(calls: set[tuple[str, str]], onsets: dict[str, int]) -> None:
    graph = linked(tuple(sorted(calls)), findings(onsets, tuple(onsets)))
    dag = nx.DiGraph([(e.cause, e.effect) for e in graph.edges])
    assert nx.is_directed_acyclic_graph(dag)
    stated = {(b, a) for a, b in calls if a != b}
    told = {(e.cause, e.effect) for e in (*graph.edges, *graph.dropped) if e.source == "declared"}
    assert told == stated
    for node in onsets:
        assert node == "entry" or nx.has_path(dag, node, "entry")


def test_an_edge_leads_from_callee_to_caller_with_its_lag() -> None:
    graph = linked((("entry", "a"),), findings({"a": -60, "entry": 0}))
    (edge,) = graph.edges
    assert (edge.cause, edge.effect, edge.lag) == ("a", "entry", timedelta(seconds=60))
    assert 0 < edge.strength <= 1


def test_a_declared_strength_is_taken_before_that_of_any_source() -> None:
    calls = (
        Call("entry", "a", "traces"),
        Call("entry", "a", "declared", strength=0.25),
        Call("entry", "b", "learned"),
        Call("entry", "b", "traces"),
        Call("entry", "c", "learned"),
        Call("c", "c", "traces"),
    )
    seen = replace(system.observe({}), calls=calls)
    graph = link(findings({}), seen, system.scope(), system.ranking())
    assert [(e.cause, e.source) for e in graph.edges] == [("a", "declared"), ("b", "traces"), ("c", "learned")]
    strengths = [e.strength for e in graph.edges]
    assert strengths[0] == 0.25
    assert strengths[2] < strengths[1]


def test_in_a_cycle_the_earlier_onset_is_the_cause() -> None:
    calls = (("entry", "a"), ("a", "b"), ("b", "a"))
    graph = linked(calls, findings({"a": 0, "b": -30}))
    assert ("b", "a") in {(e.cause, e.effect) for e in graph.edges}
    assert [(e.cause, e.effect) for e in graph.dropped] == [("a", "b")]


def test_entries_lead_to_a_symptom_that_nobody_calls() -> None:
    graph = linked((("front", "a"), ("a", "b")), findings({}))
    assert ("front", "entry") in {(e.cause, e.effect) for e in graph.edges}


def test_the_source_formula_is_its_own() -> None:
    series = system.quiet()
    series["leaf", "latency_avg"][:] = 0.25
    series["leaf", "availability"][:] = 90.0
    costs = source_costs(system.observe(series).panel)
    assert costs["leaf"] == pytest.approx(0.09531 + 2.5, abs=1e-4)
