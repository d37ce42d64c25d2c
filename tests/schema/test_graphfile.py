"""Dependencies as files: the round trip through networkx itself, and what other tools' files may hold."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.domain import CALL_KINDS, SIGHTING_KINDS, Call, Entity, EntityKind, Sighting
from aiops.errors import ConfigError, DataError
from aiops.schema import graphfile

NOON = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
CALLS = (
    Call("a", "b", "declared"),
    Call("a", "b", "traces", "CALLS", NOON, NOON + timedelta(hours=1)),
    Call("a", "host", "labels", "RUNS_ON", None, NOON),
    Call("b", "a", "service-graph"),
    Call("结账", "a & <b>", "traces"),
)
LATENCY = Entity(EntityKind.METRIC, "a", "latency")
SEEN = (
    Sighting(Entity(EntityKind.ALERT, "a", "Slow"), LATENCY, "TRIGGERS", "learned", 0.25, timedelta(seconds=1.5), NOON, NOON),
    Sighting(Entity(EntityKind.SERVICE, "only seen"), LATENCY, "CONTAINS", "metrics", 1.0, timedelta(0), NOON, NOON),
)  # fmt: skip
names = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8)
times = st.none() | st.datetimes(timezones=st.just(UTC))
calls = st.builds(
    Call,
    names,
    names,
    st.sampled_from(("declared", "traces", "labels")),
    st.sampled_from(CALL_KINDS),
    times,
    times,
    st.none() | st.floats(0, 1, exclude_min=True),
)
ends = st.builds(Entity, st.sampled_from(EntityKind), names, names).map(
    lambda end: Entity(end.kind, end.service) if end.kind is EntityKind.SERVICE else end
)
moments = st.datetimes(timezones=st.just(UTC))
sightings = st.builds(
    Sighting,
    ends,
    ends,
    st.sampled_from(SIGHTING_KINDS),
    st.sampled_from(("metrics", "learned")),
    st.floats(0, 1, exclude_min=True),
    st.timedeltas(timedelta(0), timedelta(days=9)),
    moments,
    moments,
)


def order(call: Call) -> tuple[str, ...]:
    return call.caller, call.callee, call.kind, call.source


def through_json(text: str) -> str:
    graph = nx.node_link_graph(json.loads(text), edges="edges")
    assert isinstance(graph, nx.MultiDiGraph)
    return json.dumps(nx.node_link_data(graph, edges="edges"))


def through_graphml(text: str) -> str:
    graph = nx.read_graphml(io.BytesIO(text.encode()))
    out = io.BytesIO()
    nx.write_graphml_xml(graph, out)
    return out.getvalue().decode()


ROUND = [(graphfile.node_link, through_json), (graphfile.graphml, through_graphml)]


@pytest.mark.parametrize(("write", "through"), ROUND, ids=["json", "graphml"])
def test_networkx_reads_and_writes_it_back(write, through):
    again, seen = graphfile.parse(through(write(CALLS, ("alone",), SEEN)).encode(), "x")
    assert tuple(sorted(again[:-1], key=order)) == tuple(sorted(CALLS, key=order))
    assert again[-1] == Call("alone", "alone", "declared")
    assert tuple(sorted(seen, key=lambda one: one.key)) == SEEN


@pytest.mark.parametrize("write", [graphfile.node_link, graphfile.graphml])
@given(st.lists(calls, max_size=8, unique_by=order), st.lists(sightings, max_size=5, unique_by=lambda one: one.key))
def test_what_is_written_is_read(write, given_calls: list[Call], given_sightings: list[Sighting]):
    listed, seen = sorted(given_calls, key=order), sorted(given_sightings, key=lambda one: one.key)
    again, found = graphfile.parse(write(listed, (), seen).encode(), "x")
    assert sorted(again, key=order) == listed
    assert sorted(found, key=lambda one: one.key) == seen


def test_networkx_sees_a_multigraph_with_attributes():
    graph = nx.node_link_graph(json.loads(graphfile.node_link(CALLS)), edges="edges")
    assert graph.number_of_edges("a", "b") == 2
    assert graph.edges["a", "host", "RUNS_ON labels"] == {
        "kind": "RUNS_ON",
        "origin": "labels",
        "last_seen": NOON.isoformat(),
    }


@pytest.mark.parametrize(
    "graph", [nx.DiGraph([("a", "b"), ("b", "c")]), nx.MultiDiGraph([("a", "b"), ("b", "c")])], ids=["plain", "multi"]
)
@pytest.mark.parametrize("word", ["edges", "links"])
def test_a_bare_graph_of_networkx_is_declared_calls(graph: nx.DiGraph, word: str):
    wanted = (Call("a", "b", "declared"), Call("b", "c", "declared"))
    assert graphfile.parse(json.dumps(nx.node_link_data(graph, edges=word)).encode(), "x") == (wanted, ())
    out = io.BytesIO()
    nx.write_graphml_xml(graph, out)
    assert graphfile.parse(out.getvalue(), "x") == (wanted, ())


def test_numbers_are_names_too():
    numbered = json.dumps(nx.node_link_data(nx.DiGraph([(1, 2)]), edges="edges"))
    assert graphfile.parse(numbered.encode(), "x") == ((Call("1", "2", "declared"),), ())


def test_lists_of_edges():
    text = b"edges: [[a, b], [b, c, traces], [b, d, labels, RUNS_ON], [a, d, traces, CALLS, 0.5], {source: d, target: e, strength: 1}]"
    wanted = (
        Call("a", "b", "declared"),
        Call("b", "c", "traces"),
        Call("b", "d", "labels", "RUNS_ON"),
        Call("a", "d", "traces", strength=0.5),
        Call("d", "e", "declared", strength=1.0),
    )
    assert graphfile.parse(text, "x") == (wanted, ())
    assert graphfile.parse(b"edges: []", "x") == ((), ())


def test_self_loops_and_repeats_stay_as_they_stand():
    calls, _ = graphfile.parse(b"edges: [[a, a], [a, b], [a, b]]", "x")
    assert calls == (Call("a", "a", "declared"), Call("a", "b", "declared"), Call("a", "b", "declared"))


@pytest.mark.parametrize("strength", ["0", "0.0", "-0.1", "1.01", "5", ".nan", ".inf", "true", "high", "'0.5'", "[1]"])
@pytest.mark.parametrize("edge", ["{{source: a, target: b, strength: {}}}", "[a, b, traces, CALLS, {}]"])
def test_a_strength_is_a_probability(edge: str, strength: str):
    with pytest.raises(DataError, match=r"graph\.file: edges\[0\]: strength .* above 0 and at most 1"):
        graphfile.parse(f"edges: [{edge.format(strength)}]".encode(), "graph.file")


def test_a_service_may_be_called_as_a_thing_is_shown():
    """The name that a metric gets in the file is taken by a service."""
    calls = (Call("Metric: a: latency", "b", "declared"),)
    seen = (Sighting(Entity(EntityKind.SERVICE, "a"), LATENCY, "CONTAINS", "metrics", 0.5, timedelta(0), NOON, NOON),)
    assert graphfile.parse(graphfile.node_link(calls, (), seen).encode(), "x") == (calls, seen)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"edges: 3",
        b"edges: [[a]]",
        b"edges: [[a, b, c, d, e]]",
        b"edges: [[a, b, traces, CALLS, 0.5, 6]]",
        b"edges: [a]",
        b"edges: [{source: a, target: b, kind: CONTAINS}]",
        b"edges: [{source: a, target: b, kind: CONTAINS, strength: 0.5, first_seen: 2026-01-01T00:00:00Z}]",
        b"edges: [{source: a, target: b, kind: CONTAINS, strength: 2, first_seen: 2026-01-01T00:00:00Z, last_seen: 2026-01-01T00:00:00Z}]",
        b"edges: [{source: a, target: b, kind: CONTAINS, lag_s: x, strength: 1, first_seen: 2026-01-01T00:00:00Z, last_seen: 2026-01-01T00:00:00Z}]",
        b"edges: [[a, '']]",
        b"edges: [[a, b, traces, LIKES]]",
        b"edges: [{source: a}]",
        b"edges: [{source: a, target: ''}]",
        b"edges: [{source: a, target: [b]}]",
        b"edges: [{source: a, target: true}]",
        b"edges: [{source: a, target: b, origin: 3}]",
        b"edges: [{source: a, target: b, first_seen: soon}]",
        b"edges: [{source: a, target: b, first_seen: '2026-01-01T00:00:00'}]",
        b"{directed: false, edges: [{source: a, target: b}]}",
        b"{nodes: 3, edges: [{source: a, target: b}]}",
        b"{nodes: [{}], edges: [{source: a, target: b}]}",
        b"edges: [",
        b"\xff\xfe\x00",
        b"<",
        b"<html></html>",
        b"<graphml><graph edgedefault='undirected'><node id='a'/></graph></graphml>",
        b"<graphml xmlns='http://graphml.graphdrawing.org/xmlns'><graph edgedefault='undirected'><node id='a'/></graph></graphml>",
    ],
)
def test_what_is_no_graph_is_refused_by_name(text: bytes):
    with pytest.raises(DataError, match=r"graph\.file"):
        graphfile.parse(text, "graph.file")


def test_a_bomb_is_refused():
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 20}">' for i in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE g [<!ENTITY e0 "x">{entities}]><graphml>&e11;</graphml>'
    with pytest.raises(DataError):
        graphfile.parse(bomb.encode(), "bomb")


def test_a_name_that_xml_cannot_hold():
    with pytest.raises(DataError, match="JSON"):
        graphfile.graphml([Call("a\x00", "b", "declared")])
    assert graphfile.parse(graphfile.node_link([Call("a\x01", "b", "declared")]).encode(), "x")[0][0].caller == "a\x01"


def test_without_networkx_json_still_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    assert graphfile.parse(graphfile.node_link(CALLS).encode(), "x") == (CALLS, ())
    with pytest.raises(ConfigError, match=r"'\.\[graph\]'"):
        graphfile.graphml(CALLS)
