"""Addresses that came with a message of a chat platform: an answer goes to them only where they are the platform's own."""

from __future__ import annotations

from urllib.parse import urlsplit


def same_place(address: str, known: str) -> bool:
    """Whether an address that came from outside has the scheme, host and port of a known one, and nobody's name in it."""
    try:
        there, here = urlsplit(address), urlsplit(known)
        same = (there.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port)
    except ValueError:
        return False
    plain = address.isascii() and address.isprintable() and not any(char in address for char in " \\@#")
    return same and plain and there.path.startswith("/")
