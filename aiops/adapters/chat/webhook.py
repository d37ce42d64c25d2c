"""Webhooks of others, `webhook+http(s)://`: JSON, signed as https://www.standardwebhooks.com says, for programs to take.

What came of an episode is told as it happens; there is nothing to edit. `webhook-id` is the same for each try at one event.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from aiops.adapters.http import Access
from aiops.errors import ConfigError
from aiops.ports import Message

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a secret


def secret(text: str, setting: str) -> bytes:
    """The secret of a file: base64, after `whsec_` or not. Raises ConfigError."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{setting}: is not base64, with or without {PREFIX} before it") from error
    if not SHORTEST <= len(key) <= LONGEST:
        raise ConfigError(f"{setting}: holds {len(key)} bytes; a secret has {SHORTEST} to {LONGEST}")
    return key


class WebhookChat:
    """Whoever takes events at one address. `clock` gives seconds since 1970."""

    pictures = False

    def __init__(self, access: Access, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._access, self._key, self._clock = access, key, clock
        self.name = f"webhook:{access.url}"

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:
        now = self._clock()
        about = dict(message.about)
        kind, at = about.pop("event", "message"), about.pop("at", "")
        data = about | {"summary": message.lines, "link": message.link, "thread": thread}
        told = {"type": kind, "timestamp": at or datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")}
        body = msgspec.json.encode({**told, "data": data})
        moment = str(int(now))
        signed = hmac.new(self._key, b".".join((key.encode(), moment.encode(), body)), hashlib.sha256).digest()
        headers = {"webhook-id": key, "webhook-timestamp": moment}
        headers |= {"webhook-signature": f"v1,{base64.b64encode(signed).decode()}", "content-type": "application/json"}
        with self._access.session("sending an event", timeout, tries=1) as session:
            session.bulk(self._access.url, body, headers)
        return key

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:  # noqa: ARG002 - who takes it knows it by its id
        return ""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        """An event that was sent stays."""

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - anything that is sent would be an event
        return self._access.url
