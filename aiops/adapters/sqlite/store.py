"""Store on SQLite: reports and their recordings, notification keys, sessions, feedback, and the audit chain.

Audit (`chain`): an entry that is edited, removed, moved or cut off at the end breaks the chain or contradicts its head. Whoever
can rewrite the whole file can also rewrite all hashes: note the head elsewhere (`aiops audit export`) to be safe from that, too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from aiops.adapters.sqlite import annotating, chain, episodes, repairs, threads
from aiops.adapters.sqlite.database import Database, Row, Schema, from_ms, to_ms
from aiops.adapters.sqlite.episodes import LedgerDB
from aiops.domain import Alert, Episode, Experience, Feedback, Repair, RepairState, Thread, TimeRange, Untold
from aiops.errors import DataError
from aiops.ports import Ledger, RepairBook
from aiops.schema.audit import CHECKPOINT, canonical

T = TypeVar("T")

SCHEMA = Schema(
    "store",
    (
        (
            """CREATE TABLE reports (
                number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
                starts INTEGER NOT NULL, ends INTEGER NOT NULL, shown TEXT NOT NULL
            ) STRICT""",
            # Bodies stand apart: a look-up walks small rows, not megabytes.
            """CREATE TABLE bodies (
                report INTEGER PRIMARY KEY REFERENCES reports ON DELETE CASCADE,
                json BLOB NOT NULL, recording BLOB NOT NULL
            ) STRICT""",
            """CREATE TABLE report_alerts (
                report INTEGER NOT NULL REFERENCES reports ON DELETE CASCADE,
                fingerprint TEXT NOT NULL, alertname TEXT NOT NULL,
                PRIMARY KEY (report, fingerprint, alertname)
            ) STRICT, WITHOUT ROWID""",
            "CREATE INDEX report_alerts_by_fingerprint ON report_alerts (fingerprint, report)",
            "CREATE INDEX report_alerts_by_name ON report_alerts (alertname, report)",
            "CREATE INDEX reports_by_age ON reports (created)",
            # Led by time: a storm then writes neighbouring pages instead of one page per alert.
            """CREATE TABLE notifications (
                starts INTEGER NOT NULL, digest BLOB NOT NULL, seen INTEGER NOT NULL, PRIMARY KEY (starts, digest)
            ) STRICT, WITHOUT ROWID""",
            "CREATE TABLE sessions (id TEXT PRIMARY KEY, slots TEXT NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            """CREATE TABLE audit (
                number INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, entry TEXT NOT NULL, hash BLOB NOT NULL
            ) STRICT""",
            "CREATE TABLE audit_head (count INTEGER NOT NULL, hash BLOB NOT NULL) STRICT",
            "INSERT INTO audit_head VALUES (0, zeroblob(32))",
        ),
        (
            # Bound to no report by a key: what was learned outlives it.
            """CREATE TABLE feedback (
                report TEXT PRIMARY KEY, symptom TEXT NOT NULL, cause TEXT NOT NULL, wrong INTEGER NOT NULL,
                note TEXT NOT NULL, at INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID""",
            "CREATE INDEX feedback_by_symptom ON feedback (symptom, at, report)",
        ),
        ("ALTER TABLE notifications ADD COLUMN diagnosis TEXT NOT NULL DEFAULT ''",),
        (*chain.MIGRATION, "CREATE INDEX sessions_by_end ON sessions (expires)"),
        episodes.MIGRATION,
        (
            "CREATE TABLE used (once BLOB PRIMARY KEY, ends INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            "CREATE INDEX used_by_end ON used (ends)",
        ),
        repairs.MIGRATION,
        threads.MIGRATION,
        annotating.MIGRATION,
    ),
)

_INSTANT = timedelta(milliseconds=1)


class StoreDB:
    """The store in the file at `path`. Raises StoreError; DataError for a session or entry that JSON can't hold."""

    def __init__(self, path: Path | str) -> None:
        self._db = Database(path, SCHEMA)

    # ------------------------------------------------------------ reports

    def save(
        self,
        report_id: str,
        report_json: bytes,
        recording: bytes,
        index: Mapping[str, str],
        alerts: Iterable[Alert] = (),
        window: TimeRange | None = None,
    ) -> None:
        """One transaction; a second save under the same id replaces."""
        now = datetime.now(UTC)
        starts, ends = _span(window or TimeRange(now, now))
        about = sorted({(alert.fingerprint, alert.name) for alert in alerts})
        shown = canonical(dict(index))

        def run(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM reports WHERE id = ?", (report_id,))
            row = (report_id, to_ms(now), starts, ends, shown)
            number = connection.execute(
                "INSERT INTO reports (id, created, starts, ends, shown) VALUES (?, ?, ?, ?, ?)", row
            ).lastrowid
            connection.execute("INSERT INTO bodies VALUES (?, ?, ?)", (number, report_json, recording))
            connection.executemany("INSERT INTO report_alerts VALUES (?, ?, ?)", [(number, *pair) for pair in about])

        self._db.write(run)

    def report(self, report_id: str) -> bytes | None:
        """The report's JSON as saved."""
        return self._body("json", report_id)

    def recording(self, report_id: str) -> bytes | None:
        """The recording as saved; None where it was forgotten."""
        return self._body("recording", report_id) or None

    def reports(self, limit: int = 50) -> tuple[Mapping[str, str], ...]:
        """Newest first: what `save` was given as `index`, with `id` and `created`."""
        return self.find("", "", None, limit)

    def find(
        self, fingerprint: str, alertname: str, window: TimeRange | None, limit: int
    ) -> tuple[Mapping[str, str], ...]:
        """Newest first: reports about an alert that overlap the window; "" and None ask for any."""
        starts, ends = _span(window) if window else (-(2**62), 2**62)
        rows = self._db.read(
            """SELECT id, created, shown FROM reports WHERE starts < ?2 AND ends > ?1
               AND (?3 = '' AND ?4 = '' OR number IN (
                   SELECT report FROM report_alerts WHERE ?3 <> '' AND fingerprint = ?3 AND ?4 IN ('', alertname)
                   UNION ALL SELECT report FROM report_alerts WHERE ?3 = '' AND alertname = ?4)
                   OR ?4 = '' AND id IN (
                   SELECT rounds.id FROM rounds JOIN episode_alerts USING (episode) WHERE fingerprint = ?3))
               ORDER BY number DESC LIMIT ?5""",
            (starts, ends, fingerprint, alertname, limit),
        )
        return tuple(_shown(row) for row in rows)

    def _body(self, column: str, report_id: str) -> bytes | None:
        rows = self._db.read(
            f"SELECT {column} FROM bodies JOIN reports ON number = report WHERE id = ?",  # noqa: S608 - constant text
            (report_id,),
        )
        return bytes(rows[0][0]) if rows else None

    # ------------------------------------------------------------ episodes

    def fold(self, run: Callable[[Ledger], T], now: datetime) -> T:
        """What `run` answers, whose changes are durable together."""
        return self._db.write(lambda connection: run(LedgerDB(connection, now)))

    def episodes(self, ids: Collection[str]) -> Mapping[str, Episode]:
        """Under the ids asked for, which may be those of diagnoses."""
        return episodes.find(self._db.read, ids)

    def due(self, now: datetime, limit: int) -> tuple[Episode, ...]:
        """Whose diagnosis may begin: those that are open first, then those that have waited longest."""
        return episodes.due(self._db.read, now, limit)

    def expected(self, limit: int) -> tuple[tuple[Episode, tuple[Alert, ...]], ...]:
        """Those of which no diagnosis has begun, newest first, each with some of its alerts."""
        return episodes.expected(self._db.read, limit)

    def muted(self) -> tuple[Episode, ...]:
        """Those that are open and kept quiet."""
        return episodes.muted(self._db.read)

    def begun(self, since: datetime) -> int:
        """How many diagnoses of episodes have begun since then."""
        return int(self._db.read("SELECT count(*) FROM rounds WHERE begun > ?", (to_ms(since),))[0][0])

    def figures(self) -> Mapping[str, int]:
        """How many episodes are `open`, and how many are `waiting` for their diagnosis."""
        return episodes.figures(self._db.read)

    # ------------------------------------------------------------ sessions

    def session(self, session_id: str) -> Mapping[str, object] | None:
        """The slots last saved; None when there are none or they have expired."""
        now = to_ms(datetime.now(UTC))
        rows = self._db.read("SELECT slots FROM sessions WHERE id = ? AND expires > ?", (session_id, now))
        return dict(json.loads(rows[0][0])) if rows else None

    def save_session(self, session_id: str, slots: Mapping[str, object], expires: datetime) -> None:
        """Replaces the session's slots, and forgets the sessions that have expired."""
        row = (session_id, canonical(dict(slots)), to_ms(expires))
        now = to_ms(datetime.now(UTC))

        def run(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", row)

        self._db.write(run)

    def once(self, key: bytes, ends: datetime) -> bool:
        """Whether `key` was not used before; it is known until `ends`, across restarts. Forgets those that have ended."""
        now = to_ms(datetime.now(UTC))

        def run(connection: sqlite3.Connection) -> bool:
            connection.execute("DELETE FROM used WHERE ends < ?", (now,))
            return connection.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", (key, to_ms(ends))).rowcount == 1

        return self._db.write(run)

    # ------------------------------------------------------------ feedback

    def tell(self, feedback: Feedback) -> bool:
        """Keeps what was told about a report in the place of what was told before, and audits it, in one transaction.

        False, and nothing audited, when it says nothing new (`at` aside). It outlives its report."""
        said = (feedback.symptom, feedback.cause, int(feedback.wrong), feedback.note)
        entry = canonical(
            {
                "report": feedback.report_id,
                "symptom": feedback.symptom,
                "cause": feedback.cause,
                "wrong": feedback.wrong,
                "note": feedback.note,
            }
        )

        def run(connection: sqlite3.Connection) -> bool:
            known = "SELECT symptom, cause, wrong, note FROM feedback WHERE report = ?"
            if connection.execute(known, (feedback.report_id,)).fetchone() == said:
                return False
            row = (feedback.report_id, *said, to_ms(feedback.at))
            connection.execute("INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?, ?, ?)", row)
            chain.append(connection, "feedback", entry)
            return True

        return self._db.write(run)

    def untell(self, report_id: str) -> bool:
        """Forgets what was told about a report, which the audit chain notes; False when there was nothing."""
        entry = canonical({"report": report_id})

        def run(connection: sqlite3.Connection) -> bool:
            if not connection.execute("DELETE FROM feedback WHERE report = ?", (report_id,)).rowcount:
                return False
            chain.append(connection, "feedback withdrawn", entry)
            return True

        return self._db.write(run)

    def told(self, symptom: str | None = None) -> tuple[Feedback, ...]:
        """What was told, about one symptom node or all, by time, then by report."""
        rows = self._db.read(
            """SELECT report, symptom, cause, wrong, note, at FROM feedback WHERE ?1 IS NULL OR symptom = ?1
               ORDER BY at, report""",
            (symptom,),
        )
        return tuple(
            Feedback(report, about, cause, bool(wrong), note, from_ms(at))
            for report, about, cause, wrong, note, at in rows
        )

    # ------------------------------------------------------------ chats

    def threads(self, chat: str, now: datetime, limit: int) -> tuple[Thread, ...]:
        """In which there is something to tell by now."""
        if threads.news(self._db.read, chat):
            self._db.write(lambda connection: threads.take_up(connection, chat, to_ms(now)))
        return threads.due(self._db.read, chat, to_ms(now), limit)

    def threads_of(self, episode: str) -> tuple[Thread, ...]:
        """What each chat was told of one episode."""
        return threads.find(self._db.read, episode)

    def save_thread(self, thread: Thread, again: datetime | None) -> None:
        """As it now is; what has made it due since it was read stays."""
        self._db.write(lambda connection: threads.save(connection, thread, again))

    def stir(self, episode: str, now: datetime) -> None:
        """Makes its threads due."""
        self._db.write(lambda connection: threads.stir(connection, episode, to_ms(now)))

    def secret(self, name: str) -> bytes:
        """32 random bytes that are kept under the name."""
        known = self._db.read("SELECT value FROM secrets WHERE name = ?", (name,))
        return bytes(known[0][0]) if known else self._db.write(lambda connection: threads.secret(connection, name))

    # ------------------------------------------------------------ repairs

    def govern(self, run: Callable[[RepairBook], T]) -> T:
        """What `run` answers, whose changes are durable together."""
        return self._db.write(lambda connection: run(repairs.BookDB(connection)))

    def repair(self, repair_id: str) -> Repair | None:
        """As it now is."""
        return repairs.get(self._db.read, repair_id)

    def repairs(self, limit: int = 50, states: Collection[RepairState] = (), report_id: str = "") -> tuple[Repair, ...]:
        """Newest first."""
        return repairs.find(self._db.read, limit, states, report_id)

    def repair_counts(self) -> Mapping[RepairState, int]:
        """How many are in each state."""
        return repairs.counts(self._db.read)

    def repair_output(self, repair_id: str, digest: str) -> str | None:
        """What a run printed, by its hash."""
        return repairs.output(self._db.read, repair_id, digest)

    def experience(self) -> tuple[Experience, ...]:
        """By runbook, then by fault."""
        return repairs.experience(self._db.read)

    # ------------------------------------------------------------ annotations

    def untold(self, since: datetime, limit: int) -> tuple[Untold, ...]:
        """Diagnoses of episodes of which not all has been annotated."""
        return annotating.untold(self._db.read, since, limit)

    def annotated(self, diagnosis: str, annotation: str, told: int) -> None:
        """What has been told of one."""
        self._db.write(lambda connection: annotating.save(connection, diagnosis, annotation, told))

    # ------------------------------------------------------------ audit

    def audit(self, kind: str, entry: Mapping[str, object]) -> None:
        """Appends to the chain; durable when it returns."""
        if kind == CHECKPOINT:
            raise DataError(f"an entry of kind {CHECKPOINT!r} is written by `audit_archive` alone")
        text = canonical(dict(entry))
        self._db.write(lambda connection: chain.append(connection, kind, text))

    def audit_entries(self, since: int = 0, until: int | None = None) -> Iterator[Mapping[str, object]]:
        """Oldest first: number, at (RFC 3339), kind, entry, previous, hash. Verifies nothing: that is `audit_verify`."""
        return chain.entries(self._db, since, until)

    def audit_head(self) -> tuple[int, str]:
        """(entries, hash of the last): worth noting outside of this file."""
        return chain.head(self._db)

    def audit_verify(self) -> tuple[int, str]:
        """(entries, "") when the chain holds, else (index of the first bad entry, what is wrong)."""
        return chain.verify(self._db)

    def audit_archive(self, until: int, told: Mapping[str, object]) -> None:
        """Forgets the entries below `until`, which a checkpoint in the chain says, with what is `told` of their archive."""
        self._db.write(lambda connection: chain.archive(connection, until, told))

    # ------------------------------------------------------------ house-keeping

    def purge(self, before: datetime) -> int:
        """Forgets reports, recordings, notification keys older than `before`, episodes closed and sessions expired by then.

        Returns how many reports. The audit chain is never shortened.
        """
        limit = (to_ms(before),)

        def run(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM notifications WHERE seen < ?", limit)
            connection.execute("DELETE FROM sessions WHERE expires < ?", limit)
            episodes.purge(connection, *limit)
            repairs.purge(connection, *limit)
            threads.purge(connection)
            annotating.purge(connection)
            return connection.execute("DELETE FROM reports WHERE created < ?", limit).rowcount

        return self._db.write(run)

    def purge_recordings(self, before: datetime) -> int:
        """Forgets the recordings of reports older than `before`, which stay; returns how many."""
        forget = """UPDATE bodies SET recording = x'' WHERE length(recording) > 0
                    AND report IN (SELECT number FROM reports WHERE created < ?)"""
        return self._db.write(lambda connection: connection.execute(forget, (to_ms(before),)).rowcount)

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - a local file answers at once
        """What answers: product, schema and file."""
        return self._db.ping()

    def check(self) -> str:
        """What is wrong with the file, read as a whole; "" when it is sound."""
        return self._db.check()

    def close(self) -> None:
        """Twice does no harm."""
        self._db.close()


def _span(window: TimeRange) -> tuple[int, int]:
    """Half-open milliseconds, never empty: an instant overlaps the window it lies in."""
    return to_ms(window.start), to_ms(max(window.end, window.start + _INSTANT))


def _shown(row: Row) -> Mapping[str, str]:
    report_id, created, shown = row
    return {**json.loads(shown), "id": report_id, "created": from_ms(created).isoformat(timespec="milliseconds")}
