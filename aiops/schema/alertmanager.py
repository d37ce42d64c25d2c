"""What Alertmanager sends: the webhook body, version 4, and the alerts of its API, as `domain.Alert`.

Only what is needed is required (`version`, `alerts`, and of each alert `labels` and `startsAt`); `severity`, every
annotation and whatever a later version adds may be there or not. Field names and meaning:
Alertmanager's documentation, "webhook_config".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from aiops.domain import Alert
from aiops.domain import Notification as Noun
from aiops.errors import DataError
from aiops.schema import moments

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ApiState(msgspec.Struct):
    """`status` as Alertmanager's own API gives it; only what fires is listed there."""

    state: str = ""


# Without cycles among them, the garbage collector need not walk the alerts of a storm.
class WireAlert(msgspec.Struct, rename="camel", gc=False):
    labels: dict[str, str]
    starts_at: Moment
    status: Literal["firing", "resolved"] | ApiState = "firing"
    annotations: dict[str, str] = {}
    ends_at: Moment | None = None
    generator_url: str = msgspec.field(default="", name="generatorURL")
    fingerprint: str = ""


class Notification(msgspec.Struct, rename="camel"):
    version: Literal["4"]
    alerts: list[WireAlert]
    group_key: str = ""
    receiver: str = ""
    route_labels: dict[str, str] = {}
    notification_reason: str = msgspec.field(default="", name="notification_reason")
    truncated_alerts: int = 0


_notification = msgspec.json.Decoder(Notification)
_alerts = msgspec.json.Decoder(list[WireAlert])
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def notification(body: bytes) -> Noun:
    """A webhook body. DataError names the field when it is no version 4 payload."""
    try:
        sent = _notification.decode(body)
    except NOT_JSON as error:
        raise DataError(f"no Alertmanager version 4 payload: {error}") from error
    alerts = _all(sent.alerts, sent.group_key)
    return Noun(alerts, sent.receiver, sent.route_labels, sent.notification_reason, sent.truncated_alerts)


def alerts_of(body: bytes, name: str) -> tuple[Alert, ...]:
    """The alerts of a file: a webhook body, a list of alerts (`amtool alert query -o json`) or one alert.

    DataError names the file and the field; also when there is no alert in it."""
    try:
        first = body.lstrip()[:1]
        if first == b"[":
            found = _all(_alerts.decode(body), "")
        elif "alerts" in msgspec.json.decode(body, type=dict[str, msgspec.Raw]):
            found = notification(body).alerts
        else:
            found = _all([msgspec.json.decode(body, type=WireAlert)], "")
    except NOT_JSON as error:
        raise DataError(f"{name}: no alert: {error}") from error
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    if not found:
        raise DataError(f"{name}: holds no alert")
    return found


def _all(sent: Iterable[WireAlert], group_key: str) -> tuple[Alert, ...]:
    return tuple([alert(one, group_key, i) for i, one in enumerate(sent)])


def alert(sent: WireAlert, group_key: str, number: int) -> Alert:
    """The noun. DataError names the alert by its number when its start is outside of what can be handled."""
    status = "firing" if isinstance(sent.status, ApiState) else sent.status
    try:
        starts_at = moments.utc(sent.starts_at)
    except ValueError as error:
        raise DataError(f"alerts[{number}].startsAt: {error}") from error
    # A firing alert has no end yet: the webhook sends year 1, the API when it would time out.
    ended = status == "resolved" and sent.ends_at is not None and moments.EARLIEST <= sent.ends_at < moments.LATEST
    return Alert(
        fingerprint=sent.fingerprint or fingerprint(sent.labels),
        status=status,
        labels=sent.labels,
        annotations=sent.annotations,
        starts_at=starts_at,
        ends_at=moments.utc(sent.ends_at) if ended and sent.ends_at else None,
        generator_url=sent.generator_url,
        group_key=group_key,
    )


def fingerprint(labels: dict[str, str]) -> str:
    """The fingerprint Prometheus and Alertmanager give a label set, for alerts that come without one.

    64-bit FNV-1a over `name 0xff value 0xff` in the order of names (prometheus/common, model/signature.go)."""
    digest = 0xCBF29CE484222325
    for name in sorted(labels, key=str.encode):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def components(*bodies: Any) -> dict[str, Any]:
    """JSON schemas of webhook bodies and what they are made of, by name, for OpenAPI."""
    return msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")[1]
