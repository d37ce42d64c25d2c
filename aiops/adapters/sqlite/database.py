"""One SQLite file: opened safely, migrated forward, written in groups, and failing in words.

Durability: WAL with `synchronous=FULL`, so what `write` has returned from survives `kill -9` and a power cut.

Group commit: an fsync costs milliseconds, a row microseconds. Whoever arrives while a commit is under way waits for the
lock, and the first to get it commits the work of all who wait: one fsync for the group, without a timer or a thread.

Readers have a connection of their own and never wait for an fsync. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from aiops.domain import from_ns, to_ns
from aiops.errors import DataError, StoreError

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

STRICT_TABLES_SINCE = (3, 37, 0)
NS_PER_MS = 1_000_000

_WORDS = {
    "SQLITE_FULL": "no space is left on the device; nothing was stored",
    "SQLITE_READONLY": "is read-only for this user",
    "SQLITE_CANTOPEN": "can't be opened: check the directory and its permissions",
    "SQLITE_PERM": "access is denied",
    "SQLITE_NOTADB": "is no SQLite file, or it is damaged: restore a back-up, or move it away to start anew",
    "SQLITE_CORRUPT": "is damaged: restore a back-up, or move it away to start anew",
    "SQLITE_BUSY": "is held locked by another process",
    "SQLITE_LOCKED": "is held locked by another process",
    "SQLITE_IOERR": "can't be read or written: the device reports an error, or is full",
    "SQLITE_TOOBIG": "a value is too large to store",
    "SQLITE_NOMEM": "out of memory",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file holds. `migrations[i]` leads from version i to i + 1; a released one is never edited, only followed."""

    name: str
    migrations: tuple[tuple[str, ...], ...]

    @property
    def version(self) -> int:
        return len(self.migrations)

    @property
    def application_id(self) -> int:
        """Written into the file's header, so that a queue is not opened as a graph."""
        return zlib.crc32(f"aiops {self.name}".encode()) & 0x7FFF_FFFF


class _Work(Generic[T]):
    """One caller's share of a group commit."""

    __slots__ = ("error", "finished", "result", "run")

    def __init__(self, run: Callable[[sqlite3.Connection], T]) -> None:
        self.run = run
        self.finished = False
        self.result: T | None = None
        self.error: BaseException | None = None


