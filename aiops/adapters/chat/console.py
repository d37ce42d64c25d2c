"""Chat on the terminal, `console:`. What is posted may quote alerts and logs, so nothing in it may steer the terminal."""

from __future__ import annotations

import sys
import threading
import unicodedata
from typing import TextIO

from aiops.errors import SourceUnreachable
from aiops.ports import Message

# Cc: escape sequences, carriage returns. Bidirectional controls make a line read as what it is not.
_BIDIRECTIONAL = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class ConsoleChat:
    """Posts to `stream`, standard error unless given: standard output is for data. Nobody can press anything there."""

    name = "console:"
    pictures = False

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:  # noqa: ARG002 - it is there at once
        """One block of lines, each headed by its thread. Raises SourceUnreachable when nobody listens any more."""
        stream = self._stream or sys.stderr
        head = f"[{plain(thread)}] " if thread else ""
        lines = [*message.lines, *([message.link] if message.link else [])]
        block = "".join(f"{head}{plain(line)}\n" for text in lines for line in text.split("\n"))
        encoding = stream.encoding or "utf-8"
        try:
            with self._lock:
                stream.write(block.encode(encoding, "backslashreplace").decode(encoding))
                stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            raise SourceUnreachable("posting a message", "the console", str(error)) from error
        return key

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:  # noqa: ARG002 - nothing that is written is read again
        return ""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        """What is written stays."""

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - as above
        return "the console"


def plain(text: str) -> str:
    r"""The text with everything that steers a terminal shown instead of obeyed: ESC becomes `\x1b`."""
    return "".join(char if _harmless(char) else char.encode("unicode_escape").decode() for char in text)


def _harmless(char: str) -> bool:
    return char == "\t" or (unicodedata.category(char) not in {"Cc", "Zl", "Zp"} and char not in _BIDIRECTIONAL)
