"""How the SQLite files fail, migrate and share a commit; that they keep their ports' word is in tests/contracts."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts.queues import decode, encode, job

from aiops.adapters.sqlite import ChangeDB, GraphDB, QueueDB, StoreDB, queue
from aiops.adapters.sqlite.database import Database, Schema
from aiops.domain import Call, Intent, JobState, Task
from aiops.errors import DataError, StoreError

V1 = Schema("notes", (("CREATE TABLE notes (text TEXT NOT NULL) STRICT",),))
V2 = Schema("notes", (*V1.migrations, ("ALTER TABLE notes ADD COLUMN at INTEGER", "UPDATE notes SET at = 7")))

STORES: dict[str, Callable[[Path], Any]] = {
    "graph": GraphDB,
    "queue": lambda path: QueueDB(path, encode, decode),
    "store": StoreDB,
    "changes": ChangeDB,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest) -> Callable[[Path], Any]:
    return STORES[request.param]


@contextlib.contextmanager
def database(path: Path, schema: Schema = V1, **options: Any) -> Iterator[Database]:
    with contextlib.closing(Database(path, schema, **options)) as found:
        yield found


def add(text: str) -> Callable[[sqlite3.Connection], None]:
    def run(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))

    return run


def texts(db: Database) -> list[str]:
    return [text for (text,) in db.read("SELECT text FROM notes ORDER BY rowid")]


def tamper(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# ---------------------------------------------------------------- opening


def test_what_is_promised_durable_is_synced(file: Path):
    with database(file) as db:
        assert db.read("PRAGMA journal_mode") == [("wal",)]
        assert db.write(lambda connection: connection.execute("PRAGMA synchronous").fetchone()) == (2,)


def test_only_its_owner_can_read_it(tmp_path: Path):
    path = tmp_path / "new" / "home" / "a.db"
    with database(path) as db:
        db.write(add("x"))
        for each in path.parent.iterdir():
            assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_migrates_forward(file: Path):
    with database(file) as db:
        db.write(add("x"))
    with database(file, V2) as db:
        assert db.read("SELECT text, at FROM notes") == [("x", 7)]
        assert "schema 2" in db.ping()


def test_a_migration_that_fails_changes_nothing(file: Path):
    with database(file) as db:
        db.write(add("x"))
    broken = Schema("notes", (*V1.migrations, ("ALTER TABLE notes ADD COLUMN at INTEGER", "UPDATE absent SET at = 7")))
    with pytest.raises(StoreError, match="no such table"):
        Database(file, broken)
    with database(file) as db:
        assert texts(db) == ["x"]


def test_a_newer_file_is_refused_with_its_version(file: Path, opener: Callable[[Path], Any]):
    opener(file).close()
    tamper(file, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"a\.db.*99"):
        opener(file)


@pytest.mark.parametrize("other", STORES)
def test_a_file_of_another_kind_is_refused(file: Path, other: str, opener: Callable[[Path], Any]):
    STORES[other](file).close()
    if STORES[other] is opener:
        opener(file).close()
    else:
        with pytest.raises(StoreError, match=r"a\.db"):
            opener(file)


def test_a_database_of_somebody_else_is_left_alone(file: Path):
    tamper(file, "CREATE TABLE theirs (a)")
    with pytest.raises(StoreError, match="not an aiops notes"):
        Database(file, V1)
    assert tables(file) == ["theirs"]


def tables(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\x00" + b"\xff" * 4080, os.urandom(100)])
def test_a_file_that_is_no_database(file: Path, opener: Callable[[Path], Any], content: bytes):
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.db.*(damaged|not an aiops)") as caught:
        opener(file)
    assert file.read_bytes() == content
    assert isinstance(caught.value.__cause__, sqlite3.Error | None)


def test_a_damaged_page_is_told(file: Path):
    with database(file) as db:
        db.write(lambda c: c.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 500,)] * 200))
    content = bytearray(file.read_bytes())
    content[4096 * 2 : 4096 * 6] = os.urandom(4096 * 4)
    file.write_bytes(content)
    with database(file) as db:
        assert db.check()
        with pytest.raises(StoreError, match="damaged"):
            texts(db)


def test_a_sound_file_is_told(file: Path, opener: Callable[[Path], Any]):
    with contextlib.closing(opener(file)) as found:
        assert found.check() == ""
        assert str(file) in found.ping(5)


@pytest.mark.parametrize("path", ["/proc/aiops/a.db", "/dev/null/a.db", "/proc/self/fd"])
def test_a_place_where_nothing_can_be_stored(path: str, opener: Callable[[Path], Any]):
    with pytest.raises(StoreError, match=path):
        opener(Path(path))


@pytest.fixture
def nobody() -> Iterator[int]:
    """Not root for a while: root may write anywhere."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    yield os.geteuid()
    os.seteuid(mine)


