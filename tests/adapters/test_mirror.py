"""The copy beside a graph elsewhere: what waits, in which order, and who is told. A real outage is in tests/integration."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.adapters.sqlite import GraphDB, MirroredGraph
from aiops.domain import Call, Calls, Sighting
from aiops.errors import DataError, SourceError, SourceRefused, SourceUnreachable, StoreError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Far:
    """A graph elsewhere: a file that fails as it is told to, and notes what it is asked."""

    def __init__(self, file: Path) -> None:
        self.db = GraphDB(file)
        self.fails: Exception | None = None
        self.asked: list[str] = []

    def _asked(self, what: str) -> GraphDB:
        self.asked.append(what)
        if self.fails:
            raise self.fails
        return self.db

    def upsert(self, calls: Iterable[Call]) -> int:
        return self._asked("upsert").upsert(calls)

    def note(self, sightings: Iterable[Sighting]) -> int:
        return self._asked("note").note(sightings)

    def cut(self, caller: str, callee: str) -> bool:
        return self._asked("cut").cut(caller, callee)

    def restore(self, caller: str, callee: str) -> bool:
        return self._asked("restore").restore(caller, callee)

    def cuts(self) -> tuple[tuple[str, str], ...]:
        return self._asked("cuts").cuts()

    def purge(self, before: datetime) -> int:
        return self._asked("purge").purge(before)

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> Calls:
        return self._asked("calls").calls(nodes, hops)

    def nodes(self, *, alone: bool = False) -> tuple[str, ...]:
        return self._asked("nodes").nodes(alone=alone)

    def sightings(self, nodes: Iterable[str] = ()) -> tuple[Sighting, ...]:
        return self._asked("sightings").sightings(nodes)

    def ping(self, timeout: float) -> str:
        return self._asked("ping").ping(timeout)

    def close(self) -> None:
        self.db.close()


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path / "far.db")


@pytest.fixture
def graph(far: Far, tmp_path: Path) -> Iterator[MirroredGraph]:
    with contextlib.closing(MirroredGraph(GraphDB(tmp_path / "copy.db"), far, "the graph", unasked=False)) as graph:
        yield graph


def call(caller: str, callee: str) -> Call:
    return Call(caller, callee, "traces", "CALLS", NOON, NOON)


DOWN = SourceUnreachable("writing", "the graph", "no connection")
REFUSED = SourceRefused("writing", "the graph", "wrong user or password")


def test_what_was_written_while_it_was_down_arrives_in_order(graph: MirroredGraph, far: Far):
    far.fails = DOWN
    graph.upsert([call("a", "b"), call("b", "c")])
    assert graph.cut("a", "b")
    graph.upsert([call("a", "b")])
    graph.purge(NOON - HOUR)
    assert tuple(graph.calls()) == (call("b", "c"),)
    assert (
        graph.calls()
        .gaps[0]
        .why.startswith("writing from the graph: no connection; the copy kept here was used, and 4")
    )
    far.fails, graph._until = None, 0.0
    assert tuple(graph.calls()) == tuple(far.db.calls()) == (call("b", "c"),)
    assert not graph.calls().gaps
    far.db.upsert([call("a", "b")])
    assert tuple(far.db.calls()) == (call("b", "c"),), "the cut is barred there too"


def test_what_waits_arrives_though_nobody_calls(far: Far, tmp_path: Path):
    far.fails = DOWN
    with contextlib.closing(MirroredGraph(GraphDB(tmp_path / "copy.db"), far, "the graph")) as graph:
        graph.upsert([call("a", "b")])
        graph.upsert([call("b", "c")])
        far.fails = None
        ends = time.monotonic() + 60
        while len(far.db.calls()) < 2 and time.monotonic() < ends:
            time.sleep(0.05)
        assert set(far.db.calls()) == {call("a", "b"), call("b", "c")}
        asked = len(far.asked)
    assert len(far.asked) == asked, "nothing was left to be sent"
    assert not any(isinstance(one, threading.Timer) and one.is_alive() for one in threading.enumerate())


@pytest.mark.parametrize(
    "use", [lambda graph: graph.upsert([call("a", "b")]), MirroredGraph.calls], ids=["write", "read"]
)
def test_it_is_left_alone_for_longer_and_longer(graph: MirroredGraph, far: Far, use: Callable[[MirroredGraph], object]):
    graph.upsert([call("a", "b")])
    far.fails = DOWN
    rests = []
    for _ in range(8):
        graph._until = 0.0
        use(graph)
        rests.append(graph._rest_s)
    assert rests == [2, 4, 8, 15, 15, 15, 15, 15]
    before = len(far.asked)
    graph.upsert([call("a", "c")])
    graph.calls()
    assert len(far.asked) == before
    far.fails, graph._until = None, 0.0
    assert len(graph.calls()) == 2
    assert graph._rest_s == 1


@pytest.mark.parametrize("fails", [REFUSED, StoreError("graph schema 99")])
def test_a_refusal_is_raised_and_what_was_written_waits(
    graph: MirroredGraph, far: Far, fails: SourceError | StoreError
):
    far.fails = fails
    for _ in range(2):  # also while it rests
        with pytest.raises(type(fails), match=str(fails)):
            graph.upsert([call("a", "b")])
    found = graph.calls()
    assert tuple(found) == (call("a", "b"),)
    assert str(fails) in found.gaps[0].why
    far.fails, graph._until = None, 0.0
    graph.calls()
    assert tuple(far.db.calls()) == (call("a", "b"),)
    assert graph.ping(1) == far.db.ping(1)


def test_what_can_never_be_taken_does_not_hold_up_the_rest(
    graph: MirroredGraph, far: Far, caplog: pytest.LogCaptureFixture
):
    far.fails = DOWN
    graph.upsert([call("a", "b")])
    far.fails, graph._until = DataError("no such kind"), 0.0
    with caplog.at_level(logging.ERROR):
        assert graph.upsert([call("b", "c")]) == 1
    assert "given up: no such kind" in caplog.text
    far.fails = None
    graph.upsert([call("c", "d")])
    assert tuple(far.db.calls()) == (call("c", "d"),)


def test_the_copy_keeps_what_was_read(graph: MirroredGraph, far: Far):
    far.db.upsert([call("a", "b"), call("b", "c"), call("x", "y")])
    assert tuple(graph.calls(["a"], hops=2)) == (call("a", "b"), call("b", "c"))
    far.fails = DOWN
    assert tuple(graph.calls()) == (call("a", "b"), call("b", "c"))
    assert graph.nodes() == ("a", "b", "c")
    assert graph.sightings() == ()


def test_an_edge_that_only_the_other_side_knows_is_cut(graph: MirroredGraph, far: Far):
    far.db.upsert([call("a", "b")])
    assert graph.cut("a", "b")
    assert not far.db.calls()
    assert not graph.cut("a", "b")


def test_a_cut_of_what_was_purged_there_bars_it_all_the_same(graph: MirroredGraph, far: Far):
    graph.upsert([call("a", "b")])
    far.fails = DOWN
    assert graph.cut("a", "b")
    far.db.purge(NOON + HOUR)
    far.fails, graph._until = None, 0.0
    graph.calls()
    far.db.upsert([call("a", "b")])
    assert not far.db.calls()


def test_a_cut_taken_back_while_it_was_down_is_taken_back_there(graph: MirroredGraph, far: Far):
    graph.upsert([call("a", "b")])
    assert graph.cut("a", "b")
    far.fails = DOWN
    assert graph.cuts() == (("a", "b"),)
    assert graph.restore("a", "b")
    assert tuple(graph.calls()) == (call("a", "b"),)
    assert far.db.cuts() == (("a", "b"),)
    far.fails, graph._until = None, 0.0
    assert tuple(graph.calls()) == (call("a", "b"),)
    assert (tuple(far.db.calls()), far.db.cuts()) == ((call("a", "b"),), ())


def test_a_cut_that_only_one_side_knows_is_taken_back(graph: MirroredGraph, far: Far):
    graph.upsert([call("a", "b"), call("b", "c")])
    far.db.cut("a", "b")
    assert graph.restore("a", "b")
    assert graph.cut("b", "c")
    far.db.restore("b", "c")
    assert graph.restore("b", "c")
    assert not graph.restore("b", "c")
    assert tuple(graph.calls()) == tuple(far.db.calls()) == (call("a", "b"), call("b", "c"))


def test_closing_delivers(tmp_path: Path, far: Far):
    graph = MirroredGraph(GraphDB(tmp_path / "other.db"), far, "the graph")
    far.fails = DOWN
    graph.upsert([call("a", "b")])
    far.fails, graph._until = None, 0.0
    graph.close()
    graph.close()
    with contextlib.closing(GraphDB(tmp_path / "far.db")) as db:
        assert tuple(db.calls()) == (call("a", "b"),)
    with contextlib.closing(GraphDB(tmp_path / "other.db")) as db:
        assert db.waiting() == 0
