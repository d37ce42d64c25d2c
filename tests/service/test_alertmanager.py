"""Webhook bodies: what is needed, what may be absent, and errors that name the field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import DataError
from aiops.schema import alertmanager, grafana

FIRING = {"labels": {"alertname": "HighLatency"}, "startsAt": "2026-01-31T12:00:00.123456789Z"}
# A body as Alertmanager 0.28 sends it, with fields that this version of ours does not know.
FULL = {
    "receiver": "aiops",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighLatency", "severity": "page", "service": "checkout"},
            "annotations": {"summary": "checkout is slow"},
            "startsAt": "2026-01-31T12:00:00.000Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
            "fingerprint": "c2f8a1b3d4e5f607",
        }
    ],
    "groupLabels": {"alertname": "HighLatency"},
    "commonLabels": {"alertname": "HighLatency"},
    "commonAnnotations": {"summary": "checkout is slow"},
    "externalURL": "http://alertmanager:9093",
    "version": "4",
    "groupKey": '{}:{alertname="HighLatency"}',
    "truncatedAlerts": 0,
    "notification_reason": "a later version's",
}


def body(*alerts: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"version": "4", "groupKey": "{}:{}", "alerts": alerts} | more).encode()


def test_a_full_body() -> None:
    (alert,) = alertmanager.notification(json.dumps(FULL).encode()).alerts
    assert (alert.fingerprint, alert.status, alert.name) == ("c2f8a1b3d4e5f607", "firing", "HighLatency")
    assert alert.starts_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert alert.ends_at is None
    assert alert.group_key == '{}:{alertname="HighLatency"}'
    assert alert.generator_url.startswith("http://prometheus")


def test_severity_annotations_fingerprint_and_names_may_be_absent() -> None:
    (alert,) = alertmanager.notification(body({"labels": {}, "startsAt": "2026-01-31T20:00:00+08:00"})).alerts
    assert alert.annotations == {}
    assert alert.name == ""
    assert alert.starts_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert len(alert.fingerprint) == 16


def test_the_end_is_kept_when_resolved() -> None:
    resolved = FIRING | {"status": "resolved", "endsAt": "2026-01-31T12:10:00Z"}
    (alert,) = alertmanager.notification(body(resolved)).alerts
    assert alert.ends_at == datetime(2026, 1, 31, 12, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'"4"', "object"),
        (b"{}", "version"),
        (body(version="3"), "version"),
        (body(version=4), "version"),
        (b'{"version": "4"}', "alerts"),
        (body(alerts={}), "alerts"),
        (body({"startsAt": "2026-01-31T12:00:00Z"}), r"labels.*alerts\[0\]"),
        (body(FIRING, {"labels": {}}), r"startsAt.*alerts\[1\]"),
        (body(FIRING, FIRING | {"labels": {"a": 1}}), r"alerts\[1\].labels"),
        (body(FIRING | {"startsAt": "yesterday"}), "startsAt"),
        (body(FIRING | {"startsAt": "2026-01-31T12:00:00"}), "startsAt"),
        (body(FIRING | {"startsAt": "0001-01-01T00:00:00Z"}), r"alerts\[0\].startsAt"),
        (body(FIRING | {"startsAt": "9999-12-31T23:59:59-12:00"}), r"alerts\[0\].startsAt"),
        (body(FIRING | {"status": "smouldering"}), "status"),
        (body(FIRING).replace(b"HighLatency", b"\xff"), "utf-8"),
        (body(FIRING).replace(b"HighLatency", b"\\ud800"), "surrogate"),
        (b'{"x":' + b"[" * 200_000, "version 4"),
    ],
)
def test_what_is_no_payload_is_refused_with_the_reason(sent: bytes, named: str) -> None:
    with pytest.raises(DataError, match=named):
        alertmanager.notification(sent)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)).map(
        lambda v: json.dumps(v).encode()
    )
)
def test_no_body_breaks_it(sent: bytes) -> None:
    for read in (alertmanager.notification, grafana.notification, lambda b: alertmanager.alerts_of(b, "f")):
        try:
            read(sent)
        except DataError:
            continue


def test_files_may_hold_a_body_a_list_or_one_alert() -> None:
    listed = FIRING | {"status": {"state": "active", "silencedBy": []}, "endsAt": "2026-01-31T12:05:00Z"}
    for text in (json.dumps(FULL), json.dumps([listed]), json.dumps(FIRING)):
        (alert,) = alertmanager.alerts_of(text.encode(), "alerts.json")
        assert (alert.name, alert.status, alert.ends_at) == ("HighLatency", "firing", None)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"version": "4", "alerts": []}', '{"version": "4", "alerts": 1}', "[1]"]
)
def test_a_file_without_alerts_names_the_file(text: str) -> None:
    with pytest.raises(DataError, match=r"alerts\.json"):
        alertmanager.alerts_of(text.encode(), "alerts.json")


def test_fingerprints_are_those_of_prometheus() -> None:
    # The vectors of prometheus/common, model/signature_test.go.
    assert alertmanager.fingerprint({}) == f"{14695981039346656037:016x}"
    assert (
        alertmanager.fingerprint({"name": "garland, briggs", "fear": "love is not enough"})
        == f"{5799056148416392346:016x}"
    )
    one = alertmanager.fingerprint({"a": "1", "b": "2"})
    assert one == alertmanager.fingerprint({"b": "2", "a": "1"})
    assert one != alertmanager.fingerprint({"a": "1b", "": "2"})
