"""Grafana's webhook: its body, and the signature over it."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import aiops
from aiops.errors import DataError
from aiops.schema import grafana
from aiops.service import server
from aiops.service.hooks import FRESH_S, Signature

HOOK = "/v1/webhooks/grafana"
# A body as Grafana 11 sends it.
FULL: dict[str, Any] = {
    "receiver": "aiops",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighLatency", "grafana_folder": "shop", "service": "checkout"},
            "annotations": {"summary": "checkout is slow"},
            "startsAt": "2026-01-31T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://grafana.example/alerting/grafana/x/view?orgId=1",
            "fingerprint": "c2f8a1b3d4e5f607",
            "silenceURL": "https://grafana.example/alerting/silence/new?matcher=x",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 44.23456, "A": None},
            "valueString": "[ var='B' labels={} value=44.23456 ]",
            "orgId": 1,
        }
    ],
    "groupLabels": {"alertname": "HighLatency"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "https://grafana.example/",
    "appVersion": "12.0.0",
    "version": "1",
    "groupKey": '{}:{alertname="HighLatency"}',
    "truncatedAlerts": 2,
    "orgId": 1,
    "title": "[FIRING:1] HighLatency",
    "state": "alerting",
    "message": "",
}
BODY = json.dumps(FULL).encode()
SECRET = b"between us"


def test_a_full_body() -> None:
    told = grafana.notification(BODY)
    (alert,) = told.alerts
    assert (told.receiver, told.truncated) == ("aiops", 2)
    assert (alert.fingerprint, alert.name, alert.status) == ("c2f8a1b3d4e5f607", "HighLatency", "firing")
    assert alert.annotations == {
        "summary": "checkout is slow",
        "values": "B=44.2346",
        "silence_url": "https://grafana.example/alerting/silence/new?matcher=x",
    }


def test_annotations_of_the_rule_stay_and_values_may_be_absent() -> None:
    bare = {"labels": {}, "startsAt": "2026-01-31T12:00:00Z", "annotations": {"values": "mine"}, "values": None}
    (alert,) = grafana.notification(json.dumps({"version": "1", "alerts": [bare]}).encode()).alerts
    assert alert.annotations == {"values": "mine"}


@pytest.mark.parametrize("body", [b"", b"{}", json.dumps(FULL | {"version": "4"}).encode(), b'{"version": "1"}'])
def test_what_is_no_payload_is_refused(body: bytes) -> None:
    with pytest.raises(DataError, match="Grafana version 1"):
        grafana.notification(body)


# ---------------------------------------------------------------- the signature


def signed(body: bytes, secret: bytes = SECRET) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).hexdigest().encode()


def test_a_signature_over_the_body() -> None:
    signature = Signature(SECRET)
    assert signature.wrong({b"x-grafana-alerting-signature": signed(BODY)}, BODY) == ""
    for headers in (
        {},
        {b"x-grafana-alerting-signature": b""},
        {b"x-grafana-alerting-signature": b"\xff\xfe"},
        {b"x-grafana-alerting-signature": signed(BODY, b"other")},
        {b"x-grafana-alerting-signature": signed(BODY + b" ")},
    ):
        assert signature.wrong(headers, BODY)


@pytest.mark.parametrize(
    ("moment", "of", "right"),
    [
        (b"1000", b"1000:", True),
        (b"%d" % (1000 + FRESH_S), b"%d:" % (1000 + FRESH_S), True),
        (b"%d" % (1001 + FRESH_S), b"%d:" % (1001 + FRESH_S), False),
        (b"%d" % (999 - FRESH_S), b"%d:" % (999 - FRESH_S), False),
        (b"1000", b"1001:", False),
        (b"1000", b"", False),
        (b"", b":", False),
        (b"-1", b"-1:", False),
        (b"9" * 400, b"9" * 400 + b":", False),
        (None, b"", False),
    ],
)
def test_a_signature_over_the_time_and_the_body(moment: bytes | None, of: bytes, right: bool) -> None:
    signature = Signature(SECRET, b"x-signed-at", lambda: 1000.0)
    headers = {b"x-grafana-alerting-signature": signed(of + BODY)}
    if moment is not None:
        headers[b"x-signed-at"] = moment
    assert (signature.wrong(headers, BODY) == "") == right


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, demo_case: Any) -> Iterator[httpx.Client]:
    """A server without an embedded worker, which knows the secret."""
    ready = threading.Event()
    home = str(tmp_path_factory.mktemp("grafana"))
    with (
        aiops.connect(f"case:{demo_case}", home=home, flags={"model.url": ""}) as ops,
        server.bind("127.0.0.1:0") as opened,
    ):
        running = server.server(
            ops, external_url="", body_limit=2**20, ready=ready.set, signature=Signature(SECRET), terms=None
        )
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
        thread.start()
        assert ready.wait(120)
        with httpx.Client(base_url=server.url(opened), timeout=60, trust_env=False) as made:
            yield made
        running.should_exit = True
        thread.join(120)


def test_a_signed_notification_is_taken_and_another_is_not(client: httpx.Client) -> None:
    good = {"x-grafana-alerting-signature": signed(BODY).decode()}
    taken = client.post(HOOK, content=BODY, headers=good)
    assert taken.status_code == 202
    assert taken.json()["accepted"] == 1
    assert client.get(taken.headers["location"]).json()["status"] == "queued"
    assert client.post(HOOK, content=BODY, headers=good).json()["duplicates"] == 1
    assert "aiops_alerts_truncated_total 4" in client.get("/metrics").text
    for headers in ({}, {"x-grafana-alerting-signature": signed(b"{}").decode()}):
        refused = client.post(HOOK, content=BODY, headers=headers)
        assert refused.status_code == 401
        assert refused.json()["detail"]
