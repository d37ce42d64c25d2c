"""Over HTTP: who asks is the token's name; people don't edit each other's questions, and every turn is in the audit log."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiops.errors import StoreError
from aiops.ops import Ops
from aiops.service import server
from aiops.service.access import Access, Tokens, new_token

PEOPLE = ("ann", "bob")


@pytest.fixture
def people(ops: Ops, tmp_path: Path) -> Iterator[dict[str, httpx.Client]]:
    """A client for each of two people, of one server."""
    made = {name: new_token("operator", name) for name in PEOPLE}
    file = tmp_path / "tokens"
    file.write_text("\n".join(line for _, line in made.values()), encoding="utf-8")
    ready, opened = threading.Event(), server.bind("127.0.0.1:0")
    running = server.server(ops, external_url="", body_limit=2**20, ready=ready.set, access=Access(Tokens(file)))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
    thread.start()
    clients = {
        name: httpx.Client(
            base_url=server.url(opened), timeout=60, trust_env=False, headers={"authorization": f"Bearer {token}"}
        )
        for name, (token, _) in made.items()
    }
    try:
        assert ready.wait(120)
        yield clients
    finally:
        for client in clients.values():
            client.close()
        running.should_exit = True
        thread.join(120)
        opened.close()


def turns(ops: Ops) -> list[dict[str, Any]]:
    assert ops.store.audit_verify()[1] == ""
    return [dict(each["entry"]) for each in ops.store.audit_entries() if each["kind"] == "turn"]  # type: ignore[call-overload]


def ask(client: httpx.Client, text: str, session: str = "thread", plan: bool = True) -> dict[str, Any]:
    answer = client.post("/v1/ask", json={"text": text, "session": session, "plan": plan})
    assert answer.status_code in (200, 202), answer.text
    return dict(answer.json())


def test_two_people_in_one_session_do_not_edit_each_other(ops: Ops, people: dict[str, httpx.Client]) -> None:
    def converse(name: str, service: str) -> list[list[str]]:
        ask(people[name], f"show me the latency of {service} over the last 30 minutes")
        return [ask(people[name], f"over the last {n} minutes")["task"]["inputs"]["services"] for n in (5, 10)]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(converse, "ann", "gateway")
        second = pool.submit(converse, "bob", "orders")
        mine, theirs = first.result(), second.result()
    assert all(found == mine[0] and len(found) == 1 for found in mine)
    assert all(found == theirs[0] and len(found) == 1 for found in theirs)
    assert mine[0] != theirs[0]
    found = turns(ops)
    assert sorted(each["actor"] for each in found) == ["ann"] * 3 + ["bob"] * 3
    assert {(each["channel"], each["session"], each["action"]) for each in found} == {("http", "thread", "ask")}


def test_a_question_its_task_and_its_diagnosis_are_one_trail(ops: Ops, people: dict[str, httpx.Client]) -> None:
    token = people["ann"].headers["authorization"].split()[1]
    answer = ask(people["ann"], "why is the gateway service slow?", plan=False)
    ask(people["bob"], "why is the gateway slow? my password is hunter2x")
    started = answer["diagnosis"]["id"]
    for _ in range(1200):
        if people["ann"].get(f"/v1/diagnoses/{started}").json()["status"] not in ("queued", "running"):
            break
        time.sleep(0.1)
    found = turns(ops)
    (masked,) = [each for each in found if each["actor"] == "bob"]
    assert masked["text"] == "why is the gateway slow? my password is ***"
    asked, submitted, ran = [each for each in found if each["actor"] != "bob"]
    assert (asked["action"], asked["channel"], asked["actor"]) == ("ask", "http", "ann")
    assert (submitted["action"], submitted["actor"], submitted["report"]) == ("submit", "ann", started)
    assert (ran["action"], ran["channel"], ran["report"], ran["status"]) == ("run", "worker", started, "success")
    assert asked["task"] == submitted["task"] == ran["task"]
    whole = json.dumps(list(ops.store.audit_entries()))
    assert "hunter2x" not in whole
    assert token not in whole


def test_what_cannot_be_audited_is_not_answered(
    ops: Ops, people: dict[str, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("store.db: no space is left on the device")

    monkeypatch.setattr(type(ops.store), "audit", full)
    answer = people["ann"].post("/v1/ask", json={"text": "why is the gateway slow?"})
    assert answer.status_code == 503
    assert "no space is left" in answer.json()["detail"]
    assert "task" not in answer.json()
