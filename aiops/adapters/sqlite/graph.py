"""GraphStore on SQLite: edges on disk, the neighbourhood from memory.

The file is the truth. Memory holds every edge once, as the `Call` that is handed out, in the order of its key, and a CSR
over them. Writes are staged and worked in at the next question, without sorting or reading anew what is there. A
`generation` in the file, moved by each write, tells when another process has written and memory must be read anew.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from aiops.adapters.edges import checked_calls, checked_sightings
from aiops.adapters.sqlite.database import Database, Row, Schema, from_ms, to_ms
from aiops.domain import Call, Calls, Entity, EntityKind, IntArray, ObjectArray, Sighting
from aiops.kernels.neighbourhood import Adjacency
from aiops.telemetry import cached

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
        (
            "ALTER TABLE edges ADD COLUMN strength REAL",
            """CREATE TABLE sightings (
                cause_kind TEXT NOT NULL, cause_service TEXT NOT NULL, cause_name TEXT NOT NULL,
                effect_kind TEXT NOT NULL, effect_service TEXT NOT NULL, effect_name TEXT NOT NULL,
                kind TEXT NOT NULL, source TEXT NOT NULL, strength REAL NOT NULL, lag_ms INTEGER NOT NULL,
                first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
                PRIMARY KEY (
                    cause_service, cause_kind, cause_name, effect_service, effect_kind, effect_name, kind, source
                )
            ) STRICT, WITHOUT ROWID""",
            "CREATE INDEX sightings_by_effect ON sightings (effect_service)",
            # What a graph elsewhere has not taken yet, in the order in which it came (see mirror.py).
            "CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, said TEXT NOT NULL) STRICT",
        ),
        (
            # What a cut took away, so that it can be taken back.
            """CREATE TABLE cut_edges (
                caller TEXT NOT NULL, callee TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
                first_seen INTEGER, last_seen INTEGER, strength REAL,
                PRIMARY KEY (caller, callee, kind, source)
            ) STRICT, WITHOUT ROWID""",
        ),
    ),
)

# A time that is not known (NULL) never displaces one that is.
_EDGE = "caller, callee, kind, source, first_seen, last_seen, strength"

_UPSERT = f"""
    INSERT INTO edges ({_EDGE}) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        first_seen = coalesce(min(first_seen, excluded.first_seen), first_seen, excluded.first_seen),
        last_seen = coalesce(max(last_seen, excluded.last_seen), last_seen, excluded.last_seen),
        strength = coalesce(excluded.strength, strength)
