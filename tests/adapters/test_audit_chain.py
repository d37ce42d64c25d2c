"""The audit chain on SQLite: whatever is done to the file behind its back is found, and nothing that was accepted is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.adapters.sqlite import StoreDB, chain
from aiops.adapters.sqlite.database import Database, Schema
from aiops.adapters.sqlite.store import SCHEMA

ENTRIES = 10

# Appends as fast as it can, from several threads, and tells each entry that was accepted. Lines are written in one piece.
APPEND = """
import os, sys, threading
from aiops.adapters.sqlite import StoreDB
store = StoreDB(sys.argv[1])
def work(thread):
    for i in range(int(sys.argv[3])):
        store.audit("turn", {"who": sys.argv[2], "thread": thread, "i": i})
        os.write(1, f"{sys.argv[2]} {thread} {i}\\n".encode())
threads = [threading.Thread(target=work, args=(t,)) for t in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store.db"
    with contextlib.closing(StoreDB(path)) as store:
        for number in range(ENTRIES):
            store.audit("turn", {"i": number})
    return path


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archived") / "store.db"
    with contextlib.closing(StoreDB(path)) as store:
        for number in range(ENTRIES):
            store.audit("turn", {"i": number})
        store.audit_archive(4, {})
        store.audit("turn", {"i": ENTRIES})
    return path


@contextlib.contextmanager
def copy(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copy(path, folder))


def tampered(path: Path, *statements: tuple[str, tuple[object, ...]]) -> tuple[int, str]:
    with copy(path) as file:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            for statement, values in statements:
                connection.execute(statement, values)
        with contextlib.closing(StoreDB(file)) as store:
            return store.audit_verify()


NUMBER = st.integers(0, ENTRIES - 1)


@settings(max_examples=40)
@given(NUMBER, st.sampled_from(["at", "kind", "entry", "hash"]), st.data())
def test_any_edit_is_found_at_its_entry(whole: Path, number: int, column: str, data: st.DataObject) -> None:
    value: object = {
        "at": data.draw(st.integers(0, 2**60)),
        "kind": data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)),
        "entry": json.dumps({"i": data.draw(st.integers(100, 999))}),
        "hash": data.draw(st.binary(max_size=40)),
    }[column]
    index, wrong = tampered(whole, (f"UPDATE audit SET {column} = ? WHERE number = ?", (value, number)))
    assert wrong
    assert index == number


@settings(max_examples=25)
@given(st.sets(NUMBER, min_size=1))
def test_any_deletion_is_found_at_the_first(whole: Path, gone: set[int]) -> None:
    deletions = [("DELETE FROM audit WHERE number = ?", (number,)) for number in sorted(gone)]
    index, wrong = tampered(whole, *deletions)
    assert wrong
    assert index == min(gone)


@settings(max_examples=25)
@given(NUMBER, NUMBER)
def test_any_swap_is_found_at_the_first(whole: Path, one: int, other: int) -> None:
    move = "UPDATE audit SET number = ? WHERE number = ?"
    index, wrong = tampered(whole, (move, (99, one)), (move, (one, other)), (move, (other, 99)))
    assert (wrong == "") == (one == other)
    assert index == (ENTRIES if one == other else min(one, other))


@settings(max_examples=25)
@given(st.integers(0, ENTRIES), NUMBER)
def test_any_insertion_is_found(whole: Path, where: int, which: int) -> None:
    make_room = [
        ("UPDATE audit SET number = ? WHERE number = ?", (n + 1, n)) for n in range(ENTRIES - 1, where - 1, -1)
    ]
    source = which if which < where else which + 1
    insert = ("INSERT INTO audit SELECT ?, at, kind, entry, hash FROM audit WHERE number = ?", (where, source))
    for head in ([], [("UPDATE audit_head SET count = count + 1", ())]):
        _, wrong = tampered(whole, *make_room, insert, *head)
        assert wrong


