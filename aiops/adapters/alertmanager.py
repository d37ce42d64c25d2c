"""`alertmanager+http(s)://HOST[:PORT]`: the silences of an Alertmanager, to whom it sends, and an alert for it, through version 2 of
its API. `Hook` is our own webhook, which takes an alert as Alertmanager would bring it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import yaml

from aiops.adapters.http import Access
from aiops.domain import Alert, Silence, TimeRange

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


class _Configured(msgspec.Struct):
    original: str = ""


class _About(msgspec.Struct, rename="camel"):
    version_info: _Version
    config: _Configured = msgspec.field(default_factory=_Configured)


class Alertmanager:
    """Its silences and receivers; `access` opens the door."""

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

    def webhooks(self, timeout: float) -> Mapping[str, tuple[str, ...]]:
        """The receivers that some route leads to and that send to webhooks: their addresses, "" where it hides one (0.26 and newer
        hide all). Raises SourceError."""
        with self._access.session("its configuration", timeout) as session:
            told = session.decode(session.ask("GET", f"{self._access.url}/api/v2/status"), _About)
            try:
                read = yaml.safe_load(told.config.original) or {}
                routed = set(_routed(read.get("route") or {}))
                named = {one["name"]: one.get("webhook_configs") or () for one in read.get("receivers") or ()}
                return {
                    name: tuple([_address(hook) for hook in hooks])
                    for name, hooks in named.items()
                    if hooks and name in routed
                }
            except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
                raise session.garbled(f"a configuration that can't be read: {type(error).__name__}") from error

    def send(self, alert: Alert, timeout: float) -> None:
        """Tells it of an alert, which it then routes as its configuration says. Raises SourceError."""
        told = {
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "startsAt": alert.starts_at.isoformat(),
        }
        if alert.status != "firing":
            told["endsAt"] = datetime.now(UTC).isoformat()
        with self._access.session("an alert", timeout) as session:
            session.ask("POST", f"{self._access.url}/api/v2/alerts", body=[told])

    def ping(self, timeout: float) -> str:
        """What answers: product, version and address."""
        with self._access.session("its version", timeout) as session:
            about = session.decode(session.ask("GET", f"{self._access.url}/api/v2/status"), _About)
        return f"Alertmanager {about.version_info.version or 'of unknown version'} at {self._access.url}"


class Hook:
    """The webhook of `aiops serve` at the address of `access`."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def send(self, alert: Alert, timeout: float) -> None:
        """Brings it an alert as Alertmanager would. Raises SourceError."""
        told = {
            "status": alert.status,
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "startsAt": alert.starts_at.isoformat(),
            "fingerprint": alert.fingerprint,
        }
        sent = {"version": "4", "receiver": "aiops doctor", "groupKey": alert.group_key, "alerts": [told]}
        with self._access.session("a notification", timeout) as session:
            session.ask("POST", f"{self._access.url}/v1/webhooks/alertmanager", body=sent)


def _routed(route: Mapping[str, Any]) -> Iterator[str]:
    """The receivers of a route and of those below it."""
    if receiver := route.get("receiver"):
        yield str(receiver)
    for below in route.get("routes") or ():
        yield from _routed(below)


def _address(hook: Mapping[str, Any]) -> str:
    address = str(hook.get("url") or "")
    return address if address.startswith("http") else ""


def _noun(told: _Silence) -> Silence:
    matchers = tuple([(m.name, _OPERATORS[m.is_equal, m.is_regex], m.value) for m in told.matchers])
    return Silence(told.id, matchers, TimeRange(told.starts_at, told.ends_at), told.comment)
