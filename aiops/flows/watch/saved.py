"""The file in which a watch stops and goes on: one uncompressed npz, written beside the old one and put in its place when whole.

What can't be used is never overwritten: it is moved aside under a name of its own, and the watch says so and starts afresh.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from aiops.errors import DataError, Refused, StoreError
from aiops.flows.watch.fleet import Column
from aiops.kernels import tick

VERSION = f"1.{tick.VERSION}"  # of this file and of the engine's state in it
HEAD = "head"
PIECE = 1 << 16  # rows that are read at once
Columns = Callable[[str], Column]


def write(path: Path, head: Mapping[str, Any], columns: Iterable[tuple[str, Column]]) -> None:
    """Durable when it returns; the file that was there stays whole until then. StoreError when it can't be written."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            with ZipFile(stream, "w", ZIP_STORED) as archive:
                archive.writestr(HEAD, json.dumps({"version": VERSION, **head}, sort_keys=True))
                for name, column in columns:
                    _column(archive, name, column)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        with suppress(OSError):  # where the directory is gone or read-only there is nothing to take away
            part.unlink(missing_ok=True)
        raise StoreError(f"can't save the watch's state to {path}: {error.strerror or error}") from error


@contextmanager
def opened(path: Path) -> Iterator[tuple[Mapping[str, Any], Columns]]:
    """(head, columns by name). DataError for what is no state, also while it is being read."""
    try:
        with ZipFile(path) as archive:
            head = json.loads(archive.read(HEAD))
            if head.get("version") != VERSION:
                raise DataError(
                    f"{path} holds state of version {head.get('version')}, and this program writes {VERSION}; "
                    "the program that wrote it can go on with it"
                )
            yield head, lambda name: _held(archive, name)
    except (OSError, LookupError, ValueError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} is no state of a watch, or a damaged one: {error}") from error


def aside(path: Path) -> Path:
    """Moves a file out of the way and returns its new name; nothing is overwritten. StoreError when it can't be moved."""
    number = 1
    while (new := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    try:
        path.rename(new)
    except OSError as error:
        raise StoreError(f"can't move {path} aside: {error.strerror}") from error
    return new


@contextmanager
def locked(home: Path, name: str = "watch") -> Iterator[None]:
    """Holds the home directory's watch, or the shard of this name. Refused while another process does; StoreError when it can't be written to."""
    path = home / f"{name}.lock"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = path.open("a+")
    except OSError as error:
        raise StoreError(f"can't use {path}: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            raise Refused(
                f"another aiops watch (process {stream.read().strip() or 'unknown'}) uses {home}; "
                "stop it, or give this one a --home of its own"
            ) from error
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield  # closing the file gives the lock back, and so does the end of the process


def _column(archive: ZipFile, name: str, column: Column) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        shape = {"descr": npy.dtype_to_descr(column.dtype), "fortran_order": False, "shape": column.shape}
        npy.write_array_header_1_0(entry, shape)
        for piece in column.pieces:
            entry.write(np.ascontiguousarray(piece).data.cast("B") if piece.size else b"")


def _held(archive: ZipFile, name: str) -> Column:
    """A column as `_column` wrote it; its checksum is checked once the last piece is read."""
    entry = archive.open(f"{name}.npy")
    if npy.read_magic(entry) != (1, 0):
        raise ValueError(f"{name} is no array")
    shape, fortran, dtype = npy.read_array_header_1_0(entry)
    if fortran or dtype.hasobject:
        raise ValueError(f"{name} is an array of another kind")

    def pieces() -> Iterator[NDArray[Any]]:
        with entry:
            for done in range(0, shape[0], PIECE):
                part = (min(PIECE, shape[0] - done), *shape[1:])
                size = math.prod(part) * dtype.itemsize
                data = entry.read(size)
                if len(data) < size:
                    raise EOFError(f"{name} is cut off")
                yield np.frombuffer(data, dtype).reshape(part)

    return Column(dtype, shape, pieces())


def _sync(folder: Path) -> None:
    """A rename is durable once its directory is."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
