"""Repairs on SQLite, for `StoreDB`: each as it now is, what its runs printed, and what they taught.

Whatever is written here is written in one transaction with the entry of the audit chain that tells of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from aiops.adapters.sqlite import chain, threads
from aiops.adapters.sqlite.database import Row, to_ms
from aiops.domain import Experience, Repair, RepairState
from aiops.schema import wire
from aiops.schema.audit import canonical

KIND = "repair"
MIGRATION = (
    """CREATE TABLE repairs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, report TEXT NOT NULL, hash TEXT NOT NULL,
        state TEXT NOT NULL, planned INTEGER NOT NULL, begun INTEGER, body BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX repairs_by_report ON repairs (report, number)",
    "CREATE INDEX repairs_by_state ON repairs (state, number)",
    "CREATE INDEX repairs_by_hash ON repairs (hash, number)",
    "CREATE INDEX repairs_by_begin ON repairs (begun) WHERE begun IS NOT NULL",
    """CREATE TABLE repair_outputs (
        repair TEXT NOT NULL REFERENCES repairs (id) ON DELETE CASCADE, digest TEXT NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (repair, digest)
    ) STRICT, WITHOUT ROWID""",
    # Bound to no repair by a key: what was learned outlives it.
    """CREATE TABLE experience (
        runbook TEXT NOT NULL, fault TEXT NOT NULL, worked INTEGER NOT NULL, tried INTEGER NOT NULL,
        PRIMARY KEY (runbook, fault)
    ) STRICT, WITHOUT ROWID""",
)
UNDER_WAY = (RepairState.RUNNING, RepairState.VERIFYING, RepairState.UNDOING)
OPEN = (RepairState.PLANNED, RepairState.APPROVED, *UNDER_WAY)

Read: TypeAlias = Callable[[str, Sequence[object]], list[Row]]


class BookDB:
    """A `RepairBook` within the transaction of `connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, repair_id: str) -> Repair | None:
        return get(self._read, repair_id)

    def alike(self, digest: str) -> tuple[Repair, ...]:
        return _repairs(self._read("SELECT body FROM repairs WHERE hash = ? ORDER BY number", (digest,)))

    def begun(self, since: datetime) -> tuple[Repair, ...]:
        states = ", ".join(f"'{state}'" for state in UNDER_WAY)
        query = f"SELECT body FROM repairs WHERE begun >= ? OR state IN ({states}) ORDER BY number"  # noqa: S608 - constant text
        return _repairs(self._read(query, (to_ms(since),)))

    def save(self, repair: Repair, told: Mapping[str, object], output: str = "") -> None:
        begun = to_ms(repair.begun.at) if repair.begun else None
        self._connection.execute(
            """INSERT INTO repairs (id, report, hash, state, planned, begun, body) VALUES (?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET state = excluded.state, begun = excluded.begun, body = excluded.body""",
            (
                repair.id,
                repair.plan.report_id,
                repair.hash,
                str(repair.state),
                to_ms(repair.planned),
                begun,
                wire.encode(repair),
            ),
        )
        threads.stir_for(self._connection, repair.plan.report_id, to_ms(repair.steps[-1].at.at))
        if output:
            row = (repair.id, repair.steps[-1].output, output)
            self._connection.execute("INSERT OR IGNORE INTO repair_outputs VALUES (?, ?, ?)", row)
        self.audit(told)

    def audit(self, told: Mapping[str, object]) -> None:
        chain.append(self._connection, KIND, canonical(dict(told)))

    def learn(self, runbook: str, fault: str, *, worked: bool) -> None:
        self._connection.execute(
            """INSERT INTO experience VALUES (?, ?, ?, 1)
               ON CONFLICT DO UPDATE SET worked = worked + excluded.worked, tried = tried + 1""",
            (runbook, fault, int(worked)),
        )

    def forget(self, runbook: str) -> int:
        return self._connection.execute("DELETE FROM experience WHERE ?1 = '' OR runbook = ?1", (runbook,)).rowcount

    def _read(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()


def get(read: Read, repair_id: str) -> Repair | None:
    """As it now is."""
    return next(iter(_repairs(read("SELECT body FROM repairs WHERE id = ?", (repair_id,)))), None)


def find(read: Read, limit: int, states: Collection[RepairState], report_id: str) -> tuple[Repair, ...]:
    """Newest first; no states, and "", ask for any."""
    marks = ", ".join("?" * len(states))
    among = f"state IN ({marks})" if states else "TRUE"
    query = f"SELECT body FROM repairs WHERE {among} AND ? IN ('', report) ORDER BY number DESC LIMIT ?"  # noqa: S608 - constant text
    return _repairs(read(query, (*map(str, states), report_id, limit)))


def counts(read: Read) -> dict[RepairState, int]:
    """How many are in each state; all states."""
    found = dict.fromkeys(RepairState, 0)
    return found | {
        RepairState(state): count for state, count in read("SELECT state, count(*) FROM repairs GROUP BY state", ())
    }


def output(read: Read, repair_id: str, digest: str) -> str | None:
    """What is kept under that hash, which is the caller's to check; None where nothing is."""
    rows = read("SELECT text FROM repair_outputs WHERE repair = ? AND digest = ?", (repair_id, digest))
    return rows[0][0] if rows else None


def experience(read: Read) -> tuple[Experience, ...]:
    """By runbook, then by fault."""
    return tuple(
        Experience(*row)
        for row in read("SELECT runbook, fault, worked, tried FROM experience ORDER BY runbook, fault", ())
    )


def purge(connection: sqlite3.Connection, before_ms: int) -> None:
    """Forgets those planned before that are over, with what their runs printed."""
    states = ", ".join(f"'{state}'" for state in OPEN)
    connection.execute(f"DELETE FROM repairs WHERE planned < ? AND state NOT IN ({states})", (before_ms,))  # noqa: S608 - constant text


def _repairs(rows: Iterable[Row]) -> tuple[Repair, ...]:
    return tuple(wire.decode(body, Repair) for (body,) in rows)