def test_a_directory_that_is_read_only(nobody: int, opener: Callable[[Path], Any]):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o500)
        with pytest.raises(StoreError, match="Permission denied"):
            opener(Path(folder) / "a.db")
        assert Path(folder).stat().st_uid == nobody


# ---------------------------------------------------------------- writing


def test_what_raises_is_undone_alone(file: Path):
    with database(file) as db:

        def fail(connection: sqlite3.Connection) -> None:
            add("lost")(connection)
            raise KeyError("mine")

        db.write(add("a"))
        with pytest.raises(KeyError, match="mine"):
            db.write(fail)
        db.write(add("b"))
        assert texts(db) == ["a", "b"]


def test_those_who_wait_share_the_next_commit(file: Path):
    """While one writer holds the lock the others line up; all but the one that fails are committed, in order."""
    with database(file) as db:
        commits: list[str] = []
        db._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        entered, release = threading.Event(), threading.Event()
        outcomes: dict[int, BaseException | None] = {}

        def slow(connection: sqlite3.Connection) -> None:
            entered.set()
            assert release.wait(60)
            add("slow")(connection)

        def write(number: int) -> None:
            try:
                db.write(add(f"{number}" if number != 3 else "\ud800"))
                outcomes[number] = None
            except DataError as error:
                outcomes[number] = error

        first = threading.Thread(target=db.write, args=(slow,))
        first.start()
        assert entered.wait(60)
        threads = []
        for number in range(6):
            threads.append(threading.Thread(target=write, args=(number,)))
            threads[-1].start()
            while len(db._waiting) <= number:
                pass
        release.set()
        for thread in [first, *threads]:
            thread.join()
        assert texts(db) == ["slow", "0", "1", "2", "4", "5"]
        assert len(commits) == 2
        assert [number for number, error in outcomes.items() if error] == [3]


def test_readers_do_not_wait_for_a_writer(file: Path):
    with database(file) as db:
        db.write(add("before"))
        assert db.write(lambda c: (add("during")(c), texts(db))[1]) == ["before"]
        assert texts(db) == ["before", "during"]


def test_a_lock_held_by_another_process_is_told(file: Path):
    with (
        database(file, busy_s=0.05) as db,
        contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"a\.db: is held locked by another process"):
            db.write(add("x"))
        other.execute("ROLLBACK")
        db.write(add("x"))
        assert texts(db) == ["x"]


def test_a_full_database_stores_nothing_and_recovers(file: Path):
    with database(file) as db:
        db.write(add("before"))
        (pages,) = db._writer.execute("PRAGMA page_count").fetchone()
        db._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="no space is left"):
            db.write(lambda c: (add("half")(c), add("x" * 100_000)(c)))
        assert texts(db) == ["before"]
        db._writer.execute("PRAGMA max_page_count = 100000")
        db.write(add("x" * 100_000))
        assert db.check() == ""


