"""Watches a run: its output as it comes, its end, its deadline, its memory."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from typing import Literal

from aiops.adapters.sandbox.cgroups import Group

GLANCE_S = 0.05  # between two looks at what tells nothing by itself
_PIECE = 1 << 16
_DRAIN_WITHIN_S = 2.0

Ended = Literal["by itself", "late", "cancelled", "full", "oom"]


class Watch:
    """What a run writes, up to `limit` bytes. `full`: whether it wrote more."""

    def __init__(self, output: int, limit: int) -> None:
        os.set_blocking(output, False)
        self._output, self._limit = output, limit
        self._pieces: list[bytes] = []
        self._taken = 0
        self._open = True
        self.full = False

    def until_end(
        self, process: subprocess.Popen[bytes], group: Group, deadline: float, cancelled: Callable[[], bool]
    ) -> Ended:
        """Waits for the process's end, or for a reason to end it."""
        ending = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(ending, select.POLLIN)
            poll.register(self._output, select.POLLIN)
            while True:
                left = deadline - time.monotonic()
                events = dict(poll.poll(max(0.0, min(left, GLANCE_S)) * 1e3))
                if self._output in events and not self._read():
                    poll.unregister(self._output)
                if self.full:
                    return "full"
                if ending in events:
                    return "by itself"
                if left <= 0:
                    return "late"
                if group.oom():
                    return "oom"
                if cancelled():
                    return "cancelled"
        finally:
            os.close(ending)

    def drain(self) -> None:
        """Takes what is still in the pipe, whose writers are dead."""
        deadline = time.monotonic() + _DRAIN_WITHIN_S
        while self._open and not self.full and time.monotonic() < deadline:
            if not select.select([self._output], [], [], GLANCE_S)[0]:
                continue
            self._read()

    def text(self) -> str:
        return b"".join(self._pieces).decode("utf-8", "replace")

    def _read(self) -> bool:
        """Takes one piece; False at the end of it."""
        try:
            piece = os.read(self._output, _PIECE)
        except BlockingIOError:
            return True
        room = self._limit - self._taken
        self._pieces.append(piece[:room])
        self._taken += len(piece)
        self.full = self._taken > self._limit
        self._open = bool(piece)
        return self._open


def escaped(text: str) -> str:
    """The text with every character that steers a terminal or hides what is written shown by its number; lines stay lines."""
    return text.translate(_Shown())


class _Shown(dict[int, str]):
    """What each character is shown as, found out once."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        if character in "\n\t" or character.isprintable():
            shown = character
        else:
            shown = (
                f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"
            )
        self[number] = shown
        return shown
