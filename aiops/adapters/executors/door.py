"""The door of a script: one Unix socket in its sandbox, through which it asks for verbs that its runbook lists.

A line is a JSON object `{"verb": ..., "with": {...}}`, the answer a line `{"status": ..., "why": ..., "output": ...}`. Only a
process of the run's user is heard; everything it says is checked again, as words of somebody outside.
"""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from aiops.domain import Act, Outcome, RunStatus

MOST_BYTES = 64 << 10
MOST_ASKED = 100
PATIENCE_S = 30.0


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """One line."""

    verb: str
    arguments: dict[str, str] = msgspec.field(name="with", default_factory=dict)


@contextmanager
def opened(verbs: tuple[str, ...], users: frozenset[int], do: Callable[[Act, int], Outcome]) -> Iterator[str]:
    """The path of a socket that `do` answers at, each request with its number; gone with all its threads when the context ends."""
    with tempfile.TemporaryDirectory(prefix="aiops-door-") as folder:
        path = Path(folder, "door")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            Path(folder).chmod(0o711)  # the run's user mounts it into the sandbox
            path.chmod(0o666)
            listener.listen(4)
            keeper = _Keeper(listener, frozenset(verbs), users, do)
            thread = threading.Thread(target=keeper.work, name="door", daemon=True)
            thread.start()
            try:
                yield str(path)
            finally:
                keeper.close()
                thread.join()


class _Keeper:
    """Takes one connection after the other: what a script asks for happens in order."""

    def __init__(
        self, listener: socket.socket, verbs: frozenset[str], users: frozenset[int], do: Callable[[Act, int], Outcome]
    ) -> None:
        self._listener, self._verbs, self._users, self._do = listener, verbs, users, do
        self._asked = 0
        self._closed = threading.Event()
        self._open: socket.socket | None = None

    def close(self) -> None:
        """Hears no more; what is being done is done to its end."""
        self._closed.set()
        for one in (self._listener, self._open):
            if one is not None:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def work(self) -> None:
        """Until it is closed."""
        while not self._closed.is_set():
            try:
                self._open, _ = self._listener.accept()
            except OSError:
                return
            with self._open as link:
                try:
                    self._hear(link)
                except OSError:  # it hung up, or said nothing for too long
                    continue

    def _hear(self, link: socket.socket) -> None:
        _, user, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user not in self._users:
            return
        link.settimeout(PATIENCE_S)
        with link.makefile("rb") as lines:
            while not self._closed.is_set() and (line := lines.readline(MOST_BYTES + 1)):
                outcome = self._answer(line)
                told = {"status": outcome.status, "why": outcome.why, "output": outcome.output[:MOST_BYTES]}
                link.sendall(msgspec.json.encode(told) + b"\n")
                if not line.endswith(b"\n"):
                    return

    def _answer(self, line: bytes) -> Outcome:
        self._asked += 1
        if self._asked > MOST_ASKED:
            return Outcome(RunStatus.REFUSED, why=f"a run may ask {MOST_ASKED} times")
        if len(line) > MOST_BYTES or not line.endswith(b"\n"):
            return Outcome(RunStatus.REFUSED, why=f"a line ends, and has at most {MOST_BYTES} bytes")
        try:
            asked = msgspec.json.decode(line, type=Asked)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Outcome(RunStatus.REFUSED, why=f"not understood: {error}")
        if asked.verb not in self._verbs:
            return Outcome(RunStatus.REFUSED, why=f"its runbook lists no {asked.verb!r}")
        return self._do(Act(verb=asked.verb, arguments=asked.arguments), self._asked)


def users(sandbox: int) -> frozenset[int]:
    """Who may be at the door: the run's user, who for a service without privileges is its own."""
    return frozenset({sandbox if os.geteuid() == 0 else os.geteuid()})
