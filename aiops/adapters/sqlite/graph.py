"""GraphStore on SQLite: edges on disk, the neighbourhood from memory.

The file is the truth. Memory holds every edge once, as the `Call` that is handed out, and a CSR over them that is rebuilt
at the first question after an edge has come or gone. A `generation` in the file, moved by each write, tells when another
process has written and memory must be read anew.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from aiops.adapters.sqlite.database import Database, Row, Schema, from_ms, to_ms
from aiops.domain import Call
from aiops.kernels.neighbourhood import Adjacency

Key: TypeAlias = tuple[str, str, str, str]  # caller, callee, kind, source

SCHEMA = Schema(
    "graph",
    (
        (
            "CREATE TABLE nodes (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
            """CREATE TABLE edges (
                caller TEXT NOT NULL, callee TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
                first_seen INTEGER, last_seen INTEGER,
                PRIMARY KEY (caller, callee, kind, source)
            ) STRICT, WITHOUT ROWID""",
            # A cut outlives its edge: whoever finds the edge again, by whatever source, finds it cut.
            """CREATE TABLE cuts (
                caller TEXT NOT NULL, callee TEXT NOT NULL, PRIMARY KEY (caller, callee)
            ) STRICT, WITHOUT ROWID""",
            "CREATE TABLE generation (number INTEGER NOT NULL) STRICT",
            "INSERT INTO generation VALUES (0)",
        ),
    ),
)

# A time that is not known (NULL) never displaces one that is.
_UPSERT = """
    INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        first_seen = coalesce(min(first_seen, excluded.first_seen), first_seen, excluded.first_seen),
        last_seen = coalesce(max(last_seen, excluded.last_seen), last_seen, excluded.last_seen)
"""


@dataclass(frozen=True, slots=True)
class _Index:
    """The edges as of now: node ids ascending and their numbers, calls by (caller, callee, kind, source), and the CSR."""

    nodes: tuple[str, ...]
    number: dict[str, int]
    calls: npt.NDArray[np.object_]
    place: dict[Key, int]
    adjacency: Adjacency


class GraphDB:
    """The graph in the file at `path`.

    `calls` takes O(edges in the neighbourhood), and once after a structural change O(E log E); `upsert` is one transaction.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = Database(path, SCHEMA)
        self._lock = threading.RLock()
        self._generation = -1
        self._edges: dict[Key, Call] = {}
        self._nodes: set[str] = set()
        self._index: _Index | None = None

    # ------------------------------------------------------------ write

    def upsert(self, calls: Iterable[Call]) -> int:
        """Stores edges and their nodes; returns how many were given. An edge from a node to itself leaves only the node."""
        given = tuple(calls)
        if not given:
            return 0

        def run(connection: sqlite3.Connection) -> tuple[int, list[Call]]:
            cut = set(connection.execute("SELECT caller, callee FROM cuts"))
            live = [call for call in given if call.caller != call.callee and (call.caller, call.callee) not in cut]
            connection.executemany("INSERT OR IGNORE INTO nodes VALUES (?)", [(node,) for node in _ends(given)])
            connection.executemany(_UPSERT, map(_row, live))
            return _advance(connection), live

        with self._lock:
            generation, live = self._db.write(run)
            if generation == self._generation + 1:
                self._remember(given, live)
                self._generation = generation
        return len(given)

    def cut(self, caller: str, callee: str) -> bool:
        """Removes the edge, whatever its kind and source, and bars it for good; False when there is none."""

        def run(connection: sqlite3.Connection) -> tuple[int, list[Key]]:
            removed: list[Key] = connection.execute(
                "DELETE FROM edges WHERE caller = ? AND callee = ? RETURNING caller, callee, kind, source",
                (caller, callee),
            ).fetchall()
            if removed:
                connection.execute("INSERT OR IGNORE INTO cuts VALUES (?, ?)", (caller, callee))
            return (_advance(connection) if removed else -1), removed

        with self._lock:
            generation, removed = self._db.write(run)
            if generation == self._generation + 1 and removed:
                for key in removed:
                    del self._edges[key]
                self._index, self._generation = None, generation
        return bool(removed)

    def purge(self, before: datetime) -> int:
        """Forgets edges last seen before `before`; one without a time (declared by hand) stays. Returns how many."""

        def run(connection: sqlite3.Connection) -> int:
            removed = connection.execute("DELETE FROM edges WHERE last_seen < ?", (to_ms(before),)).rowcount
            if removed:
                connection.execute(
                    "DELETE FROM nodes WHERE id NOT IN (SELECT caller FROM edges UNION SELECT callee FROM edges)"
                )
                _advance(connection)
            return removed

        return self._db.write(run)

    # ------------------------------------------------------------ read

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> tuple[Call, ...]:
        """Edges between the nodes within `hops` of any of `nodes`; all edges when `nodes` is empty.

        Sorted by caller, callee, kind, source. An unknown node has no neighbourhood.
        """
        wanted = tuple(nodes)
        index = self._fresh()
        if not wanted:
            return tuple(index.calls)
        seeds = np.array(sorted({index.number[node] for node in wanted if node in index.number}), np.int64)
        members = index.adjacency.within(seeds, hops)
        return tuple(index.calls[index.adjacency.inside(members)])

    def nodes(self) -> tuple[str, ...]:
        """Every node, ascending; a node stays when its last edge is cut."""
        return self._fresh().nodes

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - a local file answers at once
        """What answers: product, schema and file."""
        return self._db.ping()

    def check(self) -> str:
        """What is wrong with the file, read as a whole; "" when it is sound."""
        return self._db.check()

    def close(self) -> None:
        """Twice does no harm."""
        self._db.close()

    # ------------------------------------------------------------ memory

    def _fresh(self) -> _Index:
        with self._lock:
            ((generation,),) = self._db.read("SELECT number FROM generation")
            if generation != self._generation:
                self._load()
            if self._index is None:
                self._index = _build(self._nodes, self._edges)
            return self._index

    def _load(self) -> None:
        # The generation is read first: what is written meanwhile is then read again, never missed.
        ((self._generation,),) = self._db.read("SELECT number FROM generation")
        self._nodes = {node for (node,) in self._db.read("SELECT id FROM nodes")}
        rows = self._db.read("SELECT caller, callee, kind, source, first_seen, last_seen FROM edges")
        self._edges = {row[:4]: _call(row) for row in rows}
        self._index = None

    def _remember(self, given: tuple[Call, ...], live: list[Call]) -> None:
        """Does in memory what `_UPSERT` did in the file; the index survives when only times have moved."""
        known_nodes, known_edges = len(self._nodes), len(self._edges)
        self._nodes.update(_ends(given))
        moved = {}
        for call in live:
            row = _row(call)
            new, old = _call(row), self._edges.get(row[:4])
            self._edges[row[:4]] = moved[row[:4]] = _merged(old, new) if old else new
        if (known_nodes, known_edges) != (len(self._nodes), len(self._edges)):
            self._index = None
        elif self._index is not None:
            for key, call in moved.items():
                self._index.calls[self._index.place[key]] = call


