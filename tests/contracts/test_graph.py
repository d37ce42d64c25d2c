"""What every GraphStore must do."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neo4j import GraphDatabase

from aiops.adapters.neo4j_graph import Neo4jGraph
from aiops.adapters.sqlite import GraphDB, MirroredGraph
from aiops.domain import Call, Entity, EntityKind, Sighting
from aiops.errors import DataError, StoreError
from aiops.ports import LONGEST_NAME, GraphStore

import servers
from conftest import needed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def neo4j(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with needed(), servers.neo4j(tmp_path_factory.mktemp("neo4j")) as server:
        yield server


@pytest.fixture(params=["sqlite", "mirror", "neo4j"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], GraphStore]]:
    """Opens the same, at first empty, graph as often as it is called."""
    stores: list[GraphStore] = []
    server: servers.Server | None = request.getfixturevalue("neo4j") if request.param == "neo4j" else None
    if server:
        with GraphDatabase.driver(server.url) as driver:
            driver.execute_query("MATCH (n) DETACH DELETE n")

    def open_it() -> GraphStore:
        store: GraphStore = Neo4jGraph(server.url, timeout_s=120) if server else GraphDB(tmp_path / "graph.db")
        if request.param == "mirror":  # each on a machine of its own
            store = MirroredGraph(GraphDB(tmp_path / f"copy-{len(stores)}.db"), store, "the graph")
        stores.append(store)
        return store

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def graph(opened: Callable[[], GraphStore]) -> GraphStore:
    return opened()


def call(caller: str, callee: str, source: str = "traces", kind: str = "CALLS", at: datetime | None = NOON) -> Call:
    return Call(caller, callee, source, kind, at, at)


CHAIN = (call("a", "b"), call("b", "c"), call("c", "d"), call("d", "e"))


def test_empty(graph: GraphStore):
    assert graph.nodes() == ()
    assert tuple(graph.calls()) == tuple(graph.calls(["a"], hops=3)) == ()
    assert graph.upsert([]) == 0


def test_what_is_stored_comes_back_sorted(graph: GraphStore):
    rows = (
        call("b", "a"),
        call("a", "c", source="declared", at=None),
        call("a", "b", source="labels", kind="RUNS_ON"),
        call("a", "b"),
        call("a", "b", source="service-graph"),
    )
    assert graph.upsert(rows) == 5
    assert tuple(graph.calls()) == (rows[4], rows[3], rows[2], rows[1], rows[0])
    assert graph.nodes() == ("a", "b", "c")


def test_names_are_data(graph: GraphStore):
    strange = ("", "'; DROP TABLE edges --", "结账", "a\nb", "}) DETACH DELETE n //", "🦊", "%_", "\x00x")
    rows = [call(name, "end") for name in strange]
    graph.upsert(rows)
    assert set(graph.calls()) == set(rows)
    assert tuple(graph.calls(["结账"], hops=0)) == ()
    assert [c.caller for c in tuple(graph.calls(["a\nb", "end"]))] == ["a\nb"]


def test_upsert_is_idempotent_and_moves_times_only_outwards(graph: GraphStore):
    graph.upsert([call("a", "b")])
    graph.upsert([call("a", "b")])
    graph.upsert([call("a", "b", at=None)])
    assert tuple(graph.calls()) == (call("a", "b"),)
    graph.upsert([call("a", "b", at=NOON + HOUR), call("a", "b", at=NOON - HOUR)])
    assert tuple(graph.calls()) == (replace(call("a", "b"), first_seen=NOON - HOUR, last_seen=NOON + HOUR),)


def test_a_time_learnt_later_is_kept(graph: GraphStore):
    graph.upsert([call("a", "b", at=None)])
    graph.upsert([call("a", "b")])
    assert tuple(graph.calls()) == (call("a", "b"),)


def test_the_same_edge_twice_in_one_upsert(graph: GraphStore):
    assert graph.upsert([call("a", "b"), call("a", "b", at=NOON + HOUR)]) == 2
    assert tuple(graph.calls()) == (replace(call("a", "b"), last_seen=NOON + HOUR),)


def test_a_node_that_calls_itself_is_only_a_node(graph: GraphStore):
    assert graph.upsert([call("a", "a")]) == 1
    assert graph.nodes() == ("a",)
    assert tuple(graph.calls()) == ()


def test_the_strength_given_last_stays(graph: GraphStore):
    graph.upsert([replace(call("a", "b"), strength=0.5), call("b", "c")])
    graph.upsert([call("a", "b")])
    assert [c.strength for c in graph.calls()] == [0.5, None]
    graph.upsert([replace(call("a", "b"), strength=0.25), replace(call("b", "c"), strength=1.0)])
    assert [c.strength for c in graph.calls()] == [0.25, 1.0]


def test_an_answer_stays_as_it_was_given(graph: GraphStore):
    graph.upsert(CHAIN)
    before, part = graph.calls(), graph.calls(["b"], hops=1)
    graph.upsert([call("a", "b", at=NOON + HOUR), call("aa", "b"), call("b", "x")])
    graph.calls()
    assert tuple(before) == CHAIN
    assert tuple(part) == CHAIN[:2]
    assert (before[0], tuple(before[1:3]), len(before), before.nodes) == (CHAIN[0], CHAIN[1:3], 4, tuple("abcde"))


def test_names_between_the_known_ones(graph: GraphStore):
    """Each upsert comes between two questions, so that what is known is joined with what is new again and again."""
    known: set[Call] = set()
    for names in ("mz", "az", "ma", "zz", "ba", "cb", "yc", "nm", "mm", "za"):
        graph.upsert([call(*names)])
        known |= {call(*names)} if names[0] != names[1] else set()
        assert tuple(graph.calls()) == tuple(sorted(known, key=lambda c: (c.caller, c.callee)))
        mine = sorted((c for c in known if "m" in (c.caller, c.callee)), key=lambda c: (c.caller, c.callee))
        assert {c for c in graph.calls(["m"], hops=1) if "m" in (c.caller, c.callee)} == set(mine)
    assert graph.nodes() == tuple(sorted(set("mzabycn")))


def test_a_node_without_an_edge_is_alone(graph: GraphStore):
    graph.upsert([call("a", "b"), call("c", "c"), call("d", "d")])
    assert graph.nodes() == ("a", "b", "c", "d")
    assert graph.nodes(alone=True) == ("c", "d")
    graph.upsert([call("d", "a")])
    graph.cut("a", "b")
    assert graph.nodes(alone=True) == ("b", "c")


def test_any_neighbourhood_is_that_of_networkx(graph: GraphStore):
    draw = random.Random(8)
    ends = [(f"n{draw.randrange(40):02}", f"n{draw.randrange(40):02}") for _ in range(60)]

    def moment() -> datetime | None:
        return None if draw.random() < 0.3 else NOON + timedelta(milliseconds=draw.randrange(10**9))

    calls = [
        Call(a, b, draw.choice(["traces", "declared"]), draw.choice(["CALLS", "RUNS_ON"]), first, first, strength)
        for a, b in sorted(set(ends))
        if a != b
        for first, strength in [(moment(), draw.choice([None, 0.25, 1.0]))]
    ]
    graph.upsert(calls)
    other = nx.DiGraph([(call.caller, call.callee) for call in calls]).to_undirected()
    for hops in range(6):
        near = set(nx.single_source_shortest_path_length(other, calls[0].caller, cutoff=hops))
        inside = [call for call in calls if {call.caller, call.callee} <= near]
        assert list(graph.calls([calls[0].caller], hops)) == inside


def test_hops_go_both_ways(graph: GraphStore):
    graph.upsert(CHAIN)
    assert tuple(graph.calls(["c"], hops=0)) == ()
    assert tuple(graph.calls(["c"], hops=1)) == CHAIN[1:3]
    assert tuple(graph.calls(["c"], hops=2)) == CHAIN
    assert tuple(graph.calls(["a", "e"], hops=1)) == (CHAIN[0], CHAIN[3])
    assert tuple(graph.calls(["a", "b"], hops=0)) == (CHAIN[0],)
    assert tuple(graph.calls(["a", "nobody"], hops=1)) == (CHAIN[0],)
    assert tuple(graph.calls(["nobody"], hops=5)) == ()
    assert tuple(graph.calls(["a"], hops=50)) == CHAIN


def test_cycles_end(graph: GraphStore):
    ring = (call("a", "b"), call("b", "c"), call("c", "a"))
    graph.upsert(ring)
    assert tuple(graph.calls(["a"], hops=10)) == ring


def test_a_cut_edge_is_never_learnt_again(opened: Callable[[], GraphStore]):
    graph = opened()
    graph.upsert([*CHAIN, call("b", "c", source="declared", kind="RUNS_ON")])
    assert graph.cut("b", "c")
    assert not graph.cut("b", "c")
    assert not graph.cut("c", "b")
    graph.upsert([call("b", "c", at=NOON + HOUR), call("b", "c", source="learned")])
    assert tuple(graph.calls()) == (CHAIN[0], CHAIN[2], CHAIN[3])
    assert tuple(graph.calls(["a"], hops=5)) == (CHAIN[0],)
    assert graph.nodes() == ("a", "b", "c", "d", "e")
    graph.close()
    again = opened()
    again.upsert(CHAIN)
    assert tuple(again.calls()) == (CHAIN[0], CHAIN[2], CHAIN[3])


def test_a_cut_is_taken_back_with_all_that_it_took(opened: Callable[[], GraphStore]):
    graph = opened()
    graph.upsert([*CHAIN, Call("b", "c", "declared", "RUNS_ON", strength=0.5)])
    before = tuple(graph.calls())
    assert graph.cuts() == ()
    assert not graph.restore("b", "c")
    assert graph.cut("b", "c")
    assert graph.cut("a", "b")
    assert graph.cuts() == (("a", "b"), ("b", "c"))
    graph.upsert([call("b", "c", at=NOON + HOUR)])
    graph.close()
    again = opened()
    assert again.restore("b", "c")
    assert not again.restore("b", "c")
    assert again.cuts() == (("a", "b"),)
    assert again.restore("a", "b")
    assert tuple(again.calls()) == before
    again.upsert([call("a", "b", at=NOON + HOUR)])
    assert again.calls()[0].last_seen == NOON + HOUR


def test_what_was_cut_and_purged_can_still_be_learned(graph: GraphStore):
    graph.upsert([call("a", "b", at=NOON), call("b", "c", at=NOON)])
    assert graph.cut("a", "b")
    graph.purge(NOON + HOUR)
    assert graph.nodes() == ()
    assert graph.restore("a", "b")
    assert graph.nodes() == ("a", "b")
    graph.upsert([call("a", "b", at=NOON + 2 * HOUR)])
    (edge,) = graph.calls()
    assert (edge.first_seen, edge.last_seen) == (NOON, NOON + 2 * HOUR)


def test_only_what_was_not_seen_lately_is_purged(graph: GraphStore):
    kept = (call("a", "b", at=NOON), call("b", "c", at=None))
    graph.upsert([*kept, call("old", "older", at=NOON - HOUR)])
    assert graph.purge(NOON) == 1
    assert tuple(graph.calls()) == kept
    assert graph.nodes() == ("a", "b", "c")
    assert graph.purge(NOON) == 0


# ---------------------------------------------------------------- sightings


def thing(kind: EntityKind, service: str, name: str = "") -> Entity:
    return Entity(kind, service, name)


def sighting(service: str, name: str, at: datetime = NOON, strength: float = 0.5, other: str = "") -> Sighting:
    cause = thing(EntityKind.METRIC, service, name)
    if other:
        effect = thing(EntityKind.METRIC, other, name)
        return Sighting(cause, effect, "CORRELATES_WITH", "learned", strength, timedelta(seconds=30), at, at)
    return Sighting(thing(EntityKind.SERVICE, service), cause, "CONTAINS", "metrics", strength, timedelta(0), at, at)


SEEN = (
    sighting("a", "cpu", other="b"),
    Sighting(thing(EntityKind.ALERT, "a", "Slow"), thing(EntityKind.CHANGE, "b", "deploy"), "TRIGGERS", "alerts", 1.0,
             timedelta(milliseconds=1500), NOON - HOUR, NOON),
    Sighting(thing(EntityKind.SERVICE, "c"), thing(EntityKind.LOG_TEMPLATE, "c", "no route to *"), "CONTAINS", "logs", 0.1,
             timedelta(0), NOON, NOON),
    sighting("b", "cpu"),
)  # fmt: skip


def test_sightings_come_back_sorted_and_are_no_topology(graph: GraphStore):
    graph.upsert([call("x", "y")])
    assert graph.sightings() == graph.sightings(["x"]) == ()
    assert graph.note([]) == 0
    assert graph.note(SEEN) == 4
    assert graph.sightings() == tuple(sorted(SEEN, key=lambda one: one.key))
    assert set(graph.sightings(["a"])) == {SEEN[0], SEEN[1]}
    assert set(graph.sightings(["b", "nobody"])) == {SEEN[0], SEEN[1], SEEN[3]}
    assert tuple(graph.calls()) == (call("x", "y"),)
    assert graph.nodes() == ("x", "y")


def test_a_sighting_seen_again_keeps_what_was_seen_last(graph: GraphStore):
    graph.note([sighting("a", "cpu", NOON, 0.5)])
    graph.note([sighting("a", "cpu", NOON, 0.5), sighting("a", "cpu", NOON + HOUR, 0.25)])
    graph.note([sighting("a", "cpu", NOON - HOUR, 0.75)])
    (found,) = graph.sightings()
    assert found == replace(sighting("a", "cpu", NOON, 0.25), first_seen=NOON - HOUR, last_seen=NOON + HOUR)


def test_names_of_what_was_seen_are_data(graph: GraphStore):
    strange = ("'; DROP TABLE sightings --", "结账", "a\nb", "}) DETACH DELETE n //", "🦊", '"]', "\x00x")
    graph.note([sighting(name, name) for name in strange])
    assert {one.cause.service for one in graph.sightings()} == set(strange)
    for name in strange:
        assert [one.effect.name for one in graph.sightings([name])] == [name]


def test_old_sightings_are_purged(graph: GraphStore):
    graph.upsert([call("a", "b")])
    graph.note([sighting("a", "cpu"), sighting("a", "memory", NOON - HOUR)])
    assert graph.purge(NOON) == 1
    assert graph.sightings() == (sighting("a", "cpu"),)
    assert graph.purge(NOON + HOUR) == 2
    assert graph.sightings() == ()
    assert graph.nodes() == ()


def test_a_graph_outlives_its_opener(opened: Callable[[], GraphStore]):
    graph = opened()
    graph.upsert(CHAIN)
    graph.close()
    assert tuple(opened().calls()) == CHAIN


def test_each_opener_sees_what_the_other_did(opened: Callable[[], GraphStore]):
    one, other = opened(), opened()
    one.upsert(CHAIN[:2])
    assert tuple(other.calls()) == CHAIN[:2]
    other.upsert(CHAIN[2:])
    one.upsert([call("a", "b", at=NOON + HOUR)])
    expected = (replace(CHAIN[0], last_seen=NOON + HOUR), *CHAIN[1:])
    assert tuple(one.calls()) == tuple(other.calls()) == expected
    one.cut("c", "d")
    assert tuple(other.calls(["a"], hops=9)) == expected[:2]


def test_threads_share_a_graph(graph: GraphStore):
    def write(worker: int) -> None:
        for i in range(20):
            graph.upsert([call(f"n{worker}", f"n{worker}-{i}"), call("hub", f"n{worker}", at=NOON + i * HOUR)])
            tuple(graph.calls(["hub"], hops=2))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    found = tuple(graph.calls())
    assert len(found) == 4 * 20 + 4
    assert {c.last_seen for c in found if c.caller == "hub"} == {NOON + 19 * HOUR}


def test_a_kind_that_there_is_not_is_refused(graph: GraphStore):
    with pytest.raises(DataError, match="CALLS, RUNS_ON"):
        graph.upsert([call("a", "b", kind="OWNS]->() DETACH DELETE a //")])
    with pytest.raises(DataError, match="CONTAINS"):
        graph.note([replace(SEEN[0], kind="CALLS")])
    assert not graph.calls()


def test_the_longest_names_are_kept_and_longer_ones_refused_whole(graph: GraphStore):
    draw = random.Random(5)  # what is random can't be packed
    longest, more = ("".join(draw.choices(string.ascii_letters, k=LONGEST_NAME)) for _ in range(2))
    graph.upsert([call(longest, "b")])
    graph.note([sighting(longest, more)])
    assert set(graph.calls([longest], hops=1).nodes) == {longest, "b"}
    assert [one.effect.name for one in graph.sightings([longest])] == [more]
    for name in (f"{longest}x", "结" * (LONGEST_NAME // 3 + 1)):
        with pytest.raises(DataError, match="longer than"):
            graph.upsert([call("x", "y"), call("x", name)])
        with pytest.raises(DataError, match="longer than"):
            graph.note([sighting("x", name)])
    assert "x" not in graph.nodes()
    assert graph.upsert([call("x", "y")]) == 1


def test_ping_names_what_answers(graph: GraphStore):
    assert graph.ping(5)


def test_closed_twice_and_never_used_again(graph: GraphStore):
    graph.close()
    graph.close()
    with pytest.raises(StoreError):
        graph.upsert(CHAIN)


names = st.sampled_from("abcdefghij")


@given(
    edges=st.lists(st.tuples(names, names), max_size=25),
    seeds=st.lists(names, min_size=1, max_size=3),
    hops=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_neighbourhood_is_the_one_networkx_finds(
    graph: GraphStore, edges: list[tuple[str, str]], seeds: list[str], hops: int
):
    graph.purge(NOON + HOUR)
    graph.upsert([call(*edge) for edge in edges])
    reference = nx.Graph(edges)
    reached = {
        node
        for seed in seeds
        if seed in reference
        for node in nx.single_source_shortest_path_length(reference, seed, cutoff=hops)
    }
    wanted = sorted({(u, v) for u, v in edges if u in reached and v in reached and u != v})
    assert [(c.caller, c.callee) for c in graph.calls(seeds, hops)] == wanted