"""  # noqa: S608 - a list of columns

_SIGHTING = """cause_kind, cause_service, cause_name, effect_kind, effect_service, effect_name, kind, source,
    strength, lag_ms, first_seen, last_seen"""

_NOTE = f"""
    INSERT INTO sightings ({_SIGHTING}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        strength = iif(excluded.last_seen >= last_seen, excluded.strength, strength),
        lag_ms = iif(excluded.last_seen >= last_seen, excluded.lag_ms, lag_ms),
        first_seen = min(first_seen, excluded.first_seen),
        last_seen = max(last_seen, excluded.last_seen)
"""  # noqa: S608 - a list of columns

_NAMES = 500  # in one question
_OUTBOX_ROWS = 5000  # of one entry: what is sent again when the other side dies half way


@dataclass(frozen=True, slots=True)
class _Index:
    """The edges: node ids ascending, keys ascending, and for each key its call and the numbers of its ends."""

    nodes: list[str]
    keys: list[Key]
    calls: ObjectArray
    tails: IntArray
    heads: IntArray
    adjacency: Adjacency

    @staticmethod
    def of(nodes: list[str], keys: list[Key], calls: ObjectArray, tails: IntArray, heads: IntArray) -> _Index:
        return _Index(nodes, keys, calls, tails, heads, Adjacency.build(tails, heads, len(nodes)))

    def number(self, node: str) -> int:
        """-1 when there is no such node."""
        place = bisect_left(self.nodes, node)
        return place if place < len(self.nodes) and self.nodes[place] == node else -1

    def joined(self, nodes: set[str], staged: dict[Key, Call]) -> _Index:
        """With more nodes and edges; the answers that were given out stay as they are. O(N + E) of memory moved."""
        keys = sorted(staged)
        places = [bisect_left(self.keys, key) for key in keys]
        known = [place < len(self.keys) and self.keys[place] == key for place, key in zip(places, keys, strict=True)]
        calls = self.calls.copy()
        for key, place, there in zip(keys, places, known, strict=True):
            if there:
                calls[place] = _merged(calls[place], staged[key])
        fresh = [(key, place) for key, place, there in zip(keys, places, known, strict=True) if not there]
        missing = sorted(node for node in nodes if self.number(node) < 0)
        if not fresh and not missing:
            return replace(self, calls=calls)
        # A new name moves those behind it on: nodes stay numbered in the order of their names.
        moved = np.arange(len(self.nodes), dtype=np.int64)
        moved += np.searchsorted([bisect_left(self.nodes, name) for name in missing], moved, side="right")
        names = sorted(self.nodes + missing)
        number = dict(zip(missing, (bisect_left(names, name) for name in missing), strict=True))
        ends = [[number[n] if n in number else int(moved[self.number(n)]) for n in key[:2]] for key, _ in fresh]
        tails, heads = np.array(ends, np.int64).reshape(-1, 2).T
        where = [place for _, place in fresh]
        added = np.empty(len(fresh), np.object_)
        added[:] = [staged[key] for key, _ in fresh]
        return _Index.of(
            names,
            sorted(self.keys + [key for key, _ in fresh]),  # two runs, each in order: one merge
            np.insert(calls, where, added),
            np.insert(moved[self.tails], where, tails),
            np.insert(moved[self.heads], where, heads),
        )


class GraphDB:
    """The graph in the file at `path`.

    `calls` takes O(edges in the neighbourhood), and once after a structural change O(N + E); `upsert` is one transaction.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = Database(path, SCHEMA)
        self._lock = threading.RLock()
        self._generation = -1
        self._index = _empty()
        self._staged: dict[Key, Call] = {}
        self._met: set[str] = set()

    # ------------------------------------------------------------ write

    def upsert(self, calls: Iterable[Call], *, post: bool = False) -> int:
        """Stores edges and their nodes; returns how many were given. An edge from a node to itself leaves only the node.

        `post`: in the same transaction, put them into the outbox."""
        given = checked_calls(calls)
        if not given:
            return 0
        rows = [_row(call) for call in given]

        def run(connection: sqlite3.Connection) -> tuple[int, list[Row]]:
            cut = set(connection.execute("SELECT caller, callee FROM cuts"))
            live = [row for row in rows if row[0] != row[1] and row[:2] not in cut]
            connection.executemany("INSERT OR IGNORE INTO nodes VALUES (?)", [(node,) for node in _ends(given)])
            connection.executemany(_UPSERT, live)
            if post:
                _post(connection, "upsert", rows)
            return _advance(connection), live

        with self._lock:
            generation, live = self._db.write(run)
            if generation == self._generation + 1:
                self._stage(_ends(given), live)
                self._generation = generation
        return len(given)

    def cut(self, caller: str, callee: str, *, post: bool = False) -> bool:
        """Removes the edge, whatever its kind and source, and bars it until restored; False when there is none."""

        def run(connection: sqlite3.Connection) -> bool:
            gone = _move(connection, "edges", "cut_edges", (caller, callee))
            if gone:
                connection.execute("INSERT OR IGNORE INTO cuts VALUES (?, ?)", (caller, callee))
                _advance(connection)
                if post:
                    _post(connection, "cut", [(caller, callee)])
            return gone

        return self._db.write(run)

    def restore(self, caller: str, callee: str, *, post: bool = False) -> bool:
        """Lifts the bar and puts back what was cut; False when it is not cut. It is put into the outbox even then."""
        pair = caller, callee

        def run(connection: sqlite3.Connection) -> bool:
            lifted = connection.execute("DELETE FROM cuts WHERE caller = ? AND callee = ?", pair).rowcount > 0
            if _move(connection, "cut_edges", "edges", pair):
                connection.executemany("INSERT OR IGNORE INTO nodes VALUES (?)", [(node,) for node in pair])
                _advance(connection)
            if post:
                _post(connection, "restore", [pair])
            return lifted

        return self._db.write(run)

    def note(self, sightings: Iterable[Sighting], *, post: bool = False) -> int:
        """Stores sightings; returns how many were given."""
        rows = [_noted(one) for one in checked_sightings(sightings)]

        def run(connection: sqlite3.Connection) -> None:
            connection.executemany(_NOTE, rows)
            if post:
                _post(connection, "note", rows)

        if rows:
            self._db.write(run)
        return len(rows)

    def purge(self, before: datetime, *, post: bool = False) -> int:
        """Forgets what was last seen before `before`; an edge without a time (declared by hand) stays. Returns how many."""
        limit = (to_ms(before),)

        def run(connection: sqlite3.Connection) -> int:
            noted = connection.execute("DELETE FROM sightings WHERE last_seen < ?", limit).rowcount
            removed = connection.execute("DELETE FROM edges WHERE last_seen < ?", limit).rowcount
            if removed:
                connection.execute(
                    "DELETE FROM nodes WHERE id NOT IN (SELECT caller FROM edges UNION SELECT callee FROM edges)"
                )
                _advance(connection)
            if post:
                _post(connection, "purge", [limit])
            return noted + removed

        return self._db.write(run)

    # ------------------------------------------------------------ read

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> Calls:
        """Edges between the nodes within `hops` of any of `nodes`; all edges when `nodes` is empty.

        Sorted by caller, callee, kind, source. An unknown node has no neighbourhood.
        """
        wanted = set(nodes)
        index = self._fresh()
        if not wanted:
            return Calls(index.calls, np.arange(len(index.calls), dtype=np.int64))
        seeds = np.array(sorted({index.number(node) for node in wanted} - {-1}), np.int64)
        return Calls(index.calls, index.adjacency.inside(index.adjacency.within(seeds, hops)))

    def cuts(self) -> tuple[tuple[str, str], ...]:
        """Sorted by caller and callee."""
        return tuple(self._db.read("SELECT caller, callee FROM cuts ORDER BY caller, callee"))

    def nodes(self, *, alone: bool = False) -> tuple[str, ...]:
        """Every node, or only those without an edge, ascending; a node stays when its last edge is cut."""
        index = self._fresh()
        if not alone:
            return tuple(index.nodes)
        around = index.adjacency
        return tuple(index.nodes[i] for i in np.flatnonzero((np.diff(around.out) + np.diff(around.into)) == 0))

    def sightings(self, nodes: Iterable[str] = ()) -> tuple[Sighting, ...]:
        """Those with an end at any of `nodes`; all when `nodes` is empty. Sorted."""
        wanted = sorted(set(nodes))
        read = f"SELECT {_SIGHTING} FROM sightings"  # noqa: S608 - a list of columns
        rows = set() if wanted else set(self._db.read(read))
        for i in range(0, len(wanted), _NAMES):
            part = wanted[i : i + _NAMES]
            marks = f"({', '.join('?' * len(part))})"
            rows.update(self._db.read(f"{read} WHERE cause_service IN {marks}", part))
            rows.update(self._db.read(f"{read} WHERE effect_service IN {marks}", part))
        return tuple(sorted(map(sighting, rows), key=lambda one: one.key))

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - a local file answers at once
        """What answers: product, schema and file."""
        return self._db.ping()

    def check(self) -> str:
        """What is wrong with the file, read as a whole; "" when it is sound."""
        return self._db.check()

    def close(self) -> None:
        """Twice does no harm."""
        self._db.close()

    # ------------------------------------------------------------ outbox

    def posted(self, most: int) -> list[tuple[int, str, list[Any]]]:
        """The oldest entries of the outbox: number, which operation, its rows."""
        rows = self._db.read("SELECT number, what, said FROM outbox ORDER BY number LIMIT ?", (most,))
        return [(number, what, json.loads(said)) for number, what, said in rows]

    def delivered(self, number: int) -> None:
        """The other side has it; twice does no harm."""
        self._db.write(lambda connection: connection.execute("DELETE FROM outbox WHERE number = ?", (number,)))

    def waiting(self) -> int:
        """How many entries the outbox has."""
        ((count,),) = self._db.read("SELECT count(*) FROM outbox")
        return int(count)

    # ------------------------------------------------------------ memory

    def _fresh(self) -> _Index:
        with self._lock:
            ((generation,),) = self._db.read("SELECT number FROM generation")
            held = generation == self._generation
            cached("graph", int(held), int(not held))
            if not held:
                self._load()
            elif self._staged or self._met:
                self._index = self._index.joined(self._met, self._staged)
            self._staged, self._met = {}, set()
            return self._index

    def _load(self) -> None:
        # The generation is read first: what is written meanwhile is then read again, never missed.
        ((self._generation,),) = self._db.read("SELECT number FROM generation")
        nodes = [node for (node,) in self._db.read("SELECT id FROM nodes ORDER BY id")]
        rows = self._db.read(f"SELECT {_EDGE} FROM edges ORDER BY caller, callee, kind, source")  # noqa: S608
        number = {node: i for i, node in enumerate(nodes)}
        tails, heads = (np.fromiter((number[row[i]] for row in rows), np.int64, len(rows)) for i in (0, 1))
        calls = np.empty(len(rows), np.object_)
        calls[:] = [edge(row) for row in rows]
        self._index = _Index.of(nodes, [row[:4] for row in rows], calls, tails, heads)

    def _stage(self, met: set[str], live: Sequence[Row]) -> None:
        """Does for memory what `_UPSERT` did in the file."""
        self._met |= met
        for row in live:
            new, old = edge(row), self._staged.get(row[:4])
            self._staged[row[:4]] = _merged(old, new) if old else new


def _empty() -> _Index:
    nothing = np.empty(0, np.int64)
    return _Index.of([], [], np.empty(0, np.object_), nothing, nothing)


def _advance(connection: sqlite3.Connection) -> int:
    ((number,),) = connection.execute("UPDATE generation SET number = number + 1 RETURNING number").fetchall()
    return int(number)


def _move(connection: sqlite3.Connection, here: str, there: str, pair: tuple[str, str]) -> bool:
    """Edges of a pair of nodes from one table into another; whether there were any. The tables' names are ours."""
    where = "WHERE caller = ? AND callee = ?"
    connection.execute(f"INSERT OR REPLACE INTO {there} ({_EDGE}) SELECT {_EDGE} FROM {here} {where}", pair)  # noqa: S608
    return connection.execute(f"DELETE FROM {here} {where}", pair).rowcount > 0  # noqa: S608


def _post(connection: sqlite3.Connection, what: str, rows: Sequence[Row]) -> None:
    parts = (rows[i : i + _OUTBOX_ROWS] for i in range(0, len(rows), _OUTBOX_ROWS))
    connection.executemany(
        "INSERT INTO outbox (what, said) VALUES (?, ?)",
        [(what, json.dumps(part, ensure_ascii=False)) for part in parts],
    )


# ---------------------------------------------------------------- rows


def _ends(calls: Iterable[Call]) -> set[str]:
    return {end for call in calls for end in (call.caller, call.callee)}


def _row(call: Call) -> Row:
    first = None if call.first_seen is None else to_ms(call.first_seen)
    last = None if call.last_seen is None else to_ms(call.last_seen)
    return call.caller, call.callee, call.kind, call.source, first, last, call.strength


def edge(row: Sequence[Any]) -> Call:
    """The call that a row of the table, or of the outbox, stands for."""
    caller, callee, kind, source, first, last, strength = row
    return Call(caller, callee, source, kind, _moment(first), _moment(last), strength)


@lru_cache(maxsize=4096)
def _moment(time_ms: int | None) -> datetime | None:
    """Cached: the edges of one scrape share their times."""
    return None if time_ms is None else from_ms(time_ms)


def _merged(old: Call, new: Call) -> Call:
    first = [at for at in (old.first_seen, new.first_seen) if at]
    last = [at for at in (old.last_seen, new.last_seen) if at]
    strength = old.strength if new.strength is None else new.strength
    return replace(old, first_seen=min(first, default=None), last_seen=max(last, default=None), strength=strength)


def _noted(sighting: Sighting) -> Row:
    lag = sighting.lag // timedelta(milliseconds=1)
    return *sighting.key, sighting.strength, lag, to_ms(sighting.first_seen), to_ms(sighting.last_seen)


def sighting(row: Sequence[Any]) -> Sighting:
    """As `edge`, of a sighting."""
    cause, effect = Entity(EntityKind(row[0]), row[1], row[2]), Entity(EntityKind(row[3]), row[4], row[5])
    kind, source, strength, lag, first, last = row[6:]
    return Sighting(cause, effect, kind, source, strength, timedelta(milliseconds=lag), from_ms(first), from_ms(last))
