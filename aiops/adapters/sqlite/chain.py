"""The audit chain on SQLite, for `StoreDB`: one table of entries, one row each for where it begins and where it ends.

Entries are appended inside a transaction that holds the write lock (BEGIN IMMEDIATE), so that any number of threads and
processes extend one chain; `Database.write` lets those who wait share a commit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from aiops.adapters.sqlite.database import Database, to_ms
from aiops.errors import DataError
from aiops.schema.audit import CHECKPOINT, Entry, Place, canonical, link, shown, walk

PAGE = 1000
MIGRATION = (
    "CREATE TABLE audit_begin (number INTEGER NOT NULL, hash BLOB NOT NULL) STRICT",
    "INSERT INTO audit_begin VALUES (0, zeroblob(32))",
)


def append(connection: sqlite3.Connection, kind: str, text: str) -> None:
    """One more entry, within the caller's transaction. `text` is canonical JSON."""
    ((number, previous),) = connection.execute("SELECT count, hash FROM audit_head").fetchall()
    at = to_ms(datetime.now(UTC))
    new = link(previous, number, at, kind, text)
    connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", (number, at, kind, text, new))
    connection.execute("UPDATE audit_head SET count = ?, hash = ?", (number + 1, new))


def archive(connection: sqlite3.Connection, until: int, told: Mapping[str, object]) -> None:
    """Notes in the chain, then forgets, the entries below `until`. DataError when that is not within the chain."""
    ((first, _),) = connection.execute("SELECT number, hash FROM audit_begin").fetchall()
    row = connection.execute("SELECT hash FROM audit WHERE number = ?", (until - 1,)).fetchone()
    if row is None or not first < until:
        raise DataError(f"entry {until - 1} of the audit log is not there: nothing can be archived up to it")
    place = {"first": first, "until": until, "hash": row[0].hex()}
    append(connection, CHECKPOINT, canonical({**told, **place}))
    connection.execute("DELETE FROM audit WHERE number < ?", (until,))
    connection.execute("UPDATE audit_begin SET number = ?, hash = ?", (until, row[0]))


def entries(db: Database, since: int, until: int | None) -> Iterator[Mapping[str, Any]]:
    """Oldest first, as they are exported; verifies nothing."""
    begin = _begin(db)
    before = db.read("SELECT hash FROM audit WHERE number = ?", (since - 1,)) if since > begin.number else []
    previous = before[0][0] if before else begin.hash
    for entry in _rows(db, since, 2**62 if until is None else until):
        yield shown(entry, previous)
        previous = entry.hash


def verify(db: Database) -> tuple[int, str]:
    """(entries, "") when the chain holds, else (index of the first bad entry, what is wrong)."""
    ends = db.read("SELECT count, hash, (SELECT max(number) FROM audit) FROM audit_head")
    begins = db.read("SELECT number, hash FROM audit_begin")
    if len(ends) != 1 or len(begins) != 1:
        return 0, f"the {'head' if len(ends) != 1 else 'beginning'} of the chain is missing"
    ((count, last_hash, last),) = ends
    begin, noted = Place(*begins[0]), _Noted()
    found = walk(noted.passing(_rows(db, -(2**62), count)), begin)
    if found.wrong:
        return found.end.number, found.wrong
    if found.end.number < count:
        return found.end.number, f"entries {found.end.number} to {count - 1} were cut off"
    if last is not None and last >= count:
        return count, f"entry {last} stands behind the end of the chain"
    if found.end.hash != last_hash:
        return max(count - 1, 0), "the last entry contradicts the head of the chain"
    astray = f"entry {begin.number} can't be the first: no checkpoint says that those before are archived"
    return (count, "") if begin == noted.begin else (begin.number, astray)


def head(db: Database) -> tuple[int, str]:
    """(entries, hash of the last)."""
    ((count, last),) = db.read("SELECT count, hash FROM audit_head")
    return int(count), bytes(last).hex()


class _Noted:
    """Passes entries on and keeps the last checkpoint, whose text is only to be read once the chain holds."""

    def __init__(self) -> None:
        self._last: Entry | None = None

    def passing(self, rows: Iterator[Entry]) -> Iterator[Entry]:
        for entry in rows:
            if entry.kind == CHECKPOINT:
                self._last = entry
            yield entry

    @property
    def begin(self) -> Place:
        """Where the chain has to begin, by what its own entries say."""
        if self._last is None:
            return Place()
        told = json.loads(self._last.text)
        return Place(told["until"], bytes.fromhex(told["hash"]))


def _begin(db: Database) -> Place:
    return Place(*db.read("SELECT number, hash FROM audit_begin")[0])


def _rows(db: Database, since: int, until: int) -> Iterator[Entry]:
    """In pages, so that no reader holds up the checkpoint of a growing log."""
    query = "SELECT number, at, kind, entry, hash FROM audit WHERE number >= ? AND number < ? ORDER BY number LIMIT ?"
    while rows := db.read(query, (since, until, PAGE)):
        yield from (Entry(*row) for row in rows)
        since = rows[-1][0] + 1
