"""What was begun and what came of it, by idempotency key: an act that was begun is never begun again, whatever died meanwhile."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from aiops.domain import Outcome, RunStatus
from aiops.errors import StoreError


class Journal:
    """One file for each key in `folder`: empty while it is being done, then its outcome."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, key: str) -> Outcome | None:
        """None when the act is now ours to do; else what came of it, `unknown` when nobody knows. Durable when it returns."""
        path = self._path(key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"can't make {self._folder}: {error}") from error
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            _sync(self._folder)
        except FileExistsError:
            said = path.read_bytes()
            if not said:
                return Outcome(
                    RunStatus.UNKNOWN, why="it was begun before, and nobody saw how it ended; it is not done again"
                )
            return msgspec.json.decode(said, type=Outcome)
        except OSError as error:
            raise StoreError(f"can't write {path}: {error}") from error
        return None

    def end(self, key: str, outcome: Outcome) -> None:
        """Keeps the outcome. Raises StoreError; the act then stays `unknown`."""
        path = self._path(key)
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(msgspec.json.encode(outcome))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync(self._folder)
        except OSError as error:
            raise StoreError(f"can't write {path}: {error}") from error

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
