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

from aiops.domain import Call
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
names = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8)
times = st.none() | st.datetimes(timezones=st.just(UTC))
calls = st.builds(
    Call,
    names,
    names,
    st.sampled_from(("declared", "traces", "labels")),
    st.sampled_from(graphfile.KINDS),
    times,
    times,
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
    again = graphfile.parse(through(write(CALLS, ("alone",))).encode(), "x")
    assert tuple(sorted(again[:-1], key=order)) == tuple(sorted(CALLS, key=order))
    assert again[-1] == Call("alone", "alone", "declared")


@pytest.mark.parametrize("write", [graphfile.node_link, graphfile.graphml])
@given(st.lists(calls, max_size=8, unique_by=order))
def test_what_is_written_is_read(write, given_calls: list[Call]):
    listed = sorted(given_calls, key=order)
    again = graphfile.parse(write(listed).encode(), "x")
    assert sorted(again, key=order) == listed


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
    assert graphfile.parse(json.dumps(nx.node_link_data(graph, edges=word)).encode(), "x") == wanted
    out = io.BytesIO()
    nx.write_graphml_xml(graph, out)
    assert graphfile.parse(out.getvalue(), "x") == wanted


def test_numbers_are_names_too():
    assert graphfile.parse(json.dumps(nx.node_link_data(nx.DiGraph([(1, 2)]), edges="edges")).encode(), "x") == (
        Call("1", "2", "declared"),
    )


def test_lists_of_edges():
    text = b"edges: [[a, b], [b, c, traces], [b, d, labels, RUNS_ON]]"
    wanted = (Call("a", "b", "declared"), Call("b", "c", "traces"), Call("b", "d", "labels", "RUNS_ON"))
    assert graphfile.parse(text, "x") == wanted
    assert graphfile.parse(b"edges: []", "x") == ()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"edges: 3",
        b"edges: [[a]]",
        b"edges: [[a, b, c, d, e]]",
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
    assert graphfile.parse(graphfile.node_link([Call("a\x01", "b", "declared")]).encode(), "x")[0].caller == "a\x01"


def test_without_networkx_json_still_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    assert graphfile.parse(graphfile.node_link(CALLS).encode(), "x") == CALLS
    with pytest.raises(ConfigError, match=r"'\.\[graph\]'"):
        graphfile.graphml(CALLS)
