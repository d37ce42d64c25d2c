"""Annotations on SQLite, for `StoreDB`: of which diagnosis what has been told elsewhere, and under which id.

What there is to tell follows from episodes and reports as they are stored, so that nothing waits in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from aiops.adapters.sqlite.database import Row, to_ms
from aiops.domain import Untold

MIGRATION = (
    # told: 0 that it has begun, -1 that it led to no report, else the number of the report.
    """CREATE TABLE annotations (
        diagnosis TEXT PRIMARY KEY, annotation TEXT NOT NULL, told INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
)

Read: TypeAlias = Callable[[str, Sequence[object]], list[Row]]


def untold(read: Read, since: datetime, limit: int) -> tuple[Untold, ...]:
    """Of diagnoses of episodes begun since then, oldest first."""
    rows = read(
        """SELECT rounds.id, a.annotation, reports.number FROM rounds
           LEFT JOIN annotations AS a ON a.diagnosis = rounds.id LEFT JOIN reports ON reports.id = rounds.id
           WHERE rounds.begun > ? AND (a.told IS NULL OR a.told = 0 OR a.told <> reports.number)
           ORDER BY rounds.begun, rounds.id LIMIT ?""",
        (to_ms(since), limit),
    )
    return tuple([Untold(diagnosis, annotation, version or 0) for diagnosis, annotation, version in rows])


def save(connection: sqlite3.Connection, diagnosis: str, annotation: str, told: int) -> None:
    """What has been told of it, in the place of what was known."""
    connection.execute("INSERT OR REPLACE INTO annotations VALUES (?, ?, ?)", (diagnosis, annotation, told))


def purge(connection: sqlite3.Connection) -> None:
    """Forgets those of diagnoses that are gone."""
    connection.execute("DELETE FROM annotations WHERE diagnosis NOT IN (SELECT id FROM rounds)")
