"""`alertmanager+http(s)://HOST[:PORT]`: the silences of an Alertmanager, through version 2 of its API."""

from __future__ import annotations

from datetime import datetime

import msgspec

from aiops.adapters.http import Access
from aiops.domain import Silence, TimeRange

_OPERATORS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}


class _Matcher(msgspec.Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool
    is_equal: bool = True  # older ones know no other


class _Status(msgspec.Struct):
    state: str


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    status: _Status
    matchers: list[_Matcher]
    starts_at: datetime
    ends_at: datetime
    comment: str = ""


class _Version(msgspec.Struct):
    version: str = ""


class _About(msgspec.Struct, rename="camel"):
    version_info: _Version


class Alertmanager:
    """Silences; `access` opens the door."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def read(self, timeout: float) -> tuple[Silence, ...]:
        """Those that are active or pending, in the order of their ids. Raises SourceError."""
        with self._access.session("its silences", timeout) as session:
            told = session.decode(session.ask("GET", f"{self._access.url}/api/v2/silences"), list[_Silence])
            try:
                silences = [_noun(one) for one in told if one.status.state != "expired"]
            except ValueError as error:
                raise session.garbled(str(error)) from error
        return tuple(sorted(silences, key=lambda silence: silence.id))

    def ping(self, timeout: float) -> str:
        """What answers: product, version and address."""
        with self._access.session("its version", timeout) as session:
            about = session.decode(session.ask("GET", f"{self._access.url}/api/v2/status"), _About)
        return f"Alertmanager {about.version_info.version or 'of unknown version'} at {self._access.url}"


def _noun(told: _Silence) -> Silence:
    matchers = tuple([(m.name, _OPERATORS[m.is_equal, m.is_regex], m.value) for m in told.matchers])
    return Silence(told.id, matchers, TimeRange(told.starts_at, told.ends_at), told.comment)
