"""What Grafana-managed alerting sends: the webhook body, version 1, as `domain.Notification`.

It is Alertmanager's body with more in each alert. Of that, the values that made the rule fire and the addresses of its dashboard,
of its panel and of the page that silences it are kept as annotations of these names, where the rule has none of the same name. Field names and meaning: Grafana's
documentation, "Configure webhook notifications".
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiops.domain import Notification as Noun
from aiops.errors import DataError
from aiops.schema.alertmanager import NOT_JSON, WireAlert, alert

VALUES, SILENCE, DASHBOARD, PANEL = "values", "silence_url", "dashboardURL", "panelURL"


class GrafanaAlert(WireAlert, rename="camel", gc=False):
    values: dict[str, float | None] | None = None
    value_string: str = ""
    silence_url: str = msgspec.field(default="", name="silenceURL")
    dashboard_url: str = msgspec.field(default="", name="dashboardURL")
    panel_url: str = msgspec.field(default="", name="panelURL")


class GrafanaNotification(msgspec.Struct, rename="camel"):
    version: Literal["1"]
    alerts: list[GrafanaAlert]
    group_key: str = ""
    receiver: str = ""
    truncated_alerts: int = 0


_notification = msgspec.json.Decoder(GrafanaNotification)


def notification(body: bytes) -> Noun:
    """A webhook body. DataError names the field when it is no version 1 payload."""
    try:
        sent = _notification.decode(body)
    except NOT_JSON as error:
        raise DataError(f"no Grafana version 1 payload: {error}") from error
    for one in sent.alerts:
        one.annotations = _told(one) | one.annotations
    alerts = tuple([alert(one, sent.group_key, i) for i, one in enumerate(sent.alerts)])
    return Noun(alerts, sent.receiver, truncated=sent.truncated_alerts)


def _told(sent: GrafanaAlert) -> dict[str, str]:
    values = ", ".join(f"{name}={value:g}" for name, value in sorted((sent.values or {}).items()) if value is not None)
    told = {
        VALUES: values or sent.value_string,
        SILENCE: sent.silence_url,
        DASHBOARD: sent.dashboard_url,
        PANEL: sent.panel_url,
    }
    return {name: text for name, text in told.items() if text}
