"""`aiops audit`: who asked what, and proof that the record of it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.ops import Ops
    from aiops.schema.audit import Head, Place, Walk
    from aiops.settings import Settings

HEAD = ".head.json"  # behind the name of an exported file
UNSEEN_END = "no head stands beside it: entries that were cut off its end would not be missed"


@click.group()
def audit() -> None:
    """Check and export the audit log."""


@audit.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option("--head", "head_file", metavar="HEAD", type=click.Path(path_type=Path), help="Where it must end, as an export told (default: FILE.head.json).")  # fmt: skip
@click.option("--key", metavar="PEM", type=click.Path(path_type=Path), help="Key that must have signed the head (default: stores.audit_key_file).")  # fmt: skip
@common.home
def verify(files: tuple[Path, ...], head_file: Path | None, key: Path | None, home: str | None) -> int:
    """Check that no entry was edited, removed or moved.

    Without FILE: the log of this installation; HEAD then shows whether what was exported earlier is still its beginning. With
    FILE: exports, offline, each going on where the one before ends. The exit code is 5 when something is wrong."""
    if head_file and len(files) > 1:
        raise click.UsageError("--head goes with one FILE or none")
    settings = common.config(home)
    told = _files(files, head_file, key, settings) if files else _live(head_file, key, settings, home)
    common.put("\n".join(told), None)
    return 0


@audit.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file, and beside it its head, instead of stdout.")  # fmt: skip
@click.option("--archive", type=common.Duration(), metavar="DURATION", help="Only what is older than that; once it is in FILE, the log forgets it.")  # fmt: skip
@common.home
def export(output: Path | None, archive: timedelta | None, home: str | None) -> int:
    """Print every entry, one JSON object a line, oldest first.

    The head says where the export ends, and is signed when stores.audit_key_file is set. Keep it where nobody who could edit
    the log can reach it. What is archived is gone from the log, whose chain goes on behind a checkpoint."""
    from aiops.schema.audit import line

    if archive and not output:
        raise click.UsageError("--archive needs -o FILE")
    with common.connect(home) as ops:
        if output is None:
            for told in ops.store.audit_entries():
                common.put(line(told).decode().removesuffix("\n"), None)
            return 0
        _export(ops, output, archive, common.config(home))
    return 0


# ---------------------------------------------------------------- out


def _export(ops: Ops, output: Path, archive: timedelta | None, settings: Settings) -> None:
    from aiops import app
    from aiops.errors import NotFound, StoreError, UsageError

    signer = app.signer(settings)
    count, wrong = ops.store.audit_verify()
    if wrong:
        raise StoreError(f"the audit log does not hold, so that it is not exported: {wrong}")
    before = datetime.now(UTC) - archive if archive else None
    try:
        with output.open("xb") as file:
            begin, end, digest = _written(ops.store.audit_entries(until=count), before, file)
    except FileExistsError as error:
        raise UsageError(f"{output} is there already; it is left as it is") from error
    except OSError as error:
        raise UsageError(f"can't write {output}: {error.strerror}") from error
    if archive and begin == end:
        output.unlink()
        raise NotFound("the audit log has no entry as old as that")
    head = _signed(begin, end, signer)
    _durably(output.with_name(output.name + HEAD), head.dump().encode())
    _sync(output.parent)
    if archive:
        ops.store.audit_archive(end.number, {"file": output.name, "sha256": digest, "signed_by": head.key})
    told = "archived" if archive else "exported"
    common.note(
        f"{told} {end.number - begin.number} entries; head {end.hash.hex()}, {_by(head)}, in {output.name}{HEAD}"
    )


def _written(entries: Iterator[Mapping[str, Any]], before: datetime | None, file: Any) -> tuple[Place, Place, str]:
    """Writes entries made before `before`: where they begin, where they end, and the file's SHA-256."""
    from aiops.schema.audit import Place, line

    digest = hashlib.sha256()
    begin = end = Place()
    first = True
    for told in entries:
        if first:
            begin = end = Place(told["number"], bytes.fromhex(told["previous"]))
            first = False
        if before and datetime.fromisoformat(told["at"]) >= before:
            break
        raw = line(told)
        digest.update(raw)
        file.write(raw)
        end = Place(told["number"] + 1, bytes.fromhex(told["hash"]))
    file.flush()
    os.fsync(file.fileno())
    return begin, end, digest.hexdigest()


