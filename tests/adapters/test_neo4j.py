"""How the Neo4j graph fails; that it keeps its port's word is in tests/contracts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from aiops.adapters import cypher, neo4j_graph
from aiops.adapters.neo4j_graph import Neo4jGraph
from aiops.domain import CALL_KINDS, SIGHTING_KINDS, Call, EntityKind
from aiops.errors import ConfigError, DataError, SourceRefused, SourceUnreachable, StoreError

import servers
from conftest import needed

CALL = Call("a", "b", "traces")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with needed(), servers.neo4j(tmp_path_factory.mktemp("neo4j")) as server:
        yield server


@pytest.fixture
def graph(server: servers.Server) -> Iterator[Neo4jGraph]:
    with contextlib.closing(Neo4jGraph(server.url, timeout_s=120)) as graph:  # it starts slowly on a busy machine
        yield graph


def test_a_server_that_is_not_there_is_told_without_its_password():
    with contextlib.closing(Neo4jGraph("bolt://127.0.0.1:1", "neo4j", "hunter2", timeout_s=0.2)) as graph:
        for ask in (graph.calls, graph.nodes, lambda: graph.upsert([CALL]), lambda: graph.ping(1)):
            with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:1") as caught:
                ask()
            assert "hunter2" not in str(caught.value)


def test_a_url_of_something_else_is_a_mistake_of_the_configuration():
    with pytest.raises(ConfigError, match="Neo4j"):
        Neo4jGraph("redis://127.0.0.1")


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as caught:
        Neo4jGraph("bolt://neo4j:hunter2@127.0.0.1")
    assert "hunter2" not in str(caught.value)


def test_reading_an_empty_database_leaves_no_trace(graph: Neo4jGraph):
    assert tuple(graph.calls()) == tuple(graph.calls(["a"], hops=3)) == graph.nodes() == graph.sightings() == ()
    assert graph._read("SHOW CONSTRAINTS YIELD name RETURN name") == []


def test_no_answer_in_time_is_told(server: servers.Server, graph: Neo4jGraph):
    slow = "UNWIND range(1, 10000000) AS i WITH i ORDER BY i % 1000, i RETURN count(*)"
    with contextlib.closing(Neo4jGraph(server.url, timeout_s=0.3)) as hurried:
        hurried._driver.verify_connectivity()
        with pytest.raises(SourceUnreachable):
            hurried._read(slow)


def test_what_is_looked_up_by_name_is_indexed(graph: Neo4jGraph):
    graph.upsert([CALL])
    indexed = {tuple(row["properties"]) for row in graph._read("SHOW INDEXES YIELD properties") if row["properties"]}
    assert {("id",), ("caller", "callee"), ("service", "name"), ("last_seen",)} <= indexed


def test_more_than_one_batch(graph: Neo4jGraph, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neo4j_graph, "BATCH", 7)
    chain = [Call(f"n{i:03}", f"n{i + 1:03}", "traces") for i in range(50)]
    assert graph.upsert(chain) == 50
    assert list(graph.calls(["n000"], hops=50)) == chain


def test_what_the_server_says_is_told_once(graph: Neo4jGraph):
    with pytest.raises(SourceRefused) as caught:
        graph._read("RETURN nonsense")
    assert str(caught.value).count("nonsense") == 1
    assert "Neo.ClientError.Statement.SyntaxError" in str(caught.value)


def test_half_a_surrogate_pair_is_refused(graph: Neo4jGraph):
    with pytest.raises(DataError):
        graph.upsert([Call("a\ud800", "b", "traces")])


def test_no_name_enters_the_text_of_a_query():
    """Only the types of relationships, which can't be parameters, are filled in, and their names: all from a closed list."""
    kinds = {*CALL_KINDS, *SIGHTING_KINDS, "CUT"}
    texts = [*cypher.UPSERT.values(), cypher.CUT, cypher.RESTORE, cypher.CALLS_INSIDE, cypher.NEIGHBOURS]
    texts += [cypher.note(a, kind, b) for a in EntityKind for kind in SIGHTING_KINDS for b in EntityKind]
    for text in (*texts, *cypher.PURGE):
        types = re.findall(r"\[\w*:([^\] {]*)", text)
        assert types
        assert {one for some in types for one in some.split("|")} <= kinds
        assert set(re.findall("'([^']*)'", text)) <= {*kinds, ""}


def test_a_newer_graph_is_refused_with_its_version(server: servers.Server, graph: Neo4jGraph):
    graph.upsert([CALL])
    graph._write("MATCH (s:AiopsSchema) SET s.version = 99")
    with contextlib.closing(Neo4jGraph(server.url)) as older, pytest.raises(StoreError, match="99"):
        older.upsert([CALL])
    graph._write("MATCH (s:AiopsSchema) SET s.version = $version", version=cypher.VERSION)


def test_an_older_graph_is_brought_forward(server: servers.Server, graph: Neo4jGraph):
    graph._write("MATCH (n) DETACH DELETE n")
    graph._write("CREATE CONSTRAINT aiops_entity IF NOT EXISTS FOR (n:Entity) REQUIRE n.id IS UNIQUE")
    graph._write("CREATE (:AiopsSchema {name: 'graph', version: 1})")
    graph._write("CREATE (:Entity {id: 'old'})-[:CALLS {source: 'traces'}]->(:Entity {id: 'older'})")
    with contextlib.closing(Neo4jGraph(server.url, timeout_s=120)) as newer:
        newer.upsert([CALL])
        assert tuple(newer.calls()) == (CALL, Call("old", "older", "traces"))
        assert newer.nodes() == ("a", "b", "old", "older")
        assert newer.calls(["old"], hops=1).nodes == ("old", "older")


@pytest.mark.parametrize(
    ("agent", "old"),
    [
        ("Neo4j/4.4.41", True),
        ("Neo4j/3.5.0", True),
        ("Neo4j/5.0.0", False),
        ("Neo4j/5.26.12", False),
        ("Neo4j/2025.10.1", False),
        ("Memgraph/3", False),
        ("", False),
    ],
)
def test_an_old_server_is_known_by_its_own_words(agent: str, old: bool):
    """No such server runs here: the Maven artefact of version 4 needs another Java than that of version 5."""
    assert neo4j_graph.too_old(agent) is old


def test_an_old_server_is_refused_with_its_version(graph: Neo4jGraph, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neo4j_graph, "OLDEST", 99)
    for ask in (graph.calls, graph.nodes, lambda: graph.upsert([CALL])):
        with pytest.raises(SourceRefused, match=r"127\.0\.0\.1:\d+: Neo4j/5\.[\d.]+ is too old: Neo4j 99"):
            ask()


def test_a_server_that_dies_is_told(server: servers.Server):
    """The last test of this server."""
    with contextlib.closing(Neo4jGraph(server.url, timeout_s=120, patience_s=5)) as graph:
        graph.upsert([CALL])
        server.process.kill()
        server.process.wait()
        with pytest.raises(SourceUnreachable):
            graph.upsert([CALL])