def test_a_disk_that_refuses_writes_stores_nothing_and_recovers(file: Path):
    """In a process of its own, whose file size is limited by the kernel for a while."""
    script = f"""
import resource
from aiops.adapters.sqlite import GraphDB
from aiops.domain import Call
from aiops.errors import StoreError

graph = GraphDB({str(file)!r})
calls = [Call(f"caller {{i}}", f"callee {{i}}", "traces") for i in range(20_000)]
graph.upsert(calls[:1])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    graph.upsert(calls)
except StoreError as error:
    print(error)
assert tuple(graph.calls()) == tuple(calls[:1])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
graph.upsert(calls)
assert len(graph.calls()) == 20_000
assert graph.check() == ""
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout
    assert "Traceback" not in done.stderr


def test_closed_means_closed(file: Path):
    db = Database(file, V1)
    db.close()
    db.close()
    with pytest.raises(StoreError, match=r"a\.db: is closed"):
        db.write(add("x"))
    with pytest.raises(StoreError, match=r"a\.db: is closed"):
        texts(db)


def test_a_copy_of_a_closed_file_is_a_back_up(tmp_path: Path):
    with contextlib.closing(GraphDB(tmp_path / "a.db")) as graph:
        graph.upsert([Call("a", "b", "traces")])
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    with contextlib.closing(GraphDB(tmp_path / "b.db")) as graph:
        assert tuple(graph.calls()) == (Call("a", "b", "traces"),)


def test_in_memory_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: Callable[..., Any]):
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(opener(":memory:")) as found:
        assert found.ping(5)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- queue


def test_claiming_and_counting_use_their_partial_indexes(file: Path):
    with contextlib.closing(QueueDB(file, encode, decode)) as queue:
        statements: list[str] = []
        queue._db._writer.set_trace_callback(statements.append)
        queue._db._reader.set_trace_callback(statements.append)
        queue.put([job("a"), job("a")])
        queue.claim(0, "worker")
        queue.reclaim()
        asked = [each for each in statements if each.lstrip().startswith(("SELECT", "UPDATE"))]
        assert len(asked) >= 5
        for statement in asked:
            plan = " ".join(row[-1] for row in queue._db._reader.execute(f"EXPLAIN QUERY PLAN {statement}"))
            assert plan.count("SCAN jobs") == plan.count("SCAN jobs USING INDEX")


def test_a_task_that_cannot_be_read_is_failed_and_the_next_is_taken(file: Path):
    def forgetful(text: bytes) -> Task:
        task = decode(text)
        if task.question == "lost":
            raise ValueError("no such question")
        return task

    with contextlib.closing(QueueDB(file, encode, decode)) as queue:
        queue.put([job("a", "lost"), job("b")])
    with contextlib.closing(QueueDB(file, encode, forgetful)) as queue:
        claimed = queue.claim(60, "worker")
        assert claimed is not None
        assert claimed.key == "b"
        with pytest.raises(StoreError, match="no such question"):
            queue.get(job("a").id)
    with contextlib.closing(QueueDB(file, encode, decode)) as queue:
        lost = queue.get(job("a").id)
        assert lost is not None
        assert (lost.state, lost.task) == (JobState.FAILED, Task("diagnose_it", Intent.DIAGNOSE, question="lost"))
        assert "no such question" in lost.error


def test_a_queue_of_the_first_form_goes_on(file: Path):
    first = Schema(queue.SCHEMA.name, queue.SCHEMA.migrations[:1])
    with contextlib.closing(Database(file, first)) as database:
        for trigger in ("put", "moved", "removed"):
            database.write(lambda connection, name=trigger: connection.execute(f"DROP TRIGGER {name}"))
        database.write(lambda connection: connection.execute("DROP TABLE depth"))
        row = ("a" * 16, "key", encode(job("key").task), "queued", 0, "", "", 0)
        columns = "id, key, task, state, attempts, error, episode_id, enqueued_at"
        sql = f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})"
        database.write(lambda connection: connection.execute(sql, row))
    with contextlib.closing(QueueDB(file, encode, decode)) as opened:
        assert opened.depth() == 1
        claimed = opened.claim(30, "w")
        assert claimed is not None
        assert claimed.id == "a" * 16
        assert opened.depth() == 0


def test_a_restart_of_the_machine_ends_every_lease(file: Path):
    with contextlib.closing(QueueDB(file, encode, decode)) as queue:
        queue.put([job("a")])
        queue.claim(10_000, "worker")
        assert queue.reclaim() == 0
        queue._boot = "the next"
        assert queue.reclaim() == 1


# ---------------------------------------------------------------- audit


@pytest.mark.parametrize(
    ("statements", "verdict"),
    [
        (["UPDATE audit SET entry = '{\"i\":9}' WHERE number = 3"], (3, "changed")),
        (["UPDATE audit SET kind = 'approval' WHERE number = 0"], (0, "changed")),
        (["UPDATE audit SET at = at + 1 WHERE number = 9"], (9, "changed")),
        (["DELETE FROM audit WHERE number = 4"], (4, "missing")),
        (
            ["DELETE FROM audit WHERE number = 4", "UPDATE audit SET number = number - 1 WHERE number > 4"],
            (4, "changed"),
        ),
        (
            [
                "UPDATE audit SET number = 100 WHERE number = 5",
                "UPDATE audit SET number = 5 WHERE number = 6",
                "UPDATE audit SET number = 6 WHERE number = 100",
            ],
            (5, "moved"),
        ),
        (["DELETE FROM audit WHERE number >= 8"], (8, "cut off")),
        (["DELETE FROM audit"], (0, "cut off")),
        (["DELETE FROM audit WHERE number = 0"], (0, "missing")),
        (["INSERT INTO audit SELECT -1, at, kind, entry, hash FROM audit WHERE number = 0"], (0, "missing")),
        (["INSERT INTO audit SELECT 10, at, kind, entry, hash FROM audit WHERE number = 9"], (10, "behind the end")),
        (["UPDATE audit_head SET count = 9", "DELETE FROM audit WHERE number = 9"], (8, "contradicts")),
        (["UPDATE audit_head SET hash = zeroblob(32)"], (9, "contradicts")),
        (["DELETE FROM audit_head"], (0, "head")),
        (["UPDATE audit SET hash = zeroblob(32) WHERE number = 2"], (2, "changed")),
    ],
)
def test_a_broken_chain_is_told_at_its_first_bad_entry(file: Path, statements: list[str], verdict: tuple[int, str]):
    with contextlib.closing(StoreDB(file)) as store:
        for number in range(10):
            store.audit("turn", {"i": number})
    tamper(file, *statements)
    with contextlib.closing(StoreDB(file)) as store:
        index, what = store.audit_verify()
    assert index == verdict[0]
    assert verdict[1] in what
