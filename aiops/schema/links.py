"""Where an alert itself points: to its rule, its runbook, its dashboard. Web addresses only, since whoever wrote a rule wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from aiops.domain import Alert
from aiops.plain import clean, link

# Annotations that hold an address, as Prometheus' rules and Grafana's notifications name them: name, words.
_NAMES = (("runbook_url", "Runbook"), ("dashboardURL", "Dashboard"), ("panelURL", "Panel"), ("silence_url", "Silence"))
_DASHBOARD = re.compile(r"/d/([A-Za-z0-9_-]{1,40})(?:/|$)")
_PANEL = re.compile(r"(?:panel-)?([1-9][0-9]{0,8})")
_MOST = 50  # that a report in JSON lists


def of(alert: Alert) -> list[tuple[str, str]]:
    """(words, address), the source of the alert first."""
    pairs = [(words, link(alert.annotations.get(name, ""))) for name, words in _NAMES]
    return [(words, url) for words, url in [("Source", link(alert.generator_url)), *pairs] if url]


def told(alerts: Iterable[Alert]) -> list[dict[str, str]]:
    """Those of several alerts, as a report in JSON has them: each once."""
    found = {(clean(alert.name, 200), words, url): None for alert in alerts for words, url in of(alert)}
    return [{"alert": name, "title": words, "url": url} for name, words, url in found][:_MOST]


def panel(alert: Alert) -> tuple[str, int]:
    """(uid of the dashboard, id of the panel) in Grafana that the alert names; "" and 0 where it names none."""
    for name in ("panelURL", "dashboardURL"):
        parts = urlsplit(link(alert.annotations.get(name, "")))
        if found := _DASHBOARD.search(parts.path):
            try:
                asked = parse_qs(parts.query, max_num_fields=100).get("viewPanel", [""])[0]
            except ValueError:  # more fields than any address of Grafana has
                asked = ""
            number = _PANEL.fullmatch(asked)
            return found[1], int(number[1]) if number else 0
    return "", 0
