"""What a run leaves in `out/`: plain files only, read without following anything it made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FOLDER = "out"
MOST_FILES = 100
_NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextmanager
def holding(child: int, place: str) -> Iterator[int]:
    """The sandbox's folder `place`, held open: it outlives the sandbox until it is let go."""
    descriptor = os.open(f"/proc/{child}/root{place}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def collect(work: int, most: int) -> dict[str, bytes]:
    """The plain files directly in `out/`, by name, as long as there are no more than `MOST_FILES` with `most` bytes together.

    A link of either kind, a pipe, a device, a folder, and what is beyond the limits are left behind."""
    found: dict[str, bytes] = {}
    try:
        folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | _NO_LINKS, dir_fd=work)
    except OSError:
        return found
    try:
        left = most
        for name in sorted(os.listdir(folder))[:MOST_FILES]:  # noqa: PTH208 - of a descriptor, not of a path
            with suppress(OSError, UnicodeEncodeError):
                name.encode()
                data = _read(folder, name, left)
                if data is not None:
                    found[name] = data
                    left -= len(data)
    finally:
        os.close(folder)
    return found


def _read(folder: int, name: str, most: int) -> bytes | None:
    descriptor = os.open(name, os.O_RDONLY | _NO_LINKS, dir_fd=folder)
    try:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode) or told.st_nlink != 1 or told.st_size > most:
            return None
        return os.read(descriptor, told.st_size)
    finally:
        os.close(descriptor)