class Database:
    """A file at `path` (":memory:" = none, gone when closed) with `schema`. Thread-safe; not to be carried across `fork`.

    Raises StoreError, naming the file, for whatever keeps it from being used; `busy_s` is the longest wait for another
    process that holds the write lock.
    """

    def __init__(self, path: Path | str, schema: Schema, busy_s: float = 5.0) -> None:
        self.path = Path(path)
        self.schema = schema
        self._busy_s = busy_s
        self._closed = False
        self._waiting: deque[_Work[Any]] = deque()
        in_memory = str(path) == ":memory:"
        self._write_lock = threading.RLock()
        self._read_lock = self._write_lock if in_memory else threading.RLock()
        if sqlite3.sqlite_version_info < STRICT_TABLES_SINCE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        if not in_memory:
            self._make_file()
        self._writer = self._connect()
        try:
            self._migrate()
            # What is in memory belongs to its one connection; readers then wait for the writer.
            self._reader = self._writer if in_memory else self._connect()
        except BaseException:
            self._writer.close()
            raise

    # ------------------------------------------------------------ use

    def write(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `run` in a transaction shared with whoever else waits; durable on return.

        What `run` raises undoes its own part alone; a failing file fails the whole group.
        """
        work = _Work(run)
        self._waiting.append(work)
        with self._write_lock:
            if not work.finished:
                self._commit_waiting()
        if work.error is not None:
            raise work.error
        return work.result  # type: ignore[return-value]  # finished without error: the result is there

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of one query, as of the last commit."""
        with self._read_lock, self._in_words():
            return self._reader.execute(sql, parameters).fetchall()

    def check(self) -> str:
        """What is wrong with any page or index, all of them read; "" when the file is sound."""
        try:
            faults = [str(row[0]) for row in self.read("PRAGMA integrity_check(5)")]
        except StoreError as error:  # damaged so that not even the check can walk it
            return str(error)
        return "" if faults == ["ok"] else "; ".join(faults)

    def ping(self) -> str:
        """What answers: product, schema and file."""
        self.read("SELECT count(*) FROM sqlite_schema")
        return f"SQLite {sqlite3.sqlite_version}, {self.schema.name} schema {self.schema.version}, {self.path}"

    def close(self) -> None:
        """Twice does no harm; any use afterwards is a StoreError."""
        with self._write_lock, self._read_lock:
            if not self._closed:
                self._closed = True
                self._reader.close()
                self._writer.close()

    # ------------------------------------------------------------ group commit

    def _commit_waiting(self) -> None:
        group: list[_Work[Any]] = []
        while self._waiting:
            group.append(self._waiting.popleft())
        try:
            with self._in_words():
                self._commit(group)
        except BaseException as error:
            for work in group:
                # Each thread raises an exception of its own: a shared one would mix their tracebacks.
                work.error = StoreError(str(error) if isinstance(error, StoreError) else f"{self.path}: interrupted")
            if not isinstance(error, StoreError):
                raise
        finally:
            for work in group:
                work.finished = True

    def _commit(self, group: list[_Work[Any]]) -> None:
        writer = self._writer
        try:
            writer.execute("BEGIN IMMEDIATE")
            for work in group:
                self._attempt(work)
            writer.execute("COMMIT")
        finally:
            # After a failed COMMIT, and only if SQLite has not rolled back by itself.
            if not self._closed and writer.in_transaction:
                writer.execute("ROLLBACK")

    def _attempt(self, work: _Work[Any]) -> None:
        self._writer.execute("SAVEPOINT work")
        try:
            work.result = work.run(self._writer)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - raised again in the thread whose work it is
            work.error = _unstorable(self.path) if isinstance(error, UnicodeEncodeError) else error
            self._writer.execute("ROLLBACK TO work")
        self._writer.execute("RELEASE work")

    # ------------------------------------------------------------ opening

    def _make_file(self) -> None:
        """Readable by this user alone: reports and sessions hold what was said about production."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"{self.path}: can't be opened for writing: {error.strerror}") from error

    def _connect(self) -> sqlite3.Connection:
        with self._in_words():
            connection = sqlite3.connect(
                self.path, timeout=self._busy_s, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA foreign_keys=ON")
                connection.execute("PRAGMA trusted_schema=OFF")
                # Pages of the log (16 MB) before they are written into the file: under a storm the same pages change over and
                # over. What it grows beyond that is given back to the file system.
                connection.execute("PRAGMA wal_autocheckpoint=4000")
                connection.execute("PRAGMA journal_size_limit=16777216")
            except BaseException:
                connection.close()
                raise
        return connection

    def _migrate(self) -> None:
        with self._in_words():
            if self._found() == self.schema.version:
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                # Asked again under the lock: two processes may start at the same moment.
                for number in range(self._found(), self.schema.version):
                    for statement in self.schema.migrations[number]:
                        self._writer.execute(statement)
                self._writer.execute(f"PRAGMA user_version={self.schema.version}")
                self._writer.execute(f"PRAGMA application_id={self.schema.application_id}")
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def _found(self) -> int:
        """The version in the file; StoreError when it is not ours to open."""
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        (owner,) = self._writer.execute("PRAGMA application_id").fetchone()
        (tables,) = self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and owner != self.schema.application_id:
            raise StoreError(f"{self.path}: is a database, but not an aiops {self.schema.name}: give another path")
        if version > self.schema.version:
            raise StoreError(
                f"{self.path}: has {self.schema.name} schema {version}; this program knows up to {self.schema.version}: "
                "use the newer aiops that wrote it, or another home directory"
            )
        return int(version)

    # ------------------------------------------------------------ errors

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turns every way the file can fail into StoreError; a misuse of the library stays what it is, a defect."""
        if self._closed:
            raise StoreError(f"{self.path}: is closed")
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except (sqlite3.Error, sqlite3.Warning) as error:
            name = getattr(error, "sqlite_errorname", "")
            words = next((text for code, text in _WORDS.items() if name.startswith(code)), str(error))
            raise StoreError(f"{self.path}: {words}" + (f" ({name})" if name else "")) from error
        except UnicodeEncodeError as error:
            raise _unstorable(self.path) from error


def _unstorable(path: Path) -> DataError:
    return DataError(f"{path}: text with half a surrogate pair can't be stored or looked up")


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down."""
    return to_ns(moment) // NS_PER_MS


def from_ms(time_ms: int) -> datetime:
    """Aware UTC."""
    return from_ns(time_ms * NS_PER_MS)
