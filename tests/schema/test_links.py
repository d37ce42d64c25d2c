"""Where alerts point: web addresses only, from either webhook; the panel of Grafana that one names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiops.domain import Alert
from aiops.schema import alertmanager, grafana, links

BASE = {"labels": {"alertname": "Slow"}, "startsAt": "2026-01-31T12:00:00Z"}
TOLD = {"runbook_url": "https://runbooks.example/slow", "dashboardURL": "https://grafana.example/d/shop"}


def alert(**annotations: str) -> Alert:
    body = json.dumps({"version": "4", "alerts": [BASE | {"annotations": annotations}]}).encode()
    return alertmanager.notification(body).alerts[0]


def titles(found: Alert) -> list[str]:
    return [title for title, _ in links.of(found)]


def test_alertmanager_brings_its_source_and_what_annotations_name() -> None:
    sent = BASE | {"generatorURL": "http://prometheus:9090/graph?g0.expr=up", "annotations": TOLD}
    (found,) = alertmanager.notification(json.dumps({"version": "4", "alerts": [sent]}).encode()).alerts
    assert titles(found) == ["Source", "Runbook", "Dashboard"]
    assert links.told([found, found]) == [
        {"alert": "Slow", "title": "Source", "url": "http://prometheus:9090/graph?g0.expr=up"},
        {"alert": "Slow", "title": "Runbook", "url": TOLD["runbook_url"]},
        {"alert": "Slow", "title": "Dashboard", "url": TOLD["dashboardURL"]},
    ]


def test_grafana_brings_more_in_fields_of_its_own() -> None:
    sent: dict[str, Any] = BASE | {
        "generatorURL": "https://grafana.example/alerting/grafana/x/view",
        "annotations": TOLD | {"dashboardURL": "https://elsewhere.example/of-the-rule"},
        "dashboardURL": "https://grafana.example/d/shop?orgId=1",
        "panelURL": "https://grafana.example/d/shop?orgId=1&viewPanel=4",
        "silenceURL": "https://grafana.example/alerting/silence/new",
    }
    (found,) = grafana.notification(json.dumps({"version": "1", "alerts": [sent]}).encode()).alerts
    assert titles(found) == ["Source", "Runbook", "Dashboard", "Panel", "Silence"]
    assert dict(links.of(found))["Dashboard"] == "https://elsewhere.example/of-the-rule"  # the rule's own word stays
    assert links.panel(found) == ("shop", 4)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//https://grafana.example/d/shop",
        "data:text/html,<script>alert(1)</script>",
        "//grafana.example/d/shop",
        "/d/shop",
        "https:///d/shop",
        "https://grafana.example/d/shop\u202e",
        "https://grafana.example/d/sh op",
        "https://[grafana/d/shop",
    ],
)
def test_what_is_no_web_address_is_no_link(address: str) -> None:
    found = alert(panelURL=address, dashboardURL=address, runbook_url=address)
    assert links.of(found) == []
    assert links.panel(found) == ("", 0)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("https://g.example/d/abc-DEF_1", ("abc-DEF_1", 0)),
        ("https://g.example/sub/d/abc/slow-checkout?viewPanel=12&orgId=1", ("abc", 12)),
        ("https://g.example/d/abc/slug?viewPanel=panel-7", ("abc", 7)),
        ("https://g.example/d/abc?viewPanel=-1", ("abc", 0)),
        ("https://g.example/d/abc?viewPanel=99999999999999999999", ("abc", 0)),
        ("https://g.example/d/abc?viewPanel=\u0664", ("abc", 0)),
        ("https://g.example/d/abc?" + "&".join("x=1" for _ in range(200)), ("abc", 0)),
        ("https://g.example/d/" + "a" * 41, ("", 0)),
        ("https://g.example/d/..%2f..%2fadmin", ("", 0)),
        ("https://g.example/dashboards", ("", 0)),
    ],
)
def test_the_panel_that_an_alert_names(address: str, named: tuple[str, int]) -> None:
    assert links.panel(alert(dashboardURL=address)) == named


def test_a_report_lists_fifty_at_most() -> None:
    many = [alert(runbook_url=f"https://runbooks.example/{n}") for n in range(99)]
    assert len(links.told(many)) == 50
