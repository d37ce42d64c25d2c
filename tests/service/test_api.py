"""The HTTP interface over a real server: an alert comes in, a report comes out, and every bad request is told why."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service.conftest import figures

import aiops
from aiops import recording
from aiops.domain import Agenda, Symptom, job_id
from aiops.ops import Ops
from aiops.schema import agenda as agenda_schema
from aiops.schema import task as task_schema
from aiops.schema import wire

HOOK = "/v1/webhooks/alertmanager"
ENDED = {"done", "inconclusive", "failed", "suppressed"}


@pytest.fixture
def symptom(demo_case: Path) -> Symptom:
    files = recording.open_files(demo_case)
    return recording.symptom_of(recording.read_case(files), str(demo_case))


def alert(symptom: Symptom, name: str = "HighLatency", status: str = "firing", **labels: str) -> dict[str, Any]:
    assert symptom.at
    return {
        "status": status,
        "labels": {"alertname": name, **labels},
        "startsAt": symptom.at.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
    }


def post(client: httpx.Client, *alerts: dict[str, Any], group: str = "{}:{}") -> httpx.Response:
    return client.post(HOOK, json={"version": "4", "groupKey": group, "status": "firing", "alerts": alerts})


def ended(client: httpx.Client, diagnosis: str) -> dict[str, Any]:
    for _ in range(1200):
        told: dict[str, Any] = client.get(f"/v1/diagnoses/{diagnosis}").json()
        if told["status"] in ENDED:
            return told
        time.sleep(0.05)
    raise AssertionError(f"diagnosis {diagnosis} does not end")


# ---------------------------------------------------------------- the way of an alert


def test_an_alert_becomes_a_report(client: httpx.Client, ops: Ops, symptom: Symptom) -> None:
    taken = post(client, alert(symptom, service=symptom.service or "frontend"))
    assert taken.status_code == 202
    told = taken.json()
    assert (told["accepted"], told["duplicates"], told["suppressed"]) == (1, 0, 0)
    ((diagnosis, fingerprints),) = [(d["id"], d["fingerprints"]) for d in told["diagnoses"]]
    assert taken.headers["location"] == f"/v1/diagnoses/{diagnosis}"

    end = ended(client, diagnosis)
    assert end["status"] in {"done", "inconclusive"}, end
    assert end["error"] is None
    page = client.get(end["report_url"])
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    public = client.get(f"/reports/{diagnosis}.json").json()
    assert public["schema"] == "aiops-report/1"
    assert public["id"] == diagnosis
    assert public["task"]["inputs"]["alerts"][0]["fingerprint"] == fingerprints[0]
    assert client.get(f"/reports/{diagnosis}.md").headers["content-type"].startswith("text/markdown")
    assert client.get(f"/reports/{diagnosis}.svg").headers["content-type"].startswith("image/svg+xml")

    # Grafana's link finds it by fingerprint, by name, with times of either form; and not outside of its time.
    assert symptom.at
    around: dict[str, str | int] = {
        "from": int((symptom.at - timedelta(hours=1)).timestamp() * 1000),
        "to": (symptom.at + timedelta(hours=1)).isoformat(),
    }
    for what in (
        {"fingerprint": fingerprints[0]},
        {"alertname": "HighLatency"},
        {"alertname": "HighLatency", **around},
    ):
        assert client.get("/r", params=what).headers.get("location") == f"/reports/{diagnosis}"
    for what in ({"alertname": "Other"}, {"alertname": "HighLatency", "to": "1000"}):
        missing = client.get("/r", params=what)
        assert missing.status_code == 404
        assert [d["id"] for d in missing.json()["diagnoses"]] == [diagnosis]

    assert client.get("/v1/diagnoses").json()["diagnoses"][0]["id"] == diagnosis
    assert diagnosis in client.get("/").text
    counted = figures(client, f'aiops_diagnoses_total{{status="{end["status"]}"}} 1')
    assert 'aiops_alerts_total{fate="accepted"} 1' in counted
    assert 'aiops_http_requests_total{code="202",route="/v1/webhooks/alertmanager"} 1' in counted


def test_a_repetition_leads_to_the_same_diagnosis(client: httpx.Client, symptom: Symptom) -> None:
    first, again = post(client, alert(symptom)), post(client, alert(symptom))
    assert again.status_code == 202
    assert again.json()["duplicates"] == 1
    assert again.headers["location"] == first.headers["location"]
    assert client.get(again.headers["location"]).status_code == 200


@pytest.mark.parametrize("quiet", [{"name": "Watchdog"}, {"name": "InfoInhibitor"}, {"status": "resolved"}])
def test_what_needs_no_diagnosis_gets_none(client: httpx.Client, symptom: Symptom, quiet: dict[str, str]) -> None:
    taken = post(client, alert(symptom, **quiet))
    assert taken.status_code == 202
    assert taken.json()["suppressed"] == 1
    assert client.get(taken.headers["location"]).json()["status"] == "suppressed"


def test_a_thousand_alerts_in_one_body(client: httpx.Client, symptom: Symptom) -> None:
    storm = [alert(symptom, service="frontend", instance=f"10.0.{i // 250}.{i % 250}:80") for i in range(1000)]
    taken = post(client, *storm)
    assert taken.status_code == 202
    assert taken.json()["accepted"] == 1000
    assert sum(len(d["fingerprints"]) for d in taken.json()["diagnoses"]) == 1000


def test_an_alert_about_nobody_known_still_ends(client: httpx.Client, symptom: Symptom) -> None:
    taken = post(client, alert(symptom), alert(symptom, "Odd", service="<script>alert(1)</script>"))
    for one in taken.json()["diagnoses"]:
        assert ended(client, one["id"])["status"] in {"done", "inconclusive"}
    for page in ("/", *(f"/reports/{d['id']}" for d in taken.json()["diagnoses"])):
        assert "<script>alert(1)" not in client.get(page).text


def test_a_time_without_data_fails_or_is_inconclusive_but_is_told(client: httpx.Client) -> None:
    taken = post(client, {"labels": {"alertname": "Old"}, "startsAt": "1999-01-01T00:00:00Z"})
    end = ended(client, taken.json()["diagnoses"][0]["id"])
    assert end["status"] in {"failed", "inconclusive"}
    if end["status"] == "failed":
        assert end["error"]
        assert "Traceback" not in end["error"]
        missing = client.get(f"/reports/{end['id']}")
        assert missing.status_code == 404
        assert "1999" in missing.json()["detail"]


# ---------------------------------------------------------------- asking


def test_words_become_a_task_that_runs(client: httpx.Client, symptom: Symptom, ops: Ops) -> None:
    assert symptom.at
    services = {label.get("service", "_") for label in ops.sources.metrics.catalog(5)}
    service = min(name for name in services if not name.startswith("_"))
    body = {"text": f"why is {service} slow?", "now": symptom.at.isoformat()}
    shown = client.post("/v1/ask", json=body | {"plan": True})
    assert shown.status_code == 200
    assert shown.json()["diagnosis"] is None
    assert task_schema.load(shown.json()["yaml"]).intent == "diagnose"
    started = client.post("/v1/ask", json=body)
    assert started.status_code == 202, started.text
    assert started.headers["location"] == f"/v1/diagnoses/{started.json()['diagnosis']['id']}"


def test_a_request_of_several_questions_runs_step_by_step(client: httpx.Client, symptom: Symptom, ops: Ops) -> None:
    assert symptom.at
    words = "compare cpu of ts-order-service and ts-basic-service, then find out why ts-order-service is slow"
    body = {"text": words, "now": symptom.at.isoformat()}
    shown = client.post("/v1/ask", json=body | {"plan": True}).json()
    agenda = agenda_schema.load(shown["yaml"])
    assert isinstance(agenda, Agenda)
    assert agenda_schema.plain(agenda) == shown["agenda"]
    started = client.post("/v1/ask", json=body)
    assert started.status_code == 202, started.text
    assert ended(client, started.json()["diagnosis"]["id"])["status"] in {"done", "inconclusive"}
    last = job_id(f"{ops.identity}\n{wire.encode(agenda.steps[-1].task).decode()}")
    give_up = time.monotonic() + 60
    while client.get(f"/v1/diagnoses/{last}").status_code == 404 and time.monotonic() < give_up:
        time.sleep(0.1)
    assert ended(client, last)["status"] in {"done", "inconclusive"}


def test_a_task_runs_from_its_yaml(client: httpx.Client, ops: Ops) -> None:
    task = ops.task()
    started = client.post("/v1/tasks", content=task_schema.dump(task), headers={"content-type": "application/yaml"})
    assert started.status_code == 202, started.text
    assert ended(client, started.json()["id"])["status"] == "done"
    # The same question from the terminal has the same id.
    assert ops.run(task).id == started.json()["id"]


def test_a_change_is_recorded(client: httpx.Client, ops: Ops, symptom: Symptom) -> None:
    assert symptom.at
    told = {"node": "checkout", "at": symptom.at.isoformat(), "kind": "deploy", "summary": "v2"}
    assert client.post("/v1/changes", json=told).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (HOOK, b"", "version 4"),
        (HOOK, b"{}", "version"),
        (HOOK, b'{"version": "4", "alerts": [{"labels": {}}]}', "startsAt"),
        ("/v1/ask", b"{}", "text"),
        ("/v1/ask", b'{"text": ""}', "text"),
        ("/v1/ask", b'{"text": "why", "now": "yesterday"}', "now"),
        ("/v1/ask", b"[", "JSON"),
        ("/v1/tasks", b"", "body"),
        ("/v1/tasks", b"intent: diagnose", "task_id"),
        ("/v1/tasks", b"\xff\xfe\x00", "body"),
        ("/v1/tasks", b"task_id: abcd\nintent: clarify\nquestion: which?", "which"),
        ("/v1/ask", b'{"text": "why", "now": "0001-01-01T00:00:00Z"}', "now"),
        (
            "/v1/tasks",
            b'{"task_id": "abcd", "intent": "diagnose", "inputs": {"services": ["\\ud800"]}}',
            "inputs.services.0",
        ),
        ("/v1/tasks", b"task_id: abcd\nintent: diagnose\ninputs: {symptom: {at: '9999-12-31T23:59:59-12:00'}}", "at"),
        ("/v1/changes", b"{}", "node"),
        ("/v1/changes", b'{"node": "a", "at": "0001-01-01T00:00:00Z"}', "at"),
        ("/v1/changes", b'{"node": "\\ud800", "at": "2026-01-31T12:00:00Z"}', "node"),
        ("/v1/changes", b'{"node": "a", "at": "2026-01-31T12:00:00Z", "link": "javascript:1"}', "link"),
    ],
)
def test_a_bad_body_is_told_why(shared: httpx.Client, path: str, body: bytes, named: str) -> None:
    refused = shared.post(path, content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 400
    assert named in refused.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/diagnoses/none", 404),
        ("/v1/diagnoses?limit=0", 400),
        ("/v1/diagnoses?offset=-1", 400),
        ("/v1/diagnoses?limit=x", 400),
        ("/reports/none", 404),
        ("/reports/none.exe", 404),
        ("/reports/%00", 404),
        ("/reports/..%2f..%2fetc%2fpasswd", 404),
        ("/r", 400),
        ("/r?alertname=a&from=yesterday", 400),
        ("/r?alertname=a&from=2026-01-31T12:00:00", 400),
        ("/r?alertname=a&from=9" + "9" * 40, 400),
        ("/r?alertname=a&from=2000&to=1000", 400),
        ("/no-such-page", 404),
    ],
)
def test_a_bad_request_is_told_why(shared: httpx.Client, path: str, status: int) -> None:
    refused = shared.get(path)
    assert refused.status_code == status
    assert refused.json()["detail"]
    assert "Traceback" not in refused.text


def test_a_look_up_without_a_match_is_a_page_for_people(shared: httpx.Client) -> None:
    missing = shared.get("/r", params={"alertname": "<b>x</b>"}, headers={"accept": "text/html"})
    assert missing.status_code == 404
    assert "&lt;b&gt;" in missing.text
    assert "<b>x" not in missing.text


PATHS = (HOOK, "/v1/ask", "/v1/tasks", "/v1/changes")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("version", "alerts", "groupKey", "text", "session", "plan", "task_id", "intent", "inputs", "node", "at"), JSON
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=64) | (JSON | NEARLY).map(lambda v: json.dumps(v).encode()))
def test_no_body_is_answered_with_a_server_error(shared: httpx.Client, path: str, body: bytes) -> None:
    told = shared.post(path, content=body, headers={"content-type": "application/json"})
    assert told.status_code < 500, told.text
    assert told.headers["content-type"] == "application/json"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(("/v1/diagnoses", "/v1/diagnoses/{}", "/reports/{}", "/r", "/")),
    text=st.text(max_size=20),
    query=st.dictionaries(
        st.sampled_from(("fingerprint", "alertname", "from", "to", "offset", "limit")), st.text(max_size=20), max_size=4
    ),
)
def test_no_path_or_query_is_answered_with_a_server_error(
    shared: httpx.Client, path: str, text: str, query: dict[str, str]
) -> None:
    told = shared.get(path.format(quote(text, safe="", errors="replace")), params=query)
    assert told.status_code < 500, told.text


# ---------------------------------------------------------------- lists


def test_pages_follow_one_another(client: httpx.Client, ops: Ops, symptom: Symptom) -> None:
    for i in range(5):
        post(client, alert(symptom, "Watchdog"), group=str(i))
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = client.get("/v1/diagnoses", params={"offset": offset, "limit": 2}).json()
        seen += [d["id"] for d in page["diagnoses"]]
        offset = page["next"]
    assert len(seen) == len(set(seen)) == 5


def test_reports_of_the_terminal_are_listed_too(client: httpx.Client, ops: Ops) -> None:
    made = ops.diagnose()
    (listed,) = client.get("/v1/diagnoses").json()["diagnoses"]
    assert listed["id"] == made.id
    assert listed["summary"] == made.summary[0]
    assert client.get(f"/v1/diagnoses/{made.id}").json()["report_url"] == f"/reports/{made.id}"


def test_links_are_absolute_where_people_reach_us_elsewhere(ops: Ops, serve: Any, symptom: Symptom) -> None:
    client = serve(ops, external_url="https://aiops.example/")
    taken = post(client, alert(symptom))
    assert taken.headers["location"].startswith("https://aiops.example/v1/diagnoses/")
    assert client.get("/healthz", headers={"host": "aiops.example"}).status_code == 200


# ---------------------------------------------------------------- operation


def test_health_and_readiness(shared: httpx.Client) -> None:
    assert shared.get("/healthz").text == "ok\n"
    ready = shared.get("/readyz")
    assert ready.status_code == 200
    assert {p["name"]: p["ok"] for p in ready.json()["parts"]} == {
        "store": True,
        "queue": True,
        "worker": True,
        "metrics": True,
    }


def test_the_metrics_page_parses(shared: httpx.Client) -> None:
    page = shared.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in page.text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)*\})? [0-9.e+-]+', line), line


def test_openapi_tells_all_routes_and_the_webhooks_body(shared: httpx.Client) -> None:
    api = shared.get("/openapi.json").json()
    assert {
        HOOK,
        "/v1/diagnoses",
        "/v1/diagnoses/{diagnosis_id}",
        "/v1/ask",
        "/v1/tasks",
        "/v1/changes",
        "/r",
        "/reports/{name}",
    } <= set(api["paths"])
    assert "WireAlert" in api["components"]["schemas"]
    assert '"422"' not in json.dumps(api)
    refs = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(api)))
    assert refs <= set(api["components"]["schemas"])


def test_a_full_queue_is_503_and_loses_nothing(tmp_path: Path, demo_case: Path, serve: Any, symptom: Symptom) -> None:
    flags = {"model.url": "", "service.queue_limit": "1", "episodes.debounce_s": "60"}
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path / "full"), flags=flags) as small:
        client = serve(small)
        one, other = alert(symptom, service="s1"), alert(symptom, service="s2")
        assert post(client, one, group="1").json()["accepted"] == 1
        refused = post(client, other, group="2")
        assert refused.status_code == 503
        assert "queue" in refused.json()["detail"]
        assert post(client, one, group="1").json()["duplicates"] == 1
        assert post(client, other, group="1").json()["accepted"] == 1  # into the episode that waits already
        assert 'aiops_notifications_refused_total{code="503"} 1' in client.get("/metrics").text
        client.close()


def test_a_store_that_cannot_be_written_is_503_and_loses_nothing(
    client: httpx.Client, ops: Ops, symptom: Symptom, tmp_path: Path
) -> None:
    ops.store._db._writer.execute("PRAGMA busy_timeout=50")  # type: ignore[attr-defined]
    with sqlite3.connect(tmp_path / "home" / "store.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = post(client, alert(symptom))
        other.execute("ROLLBACK")
    other.close()
    assert refused.status_code == 503
    assert "locked" in refused.json()["detail"]
    taken = post(client, alert(symptom))
    assert taken.json()["accepted"] == 1
    assert ended(client, taken.json()["diagnoses"][0]["id"])["status"] in {"done", "inconclusive"}
