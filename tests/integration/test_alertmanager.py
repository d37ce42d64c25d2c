"""A real Alertmanager fires a real alert at `aiops serve`, which reads a real Prometheus: cause, report and link."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

import aiops
from aiops import recording

import servers
from conftest import needed

WITHIN_S = 240.0
CONFIG = """
route:
  receiver: aiops
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: aiops
    webhook_configs:
      - url: {url}/v1/webhooks/alertmanager
        send_resolved: true
"""


@pytest.fixture
def aiops_serve(demo_case: Path, prometheus: servers.Server, tmp_path: Path) -> Iterator[servers.Server]:
    def command(port: int) -> list[str]:
        sources = [
            "--metrics",
            f"prometheus+{prometheus.url}",
            "--logs",
            f"case:{demo_case}",
            "--traces",
            f"case:{demo_case}",
        ]
        home = ["--home", str(tmp_path / "home")]
        return [str(Path(sys.executable).with_name("aiops")), "serve", "--listen", f"127.0.0.1:{port}", *home, *sources]

    env = {**os.environ, "AIOPS_MODEL__URL": ""}
    with servers.serving("aiops", command, servers.answers("/readyz"), env=env) as server:
        yield server


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def post(url: str, body: object) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30):
        pass


def eventually(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {WITHIN_S:g} s")


def diagnoses(server: servers.Server) -> list[dict[str, Any]]:
    answer = get(f"{server.url}/v1/diagnoses")
    return answer["diagnoses"] if isinstance(answer, dict) else answer


def finished(server: servers.Server) -> list[dict[str, Any]]:
    return [one for one in diagnoses(server) if one["status"] not in ("queued", "running")]


def alert(case: Path, **labels: str) -> dict[str, Any]:
    """The symptom of the demo incident as an alert, at its own time."""
    symptom = recording.symptom_of(recording.read_case(recording.open_files(case)), case.name)
    assert symptom.at is not None
    ends = datetime.now(UTC) + timedelta(hours=1)
    named = {"alertname": "SlowForUsers", "service": symptom.service or "", **labels}
    return {"labels": named, "startsAt": symptom.at.isoformat(), "endsAt": ends.isoformat()}


def test_a_fired_alert_becomes_a_report(demo_case: Path, aiops_serve: servers.Server, tmp_path: Path):
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path / "file"), flags={"model.url": ""}) as ops:
        known = ops.diagnose().root_causes[0].node
    fired = alert(demo_case)
    with needed(), servers.alertmanager(tmp_path / "alertmanager", CONFIG.format(url=aiops_serve.url)) as alertmanager:
        post(f"{alertmanager.url}/api/v2/alerts", [fired])
        (diagnosis,) = eventually("a finished diagnosis", lambda: finished(aiops_serve))
        assert diagnosis["status"] == "done", diagnosis

        report = get(f"{aiops_serve.url}/reports/{diagnosis['id']}.json")
        assert report["id"] == diagnosis["id"]
        assert report["root_causes"][0]["node"] == known

        page = urllib.request.urlopen(f"{aiops_serve.url}/reports/{diagnosis['id']}", timeout=30).read().decode()
        assert known in page

        # The link that Grafana follows finds the report by the alert's name and time.
        at = datetime.fromisoformat(fired["startsAt"])
        span = {"from": (at - timedelta(hours=1)).isoformat(), "to": (at + timedelta(hours=1)).isoformat()}
        link = f"{aiops_serve.url}/r?{urlencode({'alertname': 'SlowForUsers', **span})}"
        with urllib.request.urlopen(link, timeout=30) as response:
            assert response.url.endswith(f"/reports/{quote(diagnosis['id'])}")


def test_a_pair_of_alertmanagers_asks_once(demo_case: Path, aiops_serve: servers.Server, tmp_path: Path):
    """Both of a highly available pair notify; the second finds the first one's diagnosis."""
    config = CONFIG.format(url=aiops_serve.url)
    with (
        needed(),
        servers.alertmanager(tmp_path / "a", config) as one,
        servers.alertmanager(tmp_path / "b", config) as two,
    ):
        for server in (one, two):
            post(f"{server.url}/api/v2/alerts", [alert(demo_case)])

        def notified() -> bool:
            return all(
                b'alertmanager_notifications_total{integration="webhook"} 1' in metrics(server) for server in (one, two)
            )

        eventually("both have notified", notified)
        eventually("a finished diagnosis", lambda: finished(aiops_serve))
        assert len(diagnoses(aiops_serve)) == 1
        for server in (one, two):
            assert b'alertmanager_notifications_failed_total{integration="webhook"} 0' in metrics(server)


def metrics(server: servers.Server) -> bytes:
    body: bytes = urllib.request.urlopen(f"{server.url}/metrics", timeout=30).read()
    return body


def test_an_alert_with_nothing_but_a_name_is_answered(demo_case: Path, aiops_serve: servers.Server, tmp_path: Path):
    """No severity, no annotation, no service: a report or an honest end, never a lost alert."""
    bare = alert(demo_case)
    bare["labels"] = {"alertname": "Something"}
    with needed(), servers.alertmanager(tmp_path / "alertmanager", CONFIG.format(url=aiops_serve.url)) as alertmanager:
        post(f"{alertmanager.url}/api/v2/alerts", [bare])
        (diagnosis,) = eventually("a finished diagnosis", lambda: finished(aiops_serve))
    assert diagnosis["status"] in ("done", "inconclusive"), diagnosis
