"""Episodes over HTTP: what waits, what is kept quiet, what somebody asks for, and what /metrics counts of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from service.conftest import serving

import aiops
from aiops import resources
from aiops.ops import Ops

HOOK = "/v1/webhooks/alertmanager"
RULES = """
routes: [{receiver: quiet, mode: on_demand}]
maintenance: [{name: move, match: 'service="moving"', start: 2020-01-01T00:00:00Z, end: 2100-01-01T00:00:00Z}]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, demo_case: Path) -> Iterator[tuple[Ops, httpx.Client]]:
    folder = tmp_path_factory.mktemp("episodes")
    shutil.copytree(resources.folder("rules"), folder / "rules")
    (folder / "rules" / "alerts.yaml").write_text(RULES)
    flags = {"model.url": "", "chat.url": "", "folders.rules": str(folder / "rules"), "episodes.debounce_s": "600"}
    with ExitStack() as stack:
        ops = stack.enter_context(aiops.connect(f"case:{demo_case}", home=str(folder / "home"), flags=flags))
        yield ops, stack.enter_context(serving(ops))


def alert(ops: Ops, late: int = 0, status: str = "firing", **labels: str) -> dict[str, Any]:
    at = ops.sources.metrics.symptom().at
    assert at
    told = {"alertname": "Slow", **labels}
    return {"status": status, "labels": told, "startsAt": (at + timedelta(seconds=late)).isoformat()}


def post(client: httpx.Client, group: str, *alerts: dict[str, Any], receiver: str = "") -> dict[str, Any]:
    body = {"version": "4", "groupKey": group, "receiver": receiver, "alerts": alerts}
    answer = client.post(HOOK, json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def standing(client: httpx.Client, diagnosis: str) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/v1/diagnoses/{diagnosis}").json()
    return told


def ended(client: httpx.Client, diagnosis: str) -> dict[str, Any]:
    for _ in range(1200):
        told = standing(client, diagnosis)
        if told["status"] in ("done", "inconclusive", "failed"):
            return told
        time.sleep(0.05)
    raise AssertionError(told)


def test_what_waits_is_queued_and_what_came_of_it_stands_in_the_report(house: tuple[Ops, httpx.Client]) -> None:
    ops, client = house
    first, more = (alert(ops, service="a", n=str(n)) for n in range(2))
    diagnosis = post(client, "waits", first)["diagnoses"][0]["id"]
    told = standing(client, diagnosis)
    assert (told["id"], told["status"], told["episode_id"]) == (diagnosis, "queued", diagnosis)
    assert [d["id"] for d in client.get("/v1/diagnoses", params={"service": "a"}).json()["diagnoses"]] == [diagnosis]
    assert post(client, "waits", more)["diagnoses"][0]["id"] == diagnosis
    client.post(f"/v1/diagnoses/{diagnosis}/start")  # rather than by itself, while the second was on its way
    told = ended(client, diagnosis)
    assert told["status"] in ("done", "inconclusive")
    assert (told["alerts"], told["recurrences"]) == (2, 0)
    run = client.get(f"/reports/{diagnosis}.json").json()["meta"]["run"]
    assert (run["episode"], run["alerts"], run["recurrences"]) == (diagnosis, "2", "0")

    for one in (first, more):
        post(client, "waits", one | {"status": "resolved"})
    assert post(client, "waits", alert(ops, 60, service="a", n="0"))["diagnoses"][0]["id"] == diagnosis
    (listed,) = client.get("/v1/diagnoses", params={"service": "a"}).json()["diagnoses"]
    assert (listed["alerts"], listed["recurrences"]) == (3, 1)
    figures = client.get("/metrics").text
    for event in ("opened", "joined", "begun", "closed", "reopened"):
        assert f'aiops_episodes_total{{event="{event}"}}' in figures
    assert 'aiops_episodes{state="open"}' in figures


def test_in_maintenance_it_is_suppressed_until_somebody_asks(house: tuple[Ops, httpx.Client]) -> None:
    ops, client = house
    receipt = post(client, "moves", alert(ops, service="moving"))
    assert (receipt["accepted"], receipt["suppressed"]) == (0, 1)
    diagnosis = receipt["diagnoses"][0]["id"]
    told = standing(client, diagnosis)
    assert told["status"] == "suppressed"
    assert "maintenance 'move' until 2100-01-01" in told["error"]
    assert client.post(f"/v1/diagnoses/{diagnosis}/start").json()["id"] == diagnosis
    assert ended(client, diagnosis)["status"] in ("done", "inconclusive")


def test_on_demand_it_waits_for_somebody_to_ask(house: tuple[Ops, httpx.Client]) -> None:
    ops, client = house
    receipt = post(client, "demand", alert(ops, service="b"), receiver="quiet")
    assert (receipt["accepted"], receipt["suppressed"]) == (0, 1)
    diagnosis = receipt["diagnoses"][0]["id"]
    told = standing(client, diagnosis)
    assert (told["status"], told["error"]) == ("suppressed", "rules/alerts.yaml says on_demand for it")
    begun = client.post(f"/v1/diagnoses/{diagnosis}/start")
    assert (begun.status_code, begun.json()["id"], begun.json()["episode_id"]) == (202, diagnosis, diagnosis)
    assert ended(client, diagnosis)["status"] in ("done", "inconclusive")
    second = client.post(f"/v1/diagnoses/{diagnosis}/start").json()
    assert second["id"] != diagnosis
    assert second["episode_id"] == diagnosis
    assert client.post("/v1/diagnoses/none/start").status_code == 404


def test_a_restart_begins_what_was_due_and_nothing_twice(tmp_path: Path, demo_case: Path) -> None:
    flags = {"model.url": "", "chat.url": "", "episodes.debounce_s": "1"}
    ids: list[str] = []
    for _ in range(3):
        with aiops.connect(f"case:{demo_case}", home=str(tmp_path), flags=flags) as ops, serving(ops) as client:
            ids.append(post(client, "restart", alert(ops, service="a"))["diagnoses"][0]["id"])
            if len(ids) > 1:
                ended(client, ids[0])
                made = client.get("/v1/diagnoses").json()["diagnoses"]
                assert [d["id"] for d in made] == [ids[0]]
    assert len(set(ids)) == 1
