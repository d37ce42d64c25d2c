"""Whence a platform calls us: the list that it keeps of its own addresses, read again every hour.

A list beside the signature, never instead of it. While none was ever read nobody is let in; one that can't be read stays as it was.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from aiops.errors import SourceError

log = logging.getLogger(__name__)

EVERY_S = 3600.0  # the platforms ask for once a day, and keep old and new side by side for a while
AGAIN_S = 30.0  # after a failure
READ_S = 10.0

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Senders:
    """A thread between `start` and `stop`; `name` says in the log whose addresses these are."""

    def __init__(self, name: str, read: Callable[[float], Sequence[str]], every_s: float = EVERY_S) -> None:
        self._name, self._read, self._every_s = name, read, every_s
        self._known: frozenset[Network] = frozenset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="senders", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait for a read that is under way: nothing is lost with it."""
        self._stopping.set()

    def refresh(self) -> bool:
        """Reads the list; whether there is a new one."""
        try:
            told = [one for text in self._read(READ_S) if (one := network(text)) is not None]
        except SourceError as error:
            log.warning("the addresses of %s stay as they were: %s", self._name, error)
            return False
        if not told:
            log.warning("the addresses of %s stay as they were: it told none", self._name)
            return False
        self._known = frozenset(told)
        return True

    def holds(self, host: str) -> bool:
        """Whether the platform calls from there."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # what an IPv6 socket calls an IPv4 address
        return any((mapped or address) in one for one in self._known)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._every_s if self.refresh() else AGAIN_S


def network(text: str) -> Network | None:
    """An address, a network, or 101.226.103.* as WeCom once wrote them; None for what is none."""
    if text.count(".") == 3 and text.endswith(".*"):
        text = f"{text[:-1]}0/24"
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