def _build(nodes: set[str], edges: dict[Key, Call]) -> _Index:
    names = tuple(sorted(nodes))
    number = {name: i for i, name in enumerate(names)}
    keys = sorted(edges)
    calls = np.empty(len(keys), np.object_)
    calls[:] = [edges[key] for key in keys]
    tails = np.array([number[key[0]] for key in keys], np.int64)
    heads = np.array([number[key[1]] for key in keys], np.int64)
    place = {key: i for i, key in enumerate(keys)}
    return _Index(names, number, calls, place, Adjacency.build(tails, heads, len(names)))


def _advance(connection: sqlite3.Connection) -> int:
    ((number,),) = connection.execute("UPDATE generation SET number = number + 1 RETURNING number").fetchall()
    return int(number)


def _ends(calls: Iterable[Call]) -> set[str]:
    return {end for call in calls for end in (call.caller, call.callee)}


def _row(call: Call) -> Row:
    first = None if call.first_seen is None else to_ms(call.first_seen)
    last = None if call.last_seen is None else to_ms(call.last_seen)
    return call.caller, call.callee, call.kind, call.source, first, last


def _call(row: Row) -> Call:
    caller, callee, kind, source, first, last = row
    return Call(caller, callee, source, kind, _moment(first), _moment(last))


@lru_cache(maxsize=4096)
def _moment(time_ms: int | None) -> datetime | None:
    """Cached: the edges of one scrape share their times."""
    return None if time_ms is None else from_ms(time_ms)


def _merged(old: Call, new: Call) -> Call:
    first = [at for at in (old.first_seen, new.first_seen) if at]
    last = [at for at in (old.last_seen, new.last_seen) if at]
    return replace(old, first_seen=min(first, default=None), last_seen=max(last, default=None))
