"""The machine that repairs are governed on: its clocks, the switch that stops them, who holds which, and the room there is.

The switch is a file, `stopped` in the home directory: also `touch` and `rm` work, from whatever tool, and no database is needed.
A repair is held by a lock on a file, which the kernel gives back when its process dies, however it does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiops.domain import Instant
from aiops.errors import StoreError

SWITCH = "stopped"
LONGEST_WHY = 500
_CLOCK = getattr(
    time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC
)  # goes on while the machine sleeps, where there is such a one


class Machine:
    """`home`: where the switch and the locks lie. Thread-safe."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def now(self) -> Instant:
        """By the calendar, and by the clock of this boot."""
        return Instant(datetime.now(UTC), _boot(), time.clock_gettime_ns(_CLOCK) // 1_000_000)

    def stopped(self) -> str:
        """What stands in the switch's file; a file that can't be read stops as well."""
        try:
            said = (self._home / SWITCH).read_text("utf-8", "replace")[:LONGEST_WHY].strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"{self._home / SWITCH} can't be read: {error.strerror}"
        return said or f"{self._home / SWITCH} is there"

    def stop(self, why: str) -> None:
        """Durable when it returns."""
        part = self._home / f"{SWITCH}.{os.getpid()}.part"
        try:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            with part.open("w", encoding="utf-8") as file:
                file.write(f"{' '.join(why.split())[:LONGEST_WHY]}\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._home / SWITCH)
        except OSError as error:
            raise StoreError(f"can't write {self._home / SWITCH}: {error.strerror}") from error

    def resume(self) -> bool:
        """False where it wasn't stopped."""
        try:
            (self._home / SWITCH).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"can't remove {self._home / SWITCH}: {error.strerror}") from error
        return True

    @contextmanager
    def held(self, repair_id: str) -> Iterator[bool]:
        """A lock of the kernel on a file of its own, which stays."""
        folder = self._home / "repairs"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock = os.open(folder / f"{repair_id}.lock", flags, 0o600)
        except OSError as error:
            raise StoreError(f"can't lock {repair_id} in {folder}: {error.strerror}") from error
        try:
            yield _locked(lock)
        finally:
            os.close(lock)

    def room(self) -> int:
        """Bytes free for this user."""
        try:
            return shutil.disk_usage(self._home).free
        except OSError as error:
            raise StoreError(f"can't tell how much room {self._home} has: {error.strerror}") from error


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _boot() -> str:
    """Which start of the machine this is; "" where the kernel doesn't say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
