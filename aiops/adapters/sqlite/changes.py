"""ChangeSource on SQLite: what POST /v1/changes and build-info metrics report, kept until purged."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from pathlib import Path

from aiops.adapters.sqlite.database import Database, Schema, from_ms, to_ms
from aiops.domain import Change, Scope

SCHEMA = Schema(
    "changes",
    (
        (
            # The primary key is the whole change: reporting one twice is reporting it once.
            """CREATE TABLE changes (
                at INTEGER NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL, summary TEXT NOT NULL, link TEXT NOT NULL,
                PRIMARY KEY (at, node, kind, summary, link)
            ) STRICT, WITHOUT ROWID""",
        ),
    ),
)


class ChangeDB:
    """The changes in the file at `path`. Raises StoreError."""

    def __init__(self, path: Path | str) -> None:
        self._db = Database(path, SCHEMA)

    def read(self, scope: Scope, timeout: float) -> tuple[Change, ...]:  # noqa: ARG002 - a local file answers at once
        """Changes at the scope's nodes from the start of its baseline to the end of its incident, oldest first."""
        start = to_ms(min(scope.baseline.start, scope.incident.start))
        end = to_ms(max(scope.baseline.end, scope.incident.end))
        rows = self._db.read(
            """SELECT node, at, kind, summary, link FROM changes WHERE at >= ?1 AND at < ?2
               AND (?3 = '[]' OR node IN (SELECT value FROM json_each(?3))) ORDER BY at, node, kind, summary, link""",
            (start, end, json.dumps(scope.nodes)),
        )
        return tuple(Change(node, from_ms(at), kind, summary, link) for node, at, kind, summary, link in rows)

    def add(self, change: Change) -> None:
        """Durable when it returns; the same change again changes nothing."""
        row = (to_ms(change.at), change.node, change.kind, change.summary, change.link)

        def run(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?)", row)

        self._db.write(run)

    def purge(self, before: datetime) -> int:
        """Forgets changes made before `before`; returns how many."""
        return self._db.write(lambda c: c.execute("DELETE FROM changes WHERE at < ?", (to_ms(before),)).rowcount)

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - a local file answers at once
        """What answers: product, schema and file."""
        return self._db.ping()

    def check(self) -> str:
        """What is wrong with the file, read as a whole; "" when it is sound."""
        return self._db.check()

    def close(self) -> None:
        """Twice does no harm."""
        self._db.close()
