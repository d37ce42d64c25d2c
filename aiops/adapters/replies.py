"""Answers to commands of a chat platform, sent to the address that came with the command, which must be the platform's own."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from aiops.adapters.http import Access
from aiops.errors import SourceRefused


class WebReplies:
    """`access` is the platform, as the settings name it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def post(self, address: str, message: Mapping[str, object], timeout: float) -> None:
        """Within `timeout` seconds. An answer that broke off is sent again, so that one may be there twice, but none is lost."""
        if not same_place(address, self._access.url):
            raise SourceRefused("answering a command", self._access.url, "the command named an address elsewhere")
        with self._access.session("answering a command", timeout) as session:
            session.ask("POST", address, body=dict(message))


def same_place(address: str, known: str) -> bool:
    """Whether an address that came from outside has the scheme, host and port of a known one, and nobody's name in it."""
    try:
        there, here = urlsplit(address), urlsplit(known)
        same = (there.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port)
    except ValueError:
        return False
    plain = address.isascii() and address.isprintable() and not any(char in address for char in " \\@#")
    return same and plain and there.path.startswith("/")