def _signed(begin: Place, end: Place, signer: Any) -> Head:
    import dataclasses

    from aiops.schema.audit import Head

    head = Head(begin, end, datetime.now(UTC).isoformat(timespec="milliseconds"), signer.key_id if signer else "")
    return dataclasses.replace(head, signature=signer.sign(head.signed())) if signer else head


def _durably(path: Path, data: bytes) -> None:
    from aiops.errors import UsageError

    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from error


def _sync(folder: Path) -> None:
    """So that names survive a power cut as well; some file systems can't."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _by(head: Head) -> str:
    return f"signed by {head.key}" if head.key else "not signed"


# ---------------------------------------------------------------- check


def _live(head_file: Path | None, key: Path | None, settings: Settings, home: str | None) -> list[str]:
    head = _trusted(_head(head_file), str(head_file), key, settings) if head_file else None
    with common.connect(home) as ops:
        count, wrong = ops.store.audit_verify()
        last = ops.store.audit_head()[1]
        if head and not wrong:
            wrong = _beginning(ops, head, count)
    if wrong:
        raise _broken("the audit log", wrong)
    return [f"{count} entries hold; head {last}"]


def _beginning(ops: Ops, head: Head, count: int) -> str:
    """What keeps the log from going on where the head ends; "" when it does."""
    number = head.end.number
    if count < number:
        return f"entries {count} to {number - 1}, which the head tells of, were cut off"
    found = [told["hash"] for told in ops.store.audit_entries(number - 1, number)] if number else []
    later = [told["previous"] for told in ops.store.audit_entries(number, number + 1)]
    if (found or later or [head.end.hash.hex()])[0] == head.end.hash.hex():
        return ""
    return f"entry {number - 1} has another hash than the head tells: the chain was rewritten"


def _files(files: tuple[Path, ...], head_file: Path | None, key: Path | None, settings: Settings) -> list[str]:
    told, end = [], None
    for file in files:
        where = head_file or file.with_name(file.name + HEAD)
        head = _trusted(_head(where), str(where), key, settings) if head_file or where.exists() else None
        found = _checked(file, head)
        if end is not None and head is not None and head.begin != end:
            raise _broken(
                str(file), f"it begins at entry {head.begin.number}, and does not go on where the one before ends"
            )
        if found.wrong:
            raise _broken(str(file), found.wrong)
        begin, end = head.begin.number if head else 0, found.end
        if head is None:
            common.note(f"{file}: {UNSEEN_END}")
        told.append(f"{file}: {end.number - begin} entries from {begin} hold; head {end.hash.hex()}")
    return told


def _checked(file: Path, head: Head | None) -> Walk:
    from aiops.errors import UsageError
    from aiops.schema.audit import check

    try:
        with file.open("rb") as lines:
            return check(lines, head)
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from error


def _head(file: Path) -> Head:
    from aiops.schema.audit import head_of

    return head_of(common.read(str(file)), str(file))


def _trusted(head: Head, name: str, key: Path | None, settings: Settings) -> Head:
    """The head, once its signature is checked; without a key nobody can."""
    from aiops import app

    checker = app.checker(settings, key)
    if checker is None:
        common.note(f"{name}: {_by(head)}; without --key or stores.audit_key_file that is not checked")
        return head
    if not head.signature or not checker.holds(head.signed(), head.signature):
        raise _broken(name, f"the head is {_by(head)}, and not by the key {checker.key_id}")
    return head


def _broken(what: str, wrong: str) -> Exception:
    from aiops.errors import StoreError

    return StoreError(f"{what} does not hold: {wrong}")
