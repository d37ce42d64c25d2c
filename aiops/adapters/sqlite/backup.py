"""Back-up and restore of the SQLite files of a house: one tar, taken while others write.

All files are of one moment: the write locks of all are held together for as long as it takes to begin a read of each, which is
milliseconds; the copying that follows disturbs nobody (WAL). So what is restored is what a power cut at that moment would have
left, which everything here withstands.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from aiops.adapters.sqlite.database import Database, Schema
from aiops.errors import DataError, Refused, StoreError

FORMAT = "aiops-backup/1"
MANIFEST = "manifest.json"
BUSY_S = 10.0  # how long a lock is waited for
_CHUNK = 1 << 20
LARGEST_MANIFEST = 1 << 24


def write(
    file: Path, databases: Mapping[str, Path], others: Mapping[str, Path], about: Mapping[str, str]
) -> dict[str, int]:
    """Writes `file`: name -> bytes of what is in it. What does not exist is left out; a file that is there is never overwritten.

    about: what the manifest tells beside the files. Raises StoreError, Refused."""
    if file.exists():
        raise Refused(f"{file} is there already: name another file")
    here = {name: path for name, path in databases.items() if path.exists()}
    if not here and not any(path.exists() for path in others.values()):
        raise StoreError(f"there is nothing to back up: {', '.join(map(str, databases.values()))} do not exist")
    part = file.with_name(f"{file.name}.part")
    try:
        with tempfile.TemporaryDirectory(prefix=".aiops-backup-", dir=file.parent) as folder:
            files = {name: Path(folder) / name for name in here}
            with _moment(here) as readers:
                for name, reader in readers.items():
                    _copy(reader, files[name])
            for number, (name, path) in enumerate(others.items()):
                if path.exists():  # copied, since who writes it puts another in its place at any moment
                    files[name] = Path(shutil.copyfile(path, Path(folder) / f"other-{number}"))
            sums = {name: _digest(path) for name, path in files.items()}
            _pack(part, files, {"format": FORMAT, **about, "files": sums})
        os.replace(part, file)  # noqa: PTH105 - as pathlib's, and beside fsync
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"can't write the back-up {file}: {error.strerror or error}") from error
    return {name: int(told["bytes"]) for name, told in sums.items()}


def read(
    file: Path,
    targets: Mapping[str, Path],
    schemas: Mapping[str, Schema],
    others: Callable[[str], Path | None] = lambda name: None,  # noqa: ARG005 - there are none
) -> dict[str, Any]:
    """Puts the files of a back-up where they belong; its manifest. Nothing is put anywhere unless all of it is sound.

    others: where a file belongs that `targets` does not name, if anywhere. Refused where any of them exists. DataError for what is
    no back-up, a damaged one, or one with a file that belongs nowhere; StoreError for files of a newer program, or that can't be
    written."""
    _vacant(targets.values())
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(tarfile.open(file, "r:"))
            manifest = _manifest(archive, file)
            folders: dict[Path, Path] = {}
            goes = {name: targets.get(name) or others(name) for name in manifest["files"]}
            if strange := [name for name, path in goes.items() if path is None]:
                raise DataError(f"{file} holds {strange[0]!r}, which this program does not know")
            put = {name: path for name, path in goes.items() if path}
            _vacant(put.values())
            for name, told in manifest["files"].items():
                place = put[name].parent
                if place not in folders:
                    place.mkdir(parents=True, exist_ok=True, mode=0o700)
                    made = stack.enter_context(tempfile.TemporaryDirectory(prefix=".aiops-restore-", dir=place))
                    folders[place] = Path(made)
                _take(archive, name, told, folders[place] / put[name].name, file)
                if name in schemas:
                    _sound(folders[place] / put[name].name, schemas[name])
            for path in put.values():
                os.link(folders[path.parent] / path.name, path)  # unlike a rename it never overwrites
        except (tarfile.TarError, KeyError, TypeError, ValueError, EOFError) as error:
            raise DataError(f"{file} is no back-up, or a damaged one: {error}") from error
        except OSError as error:
            raise StoreError(f"can't restore {file}: {error.strerror or error}") from error
    return manifest


def _vacant(places: Iterable[Path]) -> None:
    if there := sorted(str(path) for path in places if path.exists()):
        raise Refused(f"{', '.join(there)} would be overwritten: restore into an empty home directory, or move it away")


# ---------------------------------------------------------------- taking it


@contextmanager
def _moment(databases: Mapping[str, Path]) -> Iterator[dict[str, sqlite3.Connection]]:
    """A connection to each, in a read of one and the same moment. In the order given, which must be that of the house."""
    with ExitStack() as stack:
        try:
            readers = {name: stack.enter_context(closing(_connect(path))) for name, path in databases.items()}
            with ExitStack() as locks:
                for path in databases.values():
                    writer = locks.enter_context(closing(_connect(path)))  # closing it gives the lock back
                    writer.execute("BEGIN IMMEDIATE")
                for reader in readers.values():
                    reader.execute("BEGIN")
                    reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            yield readers
        except sqlite3.Error as error:
            raise StoreError(f"can't back up {', '.join(map(str, databases.values()))}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)


def _copy(reader: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        reader.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    reader.execute("COMMIT")


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _pack(part: Path, files: Mapping[str, Path], manifest: Mapping[str, Any]) -> None:
    """Readable by this user alone, and on the disk when it returns."""
    with open(part, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        with tarfile.open(fileobj=stream, mode="w:") as archive, tempfile.NamedTemporaryFile(dir=part.parent) as told:
            told.write(json.dumps(manifest, indent=1, sort_keys=True).encode())
            told.flush()
            archive.add(told.name, MANIFEST)
            for name, path in files.items():
                archive.add(path, name)
        stream.flush()
        os.fsync(stream.fileno())


# ---------------------------------------------------------------- putting it back


def _manifest(archive: tarfile.TarFile, file: Path) -> dict[str, Any]:
    member = archive.next()
    if member is None or member.name != MANIFEST or member.size > LARGEST_MANIFEST:
        raise DataError(f"{file} is no back-up: it does not begin with a {MANIFEST}")
    manifest = json.loads(cast(IO[bytes], archive.extractfile(member)).read())
    if manifest.get("format") != FORMAT:
        raise DataError(f"{file} has the format {manifest.get('format')!r}; this program reads {FORMAT}")
    return dict(manifest)


def _take(archive: tarfile.TarFile, name: str, told: Mapping[str, Any], target: Path, file: Path) -> None:
    member = archive.getmember(name)
    content = archive.extractfile(member)  # None for what is no plain file
    if content is None or member.size != told["bytes"]:
        raise DataError(f"{file} is damaged: {name} is not what its manifest says")
    with open(target, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        shutil.copyfileobj(content, out, _CHUNK)
        out.flush()
        os.fsync(out.fileno())
    if _digest(target)["sha256"] != told["sha256"]:
        raise DataError(f"{file} is damaged: {name} does not have the hash of its manifest")


def _sound(path: Path, schema: Schema) -> None:
    """Opens it as its program does, which refuses what is newer, and reads all of it."""
    database = Database(path, schema)
    try:
        if fault := database.check():
            raise DataError(f"the back-up's {path.name} is damaged: {fault}")
    finally:
        database.close()
