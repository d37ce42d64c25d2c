"""JobQueue on SQLite: one row per job, a lease on each that runs, and two partial indexes.

Without the indexes a claim scans every finished job. Leases are kept on the clock that no one can set (`CLOCK_BOOTTIME`,
shared by all processes of the machine) together with the boot they belong to: a jump of the wall clock ends no lease, and
a restart of the machine ends them all.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiops.adapters.sqlite.database import Database, Row, Schema, from_ms, to_ms
from aiops.domain import Job, JobState, Presence, Task
from aiops.errors import AiopsError, Overloaded, StoreError
from aiops.ports import HEAD_START, MOST_DELIVERED

_COUNT = """INSERT INTO lanes VALUES (new.labels, {0})
            ON CONFLICT (labels) DO UPDATE SET waiting = waiting + excluded.waiting"""
SCHEMA = Schema(
    "queue",
    (
        (
            """CREATE TABLE jobs (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, task BLOB NOT NULL, state TEXT NOT NULL,
                attempts INTEGER NOT NULL, error TEXT NOT NULL, episode_id TEXT NOT NULL, enqueued_at INTEGER NOT NULL,
                worker TEXT NOT NULL DEFAULT '', lease_end INTEGER, boot TEXT
            ) STRICT""",
            "CREATE INDEX queued ON jobs (number) WHERE state = 'queued'",
            "CREATE INDEX leased ON jobs (lease_end) WHERE state = 'running'",
            "CREATE UNIQUE INDEX active ON jobs (key) WHERE state IN ('queued', 'running')",
            # Counted as they come and go: `count(*)` takes a millisecond per 50,000 jobs, at every put.
            "CREATE TABLE depth (waiting INTEGER NOT NULL) STRICT",
            "INSERT INTO depth VALUES (0)",
            """CREATE TRIGGER put AFTER INSERT ON jobs WHEN new.state = 'queued'
               BEGIN UPDATE depth SET waiting = waiting + 1; END""",
            """CREATE TRIGGER moved AFTER UPDATE OF state ON jobs
               BEGIN UPDATE depth SET waiting = waiting + (new.state = 'queued') - (old.state = 'queued'); END""",
            """CREATE TRIGGER removed AFTER DELETE ON jobs WHEN old.state = 'queued'
               BEGIN UPDATE depth SET waiting = waiting - 1; END""",
        ),
        (
            "ALTER TABLE jobs ADD COLUMN labels TEXT NOT NULL DEFAULT ''",
            "DROP INDEX queued",
            "CREATE INDEX queued ON jobs (labels, number) WHERE state = 'queued'",
            # The first files had no count of what waits.
            "DROP TRIGGER IF EXISTS put",
            "DROP TRIGGER IF EXISTS moved",
            "DROP TRIGGER IF EXISTS removed",
            "DROP TABLE IF EXISTS depth",
            # What waits is counted for each set of labels: a worker looks only at those that it has.
            "CREATE TABLE lanes (labels TEXT PRIMARY KEY, waiting INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            "INSERT INTO lanes SELECT '', count(*) FROM jobs WHERE state = 'queued'",
            f"""CREATE TRIGGER put AFTER INSERT ON jobs WHEN new.state = 'queued'
                BEGIN {_COUNT.format("1")}; END""",
            f"""CREATE TRIGGER moved AFTER UPDATE OF state ON jobs WHEN (new.state = 'queued') <> (old.state = 'queued')
                BEGIN {_COUNT.format("iif(new.state = 'queued', 1, -1)")};
                      DELETE FROM lanes WHERE labels = new.labels AND waiting <= 0; END""",  # noqa: S608 - constant text
            """CREATE TRIGGER removed AFTER DELETE ON jobs WHEN old.state = 'queued'
               BEGIN UPDATE lanes SET waiting = waiting - 1 WHERE labels = old.labels; END""",
            "CREATE TABLE results (id TEXT PRIMARY KEY, result BLOB NOT NULL) STRICT",
            """CREATE TABLE workers (
                name TEXT PRIMARY KEY, labels TEXT NOT NULL, capacity INTEGER NOT NULL, running INTEGER NOT NULL,
                until INTEGER NOT NULL, boot TEXT NOT NULL
            ) STRICT, WITHOUT ROWID""",
        ),
        (
            # Of each set of labels the oldest that somebody asked for, and the oldest of an episode, are found at once.
            "DROP INDEX queued",
            "CREATE INDEX queued ON jobs (labels, episode_id = '', number) WHERE state = 'queued'",
        ),
        (
            # Leases that ran out. A claim that was given back, as while a source is away, is no attempt that failed.
            "ALTER TABLE jobs ADD COLUMN lapses INTEGER NOT NULL DEFAULT 0",
        ),
    ),
)

_COLUMNS = "id, key, task, state, attempts, error, episode_id, enqueued_at, labels"
_MS = timedelta(milliseconds=1)
_REMEMBERED_MS = 3600_000  # a worker that went silent
_FINISHED = (JobState.DONE, JobState.INCONCLUSIVE, JobState.FAILED, JobState.SUPPRESSED)


class QueueDB:
    """The queue in the file at `path`; `encode` and `decode` give a task its stored form (`decode` may raise ValueError).

    capacity: how many jobs may wait before `put` raises Overloaded.
    max_attempts: a job whose lease has run out this often is failed (dead letter), not tried again.
    """

    def __init__(
        self,
        path: Path | str,
        encode: Callable[[Task], bytes],
        decode: Callable[[bytes], Task],
        *,
        capacity: int = 100_000,
        max_attempts: int = 5,
    ) -> None:
        self._encode, self._decode = encode, decode
        self._capacity, self._max_attempts = capacity, max_attempts
        self._boot = _boot()
        self._db = Database(path, SCHEMA)

    # ------------------------------------------------------------ the four verbs

    def put(self, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """All or none; durable when it returns. A job whose key is queued or running joins that one, which is returned.

        A job that comes finished (suppressed) is only recorded. Overloaded when the new jobs would exceed the capacity.
        """
        given = [(job, self._encode(job.task)) for job in jobs]
        if any(job.state is JobState.RUNNING for job, _ in given):
            raise ValueError("a job runs by being claimed, not by being put")

        def run(connection: sqlite3.Connection) -> list[Row | Job]:
            before = _depth(connection)
            rows = [_put(connection, job, task) for job, task in given]
            after = _depth(connection)
            if after > max(self._capacity, before):
                raise Overloaded(f"the queue holds {before} jobs of {self._capacity}: {after - before} more do not fit")
            return rows

        # Decoded only where another job is joined.
        put = self._db.write(run) if given else []
        return tuple([row if isinstance(row, Job) else self._job(row) for row in put])

    def claim(self, lease_s: float, worker: str, labels: Iterable[str] = ()) -> Job | None:
        """The next queued job for a worker with `labels`, now running and leased to it; None when there is none.

        A job whose task can't be decoded (written by another version) is failed with the reason, and the next is taken.
        """
        mine = frozenset(labels)
        while lanes := [_joined(lane) for lane in self.lanes() if mine.issuperset(lane)]:
            row = self._db.write(lambda connection, lanes=lanes: self._lease(connection, lease_s, worker, lanes))  # type: ignore[misc]
            if row is None:
                return None
            try:
                return self._job(row)
            except StoreError as error:
                self._finish(str(row[0]), int(row[4]), JobState.FAILED, str(error))
        return None

    def renew(self, job: Job, lease_s: float) -> bool:
        """The heartbeat: `lease_s` more from now. False when the job is no longer this claim's, so stop working on it."""
        lease = (_now_ms() + int(lease_s * 1000), self._boot, job.id, job.attempts)

        def run(connection: sqlite3.Connection) -> bool:
            return (
                connection.execute(
                    "UPDATE jobs SET lease_end = ?, boot = ? WHERE id = ? AND attempts = ? AND state = 'running'", lease
                ).rowcount
                > 0
            )

        return self._db.write(run)

    def ack(self, job: Job, state: JobState, error: str = "") -> bool:
        """Ends this claim: finished in `state`, or given back with `QUEUED`. Durable when it returns True.

        `attempts` tells one claim from the next: False when another worker has claimed the job since, or it was finished
        otherwise.
        """
        if state is JobState.RUNNING:
            raise ValueError("`running` ends no claim; `renew` prolongs it")
        return self._finish(job.id, job.attempts, state, error)

    def deliver(self, job: Job, result: bytes) -> bool:
        """Keeps what the claim has led to until its job is acked; durable. False when the claim was lost."""

        def run(connection: sqlite3.Connection) -> bool:
            held = connection.execute(
                """UPDATE jobs SET state = 'running', lease_end = NULL, boot = NULL
                   WHERE id = ? AND attempts = ? AND state IN ('queued', 'running')""",
                (job.id, job.attempts),
            ).rowcount
            if held:
                connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (job.id, result))
            return held > 0

        return self._db.write(run)

    def delivered(self, limit: int = 10) -> tuple[tuple[Job, bytes], ...]:
        """Results that wait, oldest job first; each until its job is acked."""
        columns = ", ".join(f"jobs.{column}" for column in _COLUMNS.split(", "))
        rows = self._db.read(
            f"SELECT {columns}, result FROM results JOIN jobs ON jobs.id = results.id ORDER BY number LIMIT ?",  # noqa: S608 - constant text
            (limit,),
        )
        return tuple((self._job(row[:-1]), bytes(row[-1])) for row in rows)

    def announce(self, worker: Presence, ttl_s: float) -> None:
        """`worker` is alive for `ttl_s` more; 0 when it leaves."""
        now = _now_ms()
        row = (
            worker.name,
            _joined(worker.labels),
            worker.capacity,
            worker.running,
            now + int(ttl_s * 1000),
            self._boot,
        )

        def run(connection: sqlite3.Connection) -> None:
            gone = (worker.name, now - _REMEMBERED_MS, self._boot)
            connection.execute("DELETE FROM workers WHERE name = ? OR until < ? OR boot <> ?", gone)
            if ttl_s > 0:
                connection.execute("INSERT INTO workers VALUES (?, ?, ?, ?, ?, ?)", row)

        self._db.write(run)

    def workers(self) -> tuple[Presence, ...]:
        """By name; one that went silent is told for an hour, not `alive`."""
        rows = self._db.read(
            "SELECT name, labels, capacity, running, until FROM workers WHERE boot = ? ORDER BY name", (self._boot,)
        )
        now = _now_ms()
        return tuple(
            Presence(name, _parted(labels), capacity, running, until > now)
            for name, labels, capacity, running, until in rows
        )

    def reclaim(self) -> int:
        """Ends expired leases: the job is queued again in its old place, or failed for good after `max_attempts`.

        Returns how many leases had expired.
        """
        expired = "state = 'running' AND (lease_end <= ?1 OR boot <> ?2)"
        now = (_now_ms(), self._boot)
        if not self._db.read(f"SELECT 1 FROM jobs WHERE {expired} LIMIT 1", now):  # noqa: S608 - constant text
            return 0

        def run(connection: sqlite3.Connection) -> int:
            return connection.execute(
                f"""UPDATE jobs SET lease_end = NULL, boot = NULL, lapses = lapses + 1,
                    state = iif(lapses + 1 < ?3, 'queued', 'failed'),
                    error = iif(lapses + 1 < ?3, '', 'given up after ' || (lapses + 1) || ' attempts, the last by ' || worker
                                || ', none of which ended within its lease')
                    WHERE {expired}""",  # noqa: S608 - constant text
                (*now, self._max_attempts),
            ).rowcount

        return self._db.write(run)

    # ------------------------------------------------------------ questions

    def get(self, job_id: str) -> Job | None:
        """The job, finished or not, until it is purged."""
        rows = self._db.read(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,))  # noqa: S608 - constant text
        return self._job(rows[0]) if rows else None

    def recent(self, limit: int = 100) -> tuple[Job, ...]:
        """The jobs put last, newest first."""
        rows = self._db.read(f"SELECT {_COLUMNS} FROM jobs ORDER BY number DESC LIMIT ?", (limit,))  # noqa: S608
        return tuple(map(self._job, rows))

    def depth(self) -> int:
        """How many wait to be claimed."""
        ((count,),) = self._db.read(_DEPTH)
        return int(count)

    def lanes(self) -> Mapping[tuple[str, ...], int]:
        """How many wait, by their labels."""
        return {_parted(labels): int(n) for labels, n in self._db.read("SELECT * FROM lanes WHERE waiting > 0")}

    def oldest(self) -> datetime | None:
        """When the first of those that wait was put; None when none waits."""
        # Two searches for each lane, as for a claim.
        rows = self._db.read(
            f"SELECT min(enqueued_at) FROM jobs WHERE number IN (SELECT ({_HEAD}) FROM lanes, (VALUES (0), (1)) AS asked)"  # noqa: S608 - constant text
        )
        return None if rows[0][0] is None else from_ms(rows[0][0])

    def purge(self, before: datetime) -> int:
        """Forgets finished jobs that were put before `before`; returns how many."""
        return self._db.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM jobs WHERE enqueued_at < ? AND state NOT IN ('queued', 'running')", (to_ms(before),)
                ).rowcount
            )
        )

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - a local file answers at once
        """What answers: product, schema and file."""
        return self._db.ping()

    def check(self) -> str:
        """What is wrong with the file, read as a whole; "" when it is sound."""
        return self._db.check()

    def close(self) -> None:
        """Twice does no harm. Leases go on: another process may reclaim them when they expire."""
        self._db.close()

    # ------------------------------------------------------------ rows

    def _lease(self, connection: sqlite3.Connection, lease_s: float, worker: str, lanes: Iterable[str]) -> Row | None:
        ((waiting,),) = connection.execute("SELECT count(*) FROM results").fetchall()
        if waiting >= MOST_DELIVERED:
            return None
        number = _next(connection, lanes)
        rows = connection.execute(
            f"""UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = ?, lease_end = ?, boot = ?
                WHERE number = ?
                RETURNING {_COLUMNS}""",  # noqa: S608 - constant text
            (worker, _now_ms() + int(lease_s * 1000), self._boot, number),
        ).fetchall()
        return rows[0] if rows else None

    def _finish(self, job_id: str, attempts: int, state: JobState, error: str) -> bool:
        def run(connection: sqlite3.Connection) -> bool:
            heard = connection.execute(
                """UPDATE jobs SET state = ?, error = ?, lease_end = NULL, boot = NULL
                   WHERE id = ? AND attempts = ? AND state IN ('queued', 'running', ?)""",
                (state.value, error, job_id, attempts, state.value),
            ).rowcount
            if heard:
                connection.execute("DELETE FROM results WHERE id = ?", (job_id,))
            return heard > 0

        return self._db.write(run)

    def _job(self, row: Row) -> Job:
        number, key, task, state, attempts, error, episode_id, enqueued_at, labels = row
        try:
            decoded = self._decode(task)
        except (AiopsError, ValueError) as fault:
            raise StoreError(f"{self._db.path}: the task of job {number} can't be read: {fault}") from fault
        at = from_ms(enqueued_at)
        return Job(number, key, decoded, JobState(state), attempts, error, episode_id, at, _parted(labels))


