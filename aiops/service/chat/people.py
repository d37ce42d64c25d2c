"""Who somebody in a chat is in this house: lines `ROLE NAME PLATFORM:USER` of the file that `chat.people_file` names.

NAME is the one of the person's token, so that two approvals by one person count as one, wherever they were given. A changed file
counts at the next press; one that can't be read or understood changes nothing.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path

from aiops.errors import ConfigError
from aiops.service.access import Principal, Role

log = logging.getLogger(__name__)

_LINE = re.compile(rf"({'|'.join(role.name.lower() for role in Role)}) (\S+) ([a-z]+):(\S+)")


def parse(text: str, name: str) -> dict[tuple[str, str], Principal]:
    """(platform, user) -> who that is. ConfigError names the line that is none."""
    found: dict[tuple[str, str], Principal] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (words := line.partition("#")[0].split()):
            continue
        told = _LINE.fullmatch(" ".join(words))
        if told is None:
            known = ", ".join(each.name.lower() for each in Role)
            raise ConfigError(f"{name}, line {number}: not `ROLE NAME PLATFORM:USER` with a role of {known}")
        role, who, platform, user = told.groups()
        if (platform, user) in found:
            raise ConfigError(f"{name}, line {number}: {platform}:{user} stands there twice")
        found[platform, user] = Principal(who, Role[role.upper()])
    return found


class People:
    """Those of a file; nobody without one. Thread-safe. Raises ConfigError when it can't be read at first."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state = self._stat()
        self._known: Mapping[tuple[str, str], Principal] = self._read()

    def find(self, platform: str, user: str) -> Principal | None:
        """Who it is; None for somebody who is not listed."""
        with self._lock:
            state = self._stat()
            if state != self._state:
                self._state = state
                try:
                    self._known = self._read()
                except ConfigError as error:
                    log.warning("the people of chats stay as they were: %s", error)
            return self._known.get((platform, user))

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None

    def _read(self) -> Mapping[tuple[str, str], Principal]:
        if self._path is None:
            return {}
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"chat.people_file: can't read {self._path}: {error}") from error
        return parse(text, str(self._path))