@settings(max_examples=15)
@given(st.integers(0, ENTRIES - 1))
def test_a_cut_end_is_found(whole: Path, kept: int) -> None:
    index, wrong = tampered(whole, ("DELETE FROM audit WHERE number >= ?", (kept,)))
    assert wrong == f"entries {kept} to {ENTRIES - 1} were cut off"
    assert index == kept


def test_entries_that_vanish_without_a_checkpoint_are_missed(whole: Path, archived: Path) -> None:
    cut = ("DELETE FROM audit WHERE number < 3", ())
    begin = ("UPDATE audit_begin SET number = 3, hash = (SELECT hash FROM audit WHERE number = 2)", ())
    assert tampered(whole, begin, cut) == (
        3,
        "entry 3 can't be the first: no checkpoint says that those before are archived",
    )
    assert tampered(whole, cut) == (0, "entry 0 is missing")
    assert tampered(archived) == (ENTRIES + 2, "")
    further = ("DELETE FROM audit WHERE number < 6", ())
    moved = ("UPDATE audit_begin SET number = 6, hash = (SELECT hash FROM audit WHERE number = 5)", ())
    assert tampered(archived, moved, further)[0] == 6
    assert tampered(archived, further) == (4, "entry 4 is missing")
    assert tampered(archived, ("DELETE FROM audit_begin", ())) == (0, "the beginning of the chain is missing")
    forged = ("""UPDATE audit SET entry = '{"until": 4}' WHERE kind = 'checkpoint'""", ())
    assert tampered(archived, forged)[0] == ENTRIES


def test_a_store_of_before_there_were_archives_goes_on(tmp_path: Path) -> None:
    before = next(i for i, steps in enumerate(SCHEMA.migrations) if chain.MIGRATION[0] in steps)
    today, path = tmp_path / "today.db", tmp_path / "store.db"
    with contextlib.closing(StoreDB(today)) as store:
        store.audit("turn", {"i": 0})
    Database(path, Schema(SCHEMA.name, SCHEMA.migrations[:before])).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS today", (str(today),))
        connection.execute("DELETE FROM audit_head")
        for table in ("audit", "audit_head"):
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM today.{table}")
    with contextlib.closing(StoreDB(path)) as store:
        store.audit("turn", {"i": 1})
        assert store.audit_verify() == (2, "")


def append(path: Path, who: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", APPEND, str(path), who, str(count)], stdout=subprocess.PIPE)


def accepted(out: bytes) -> set[tuple[str, int, int]]:
    lines = [line.split() for line in out.decode().splitlines(keepends=True) if line.endswith("\n")]
    return {(who, int(thread), int(i)) for who, thread, i in lines}


def kept(path: Path) -> list[tuple[str, int, int]]:
    with contextlib.closing(StoreDB(path)) as store:
        count, wrong = store.audit_verify()
        assert wrong == ""
        entries = [each["entry"] for each in store.audit_entries()]
    assert len(entries) == count
    return [(e["who"], e["thread"], e["i"]) for e in entries]  # type: ignore[index]


def test_several_processes_extend_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    running = [append(path, f"p{n}", 25) for n in range(3)]
    told = set().union(*(accepted(each.communicate(timeout=120)[0]) for each in running))
    assert [each.returncode for each in running] == [0, 0, 0]
    assert len(told) == 3 * 4 * 25
    assert sorted(kept(path)) == sorted(told)


def test_a_killed_process_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    StoreDB(path).close()
    told: set[tuple[str, int, int]] = set()
    for life in range(5):
        running = append(path, f"life{life}", 100_000)
        assert running.stdout is not None
        first = running.stdout.readline()
        time.sleep(random.Random(life).random() * 0.3)
        os.kill(running.pid, signal.SIGKILL)
        told |= accepted(first + running.communicate(timeout=60)[0])
        assert told <= set(kept(path))
    assert len({who for who, _, _ in told}) == 5