# The oldest that waits of a lane: of those that somebody asked for (1), or of those of episodes (0).
_HEAD = """SELECT min(number) FROM jobs
           WHERE state = 'queued' AND jobs.labels = lanes.labels AND (episode_id = '') = asked.column1"""
_DEPTH = "SELECT coalesce(sum(waiting), 0) FROM lanes"


def _next(connection: sqlite3.Connection, lanes: Iterable[str]) -> int | None:
    """The number of the job that goes next, of these lanes."""
    # One search for each: with `labels IN (...)` every waiting job would be sorted.
    found = f"""SELECT number, enqueued_at FROM jobs WHERE number = (
                    SELECT ({_HEAD}) FROM (SELECT ? AS labels) AS lanes, (VALUES (?)) AS asked)"""  # noqa: S608 - constant text
    firsts = []
    for asked in (1, 0):
        heads = [connection.execute(found, (lane, asked)).fetchone() for lane in lanes]
        firsts.append(min(filter(None, heads), default=None))
    question, episode = firsts
    if question and episode and episode[1] + HEAD_START // _MS >= question[1]:
        episode = None
    first = episode or question
    return int(first[0]) if first else None


def _joined(labels: Iterable[str]) -> str:
    return "\n".join(labels)


def _parted(labels: str) -> tuple[str, ...]:
    return tuple(labels.split("\n")) if labels else ()


def _depth(connection: sqlite3.Connection) -> int:
    ((count,),) = connection.execute(_DEPTH).fetchall()
    return int(count)


def _put(connection: sqlite3.Connection, job: Job, task: bytes) -> Row | Job:
    """What now stands for the job: the row of the active one of the same key, or itself as it was stored."""
    if job.state not in _FINISHED:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE key = ? AND state IN ('queued', 'running')",  # noqa: S608
            (job.key,),
        ).fetchall()
        if rows:
            return tuple(rows[0])
    # Asked again after it was finished: it runs again under its id, and its report is replaced.
    connection.execute("DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'running')", (job.id,))
    at = to_ms(job.enqueued_at or datetime.now(UTC))
    labels = _joined(job.labels)
    row = (job.id, job.key, task, job.state.value, 0, job.error, job.episode_id, at, labels)
    try:
        connection.execute(f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    except sqlite3.IntegrityError as error:
        raise StoreError(f"job id {job.id} is already waiting or running under another key") from error
    return replace(job, attempts=0, enqueued_at=from_ms(at))


def _now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _boot() -> str:
    """Which boot of the machine this is; "" where the kernel does not say, so that leases then only expire by time."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
