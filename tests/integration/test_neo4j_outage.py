"""A real Neo4j that is killed, comes back, refuses, and is asked to rank: what this house promises about each."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from neo4j import GraphDatabase

import aiops
from aiops import resources
from aiops.adapters.neo4j_graph import Neo4jGraph
from aiops.adapters.sqlite import GraphDB, MirroredGraph
from aiops.domain import Call, Entity, EntityKind, Sighting
from aiops.errors import SourceRefused
from aiops.schema import wire

import servers
from conftest import needed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KNOWN = (Call("web", "cart", "traces", "CALLS", NOON, NOON), Call("cart", "db", "traces", "CALLS", NOON, NOON))


@contextlib.contextmanager
def running(folder: Path, *flags: str, port: int | None = None) -> Iterator[servers.Server]:
    with needed(), servers.neo4j(folder, *flags, port=port) as server:
        yield server


@contextlib.contextmanager
def house(copy: Path, url: str, user: str = "", password: str = "") -> Iterator[MirroredGraph]:
    graph = MirroredGraph(GraphDB(copy), Neo4jGraph(url, user, password, patience_s=2), "neo4j")
    with contextlib.closing(graph):
        yield graph


def soon(graph: MirroredGraph) -> None:
    """As if the rest after a failure were over."""
    graph._until = 0.0


def kill(server: servers.Server) -> None:
    server.process.kill()
    server.process.wait()


def test_killed_under_load_it_loses_nothing(tmp_path: Path):
    """Two writers write, the server is killed in the midst of it, they go on, the house closes, both come back: all is there."""
    acknowledged: list[Call] = []
    enough, dead = threading.Event(), threading.Event()
    thing = Entity(EntityKind.METRIC, "web", "latency")
    seen = Sighting(Entity(EntityKind.SERVICE, "web"), thing, "CONTAINS", "metrics", 0.5, timedelta(0), NOON, NOON)

    def write(worker: int, graph: MirroredGraph) -> None:
        for batch in range(12):
            calls = [Call(f"w{worker}", f"n{worker}-{batch}-{i}", "traces", "CALLS", NOON, NOON) for i in range(30)]
            graph.upsert(calls)
            acknowledged.extend(calls)
            if batch == 4:
                enough.set()
                dead.wait()

    with running(tmp_path / "data") as first:
        with house(tmp_path / "copy.db", first.url) as graph:
            graph.upsert(KNOWN)
            writers = [threading.Thread(target=write, args=(i, graph)) for i in range(2)]
            for writer in writers:
                writer.start()
            assert enough.wait(600)
            threading.Timer(0.05, dead.set).start()  # so that the kill falls into a write
            kill(first)
            for writer in writers:
                writer.join()
            during = graph.calls(["web"], hops=5)
            assert tuple(during) == tuple(reversed(KNOWN))
            (gap,) = during.gaps
            assert first.url.partition("//")[2] in gap.why
            assert "writes wait" in gap.why
            assert graph.cut("cart", "db")
            graph.note([seen])
            assert graph.sightings() == (seen,)
        assert len(acknowledged) == 2 * 12 * 30
        wanted = {*acknowledged, KNOWN[0]}
        with running(tmp_path / "data", port=first.port):
            with house(tmp_path / "copy.db", first.url) as graph:
                while graph.calls(["web"], hops=1).gaps:  # it catches up in turns of some seconds
                    soon(graph)
                assert set(graph.calls()) == wanted
                assert graph.ping(60).startswith("Neo4j/5")
            with contextlib.closing(Neo4jGraph(first.url)) as far:
                assert set(far.calls()) == wanted, "caught up from the local store"
                assert far.sightings() == (seen,)
                far.upsert([KNOWN[1]])
                assert KNOWN[1] not in far.calls(), "cut during the outage, and barred after it"


def test_wrong_password_and_no_right_to_write(tmp_path: Path):
    """The Community server knows no roles: a server that is read-only as a whole stands for a user who may not write."""
    with running(tmp_path / "data", "auth") as server:
        with GraphDatabase.driver(server.url, auth=("neo4j", "neo4j")) as driver:
            driver.execute_query("ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO 'opensesame'", database_="system")
        where = server.url.partition("//")[2]
        with contextlib.closing(Neo4jGraph(server.url, "neo4j", "opensesame")) as friend:
            friend.upsert(KNOWN)
        with contextlib.closing(Neo4jGraph(server.url, "neo4j", "hunter2")) as stranger:  # locked out at last
            for ask in (stranger.calls, stranger.nodes, lambda: stranger.upsert(KNOWN), lambda: stranger.ping(5)):
                with pytest.raises(SourceRefused, match=f"{where}: wrong user or password") as caught:
                    ask()
                assert "hunter2" not in str(caught.value)
        with house(tmp_path / "copy.db", server.url, "neo4j", "hunter2") as graph:
            with pytest.raises(SourceRefused, match="wrong user or password"):
                graph.upsert(KNOWN[:1])
            assert tuple(graph.calls()) == KNOWN[:1]
            assert "wrong user or password" in graph.calls().gaps[0].why
        server.process.terminate()
        server.process.wait()
        friend = Neo4jGraph(server.url, "neo4j", "opensesame")
        with running(tmp_path / "data", "auth", "read-only", port=server.port), contextlib.closing(friend):
            assert tuple(friend.calls()) == tuple(reversed(KNOWN))
            with pytest.raises(SourceRefused, match=f"writing the graph from Neo4j at {where}.*read.only"):
                friend.upsert(KNOWN)


def test_ranking_is_the_same_on_both_stores_and_goes_on_without(tmp_path: Path):
    edges = json.loads((resources.demo_incident() / "topology.json").read_text())["edges"]
    told = [Call(*edge[:2], "declared") for edge in edges]

    def report(url: str) -> bytes:
        flags = {"stores.graph": url, "model.url": ""}
        with aiops.connect(f"case:{resources.demo_incident()}", home=str(tmp_path / "home"), flags=flags) as ops:
            ops.sources.graph.upsert(told)
            asked = ops.task()
            symptom = asked.inputs.symptom
            service = min({call.caller for call in told} - {call.callee for call in told})
            inputs = dataclasses.replace(asked.inputs, symptom=dataclasses.replace(symptom, service=service))
            found = ops.run(dataclasses.replace(asked, inputs=inputs))
            return wire.encode(dataclasses.replace(found, run={}))

    embedded = report(f"sqlite:{tmp_path / 'graph.db'}")
    with running(tmp_path / "data") as server:
        url = server.url.replace("bolt://", "neo4j://")
        assert report(url) == embedded
        kill(server)
        alone = json.loads(report(url))
    assert [gap["what"] for gap in alone["gaps"] if "Neo4j" in gap["why"]] == [f"dependencies that {url} knows"]
    assert alone["root_causes"] == json.loads(embedded)["root_causes"]
