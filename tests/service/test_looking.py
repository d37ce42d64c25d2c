"""Lists with filters, and the progress of a diagnosis as events."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from aiops.ops import Ops
from aiops.schema import task as task_schema

HOOK = "/v1/webhooks/alertmanager"
ENDED = {"done", "inconclusive", "failed"}


def events(client: httpx.Client, diagnosis: str) -> list[tuple[str, dict[str, Any]]]:
    """Read as a browser does, to the end."""
    found: list[tuple[str, dict[str, Any]]] = []
    name = ""
    with client.stream("GET", f"/v1/diagnoses/{diagnosis}/events") as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


def test_events_tell_a_diagnosis_to_its_end(client: httpx.Client, ops: Ops) -> None:
    body = task_schema.dump(ops.task())
    started = client.post("/v1/tasks", content=body, headers={"content-type": "application/yaml"}).json()
    told = events(client, started["id"])
    assert {name for name, _ in told[:-1]} <= {"diagnosis"}
    name, last = told[-1]
    assert name == "end"
    assert last["status"] in ENDED
    assert last["report_url"] == f"/reports/{started['id']}"
    statuses = [told["status"] for _, told in told[:-1]]
    assert statuses == sorted(statuses, key=["queued", "running"].index)
    # Of one that has ended there is nothing but the end.
    assert [name for name, _ in events(client, started["id"])] == ["end"]


def test_there_are_no_events_of_what_is_not_there(shared: httpx.Client) -> None:
    missing = shared.get("/v1/diagnoses/none/events")
    assert missing.status_code == 404
    assert missing.json()["detail"]


@pytest.fixture
def listed(client: httpx.Client, ops: Ops) -> dict[str, str]:
    """Two diagnoses that were put by alerts and end suppressed, and one report of the terminal: name -> id."""
    found = {}
    for number, name in enumerate(("Watchdog", "InfoInhibitor")):
        alert = {
            "labels": {"alertname": name, "service": "cart"},
            "startsAt": "2026-01-31T12:00:00Z",
            "fingerprint": f"f{number}",
        }
        sent = {"version": "4", "groupKey": "g", "alerts": [alert]}
        found[name] = client.post(HOOK, json=sent).json()["diagnoses"][0]["id"]
    found["report"] = ops.diagnose().id
    return found


def test_filters(client: httpx.Client, listed: dict[str, str]) -> None:
    def ids(**query: str) -> set[str]:
        told = client.get("/v1/diagnoses", params=query)
        assert told.status_code == 200, told.text
        return {d["id"] for d in told.json()["diagnoses"]}

    quiet = {listed["Watchdog"], listed["InfoInhibitor"]}
    assert ids() == set(listed.values())
    assert ids(status="suppressed") == quiet
    assert ids(status="done") | ids(status="inconclusive") == {listed["report"]}
    assert ids(service="cart") == quiet
    assert ids(alertname="Watchdog") == {listed["Watchdog"]}
    assert ids(fingerprint="f1") == {listed["InfoInhibitor"]}
    assert ids(fingerprint="f1", alertname="Watchdog") == set()
    (report,) = (d for d in client.get("/v1/diagnoses").json()["diagnoses"] if d["id"] == listed["report"])
    moment = datetime.fromisoformat(report["created"])
    assert ids(**{"from": "2000-01-01T00:00:00Z"}) == set(listed.values())
    assert listed["report"] in ids(**{"from": moment.isoformat()})
    assert ids(to="1000") == set()


def test_a_filter_goes_on_over_pages(client: httpx.Client, listed: dict[str, str]) -> None:
    first = client.get("/v1/diagnoses", params={"status": "suppressed", "limit": 1}).json()
    second = client.get("/v1/diagnoses", params={"status": "suppressed", "limit": 1, "offset": first["next"]}).json()
    assert second["next"] is None
    assert {d["id"] for page in (first, second) for d in page["diagnoses"]} == {
        listed["Watchdog"],
        listed["InfoInhibitor"],
    }
    assert client.get("/v1/diagnoses", params={"status": "sleeping"}).status_code == 400
