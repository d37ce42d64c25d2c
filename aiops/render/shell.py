"""A command line as one may paste it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from aiops.render.clean import clean


def command(argv: Iterable[str]) -> str:
    """Quoted for a shell, exactly. A word with characters that a terminal would obey or hide becomes `$'...'` (bash, zsh,
    POSIX 2024), so that what is shown is what would run."""
    return " ".join(shlex.quote(word) if clean(word, len(word) + 1) == word else _spelled(word) for word in argv)


def _spelled(word: str) -> str:
    return "$'" + "".join(c if c.isascii() and c.isprintable() and c not in "\\'" else _escape(c) for c in word) + "'"


def _escape(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
