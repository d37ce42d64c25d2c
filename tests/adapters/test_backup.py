"""Back-ups: of one moment, whole or refused, and never over what is there."""

from __future__ import annotations

import json
import sqlite3
import tarfile
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops import app, settings
from aiops.adapters.sqlite import backup
from aiops.adapters.sqlite.database import Database, Schema
from aiops.errors import DataError, Refused, StoreError

COUNT = Schema("count", (("CREATE TABLE counted (n INTEGER PRIMARY KEY) STRICT",),))
NEWER = Schema("count", (*COUNT.migrations, ("CREATE TABLE more (n INTEGER) STRICT",)))
SCHEMAS = {"a.db": COUNT, "b.db": COUNT}


@pytest.fixture
def house(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / "home" / name for name in SCHEMAS}
    for path in paths.values():
        with closing(Database(path, COUNT)) as database:
            database.write(lambda c: c.execute("INSERT INTO counted VALUES (1)"))
    return paths


def empty(tmp_path: Path) -> dict[str, Path]:
    return {name: tmp_path / "other" / name for name in SCHEMAS}


def highest(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT max(n) FROM counted").fetchone()[0])


def about() -> dict[str, str]:
    return {"created": datetime.now(UTC).isoformat()}


def test_files_are_of_one_moment_while_others_write(house: dict[str, Path], tmp_path: Path) -> None:
    """`a` is always written before `b`, so that no moment has more in `b`, nor more than one more in `a`."""
    stop = threading.Event()

    def count() -> None:
        a, b = (Database(path, COUNT) for path in house.values())
        n = 1
        while not stop.is_set():
            n += 1
            for database in (a, b):
                database.write(lambda c, n=n: c.execute("INSERT INTO counted VALUES (?)", (n,)))
        a.close()
        b.close()

    writer = threading.Thread(target=count)
    writer.start()
    try:
        for i in range(5):
            backup.write(tmp_path / f"{i}.tar", house, {}, about())
    finally:
        stop.set()
        writer.join()
    seen = []
    for i in range(5):
        targets = {name: tmp_path / str(i) / name for name in SCHEMAS}
        backup.read(tmp_path / f"{i}.tar", targets, SCHEMAS)
        a, b = (highest(path) for path in targets.values())
        assert a - b in {0, 1}
        seen.append(a)
    assert sorted(seen) == seen
    assert seen[-1] > seen[0]


def test_nothing_is_overwritten(house: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "b.tar"
    backup.write(file, house, {}, about())
    with pytest.raises(Refused, match="is there already"):
        backup.write(file, house, {}, about())
    with pytest.raises(Refused, match=r"a\.db.* would be overwritten"):
        backup.read(file, house, SCHEMAS)
    one = empty(tmp_path)
    one["b.db"].parent.mkdir()
    one["b.db"].write_text("mine")
    with pytest.raises(Refused):
        backup.read(file, one, SCHEMAS)
    assert not one["a.db"].exists()
    assert one["b.db"].read_text() == "mine"


def test_only_this_user_can_read_it(house: dict[str, Path], tmp_path: Path) -> None:
    backup.write(tmp_path / "b.tar", house, {}, about())
    assert (tmp_path / "b.tar").stat().st_mode & 0o077 == 0
    targets = empty(tmp_path)
    backup.read(tmp_path / "b.tar", targets, SCHEMAS)
    assert all(path.stat().st_mode & 0o077 == 0 for path in targets.values())


def test_other_files_travel_along(house: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "learnt").write_bytes(b"what was learnt")
    written = backup.write(
        tmp_path / "b.tar", house, {"learnt": tmp_path / "learnt", "none": tmp_path / "none"}, about()
    )
    assert set(written) == {"a.db", "b.db", "learnt"}
    backup.read(tmp_path / "b.tar", empty(tmp_path) | {"learnt": tmp_path / "new" / "learnt"}, SCHEMAS)
    assert (tmp_path / "new" / "learnt").read_bytes() == b"what was learnt"


def test_a_house_without_files_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to back up"):
        backup.write(tmp_path / "b.tar", empty(tmp_path), {}, about())


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_damaged_one_puts_nothing_anywhere(house: dict[str, Path], tmp_path: Path, at: float) -> None:
    file, targets = tmp_path / "b.tar", empty(tmp_path)
    backup.write(file, house, {}, about())
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 0xFF
    file.write_bytes(bytes(data))
    try:
        backup.read(file, targets, SCHEMAS)
    except DataError:
        assert not any(path.exists() for path in targets.values())
    else:  # the byte was padding
        assert all(highest(path) == 1 for path in targets.values())


@pytest.mark.parametrize("part", [0.0, 0.02, 0.3, 0.5])
def test_one_that_was_cut_off_puts_nothing_anywhere(house: dict[str, Path], tmp_path: Path, part: float) -> None:
    file, targets = tmp_path / "b.tar", empty(tmp_path)
    backup.write(file, house, {}, about())
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DataError):
        backup.read(file, targets, SCHEMAS)
    assert not any(path.exists() for path in targets.values())


def forged(file: Path, names: dict[str, bytes], link: str = "") -> None:
    with tarfile.open(file, "w:") as archive:
        told = {name: {"bytes": len(data), "sha256": ""} for name, data in names.items()}
        manifest = file.with_name("m.json")
        manifest.write_text(json.dumps({"format": backup.FORMAT, "files": told}))
        archive.add(manifest, backup.MANIFEST)
        for name, data in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if link:
                member.type, member.linkname, member.size = tarfile.SYMTYPE, link, 0
            file.with_name("content").write_bytes(data)
            with file.with_name("content").open("rb") as content:
                archive.addfile(member, content)


def test_one_that_somebody_made_up_writes_nowhere(tmp_path: Path) -> None:
    targets = empty(tmp_path)
    for name, link in (("../../evil", ""), ("/etc/evil", ""), ("a.db", "/etc/passwd"), ("a.db", "")):
        forged(tmp_path / "f.tar", {name: b"evil"}, link)
        with pytest.raises(DataError):
            backup.read(tmp_path / "f.tar", targets, SCHEMAS)
    assert not any(path.exists() for path in targets.values())


def test_one_of_a_newer_program_is_refused(house: dict[str, Path], tmp_path: Path) -> None:
    Database(house["b.db"], NEWER).close()
    backup.write(tmp_path / "b.tar", house, {}, about())
    targets = empty(tmp_path)
    with pytest.raises(StoreError, match="newer"):
        backup.read(tmp_path / "b.tar", targets, SCHEMAS)
    assert not any(path.exists() for path in targets.values())


def test_a_file_that_is_replaced_meanwhile_travels_whole(
    house: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt, pack = tmp_path / "learnt", backup._pack
    learnt.write_bytes(b"old")

    def meanwhile(*args: Any) -> None:
        learnt.with_suffix(".new").write_bytes(b"newer")
        learnt.with_suffix(".new").replace(learnt)
        pack(*args)

    monkeypatch.setattr(backup, "_pack", meanwhile)
    backup.write(tmp_path / "b.tar", house, {"learnt": learnt}, about())
    targets = empty(tmp_path) | {"learnt": tmp_path / "other" / "learnt"}
    backup.read(tmp_path / "b.tar", targets, SCHEMAS)
    assert targets["learnt"].read_bytes() == b"old"


def test_all_that_a_home_keeps_travels(tmp_path: Path) -> None:
    home, other = (settings.load({"model.url": ""}, str(tmp_path / name)) for name in ("home", "other"))
    app.build(home).close()
    act = f"executed/{'0af3' * 16}"
    kept = {
        "watch.npz": b"w",
        "watch-1-of-2.npz": b"1",
        "watch-12-of-12.npz": b"12",
        act: b"{}",
        "stopped": b"a storm\n",
    }
    left = ("watch.npz.aside-1", "watch.lock", "watch-1-of-2.npz.part", "config.toml", f"{act}.part")
    (home.home / "executed").mkdir()
    for name in (*kept, *left):
        (home.home / name).write_bytes(kept.get(name, b"not this"))
    assert kept.keys() < app.backup(home, tmp_path / "b.tar").keys()
    app.restore(other, tmp_path / "b.tar")
    assert {name: (other.home / name).read_bytes() for name in kept} == kept
    assert not any((other.home / name).exists() for name in left)
    app.build(other).close()
    for path in other.home.glob("*.db*"):
        path.unlink()
    with pytest.raises(Refused, match=r"watch-1-of-2\.npz"):
        app.restore(other, tmp_path / "b.tar")


def test_a_shard_s_home_of_its_own_has_a_back_up(tmp_path: Path) -> None:
    """It holds what that shard has learnt, and no store."""
    home, other = (settings.load({}, str(tmp_path / name)) for name in ("home", "other"))
    home.home.mkdir()
    (home.home / "watch-2-of-3.npz").write_bytes(b"what was learnt")
    assert app.backup(home, tmp_path / "b.tar") == {"watch-2-of-3.npz": 15}
    app.restore(other, tmp_path / "b.tar")
    assert (other.home / "watch-2-of-3.npz").read_bytes() == b"what was learnt"
