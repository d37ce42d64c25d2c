"""Repairs over HTTP: who may do what to them, what the answers tell, what runs in the background, and what a death leaves."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from repairs.conftest import Place, kept, placed, shop, watched
from service.conftest import serving

from aiops.domain import Actor, RepairState
from aiops.ops import Ops
from aiops.service import repairing
from aiops.service.access import Access, Tokens

__all__ = ["shop", "watched"]  # fixtures of the repairs' own tests
PATIENCE_S = 240.0
WHO = ("viewer", "operator", "approver", "admin")


@pytest.fixture
def place(shop: object, watched: str, tmp_path: Path) -> Place:
    return placed(tmp_path, watched, shop.port)  # type: ignore[attr-defined]


@contextmanager
def people(ops: Ops, folder: Path) -> Iterator[Callable[[str], httpx.Client]]:
    """A client for each role, whose name is that of its role; two approvers."""
    file = folder / "tokens"
    lines = [
        f"{who.rstrip('2')} {who} sha256:{hashlib.sha256(who.encode()).hexdigest()}" for who in (*WHO, "approver2")
    ]
    file.write_text("\n".join(lines))
    with serving(ops, access=Access(Tokens(file))) as client:

        def of(who: str) -> httpx.Client:
            client.headers["authorization"] = f"Bearer {who}"
            return client

        yield of


def ended(client: httpx.Client, url: str, state: str) -> dict[str, object]:
    end = time.monotonic() + PATIENCE_S
    while (told := client.get(url).json())["state"] != state:
        assert time.monotonic() < end, told
        time.sleep(0.05)
    return dict(told)


def test_from_plan_to_undo(place: Place, tmp_path: Path) -> None:
    with place.open() as ops, people(ops, tmp_path) as of:
        kept(ops)
        asked = {"report_id": "r1", "parameters": {"replicas": "3"}}
        assert of("viewer").post("/v1/remediations", json=asked).status_code == 403
        made = of("approver").post("/v1/remediations", json=asked)
        assert made.status_code == 201
        plan = made.json()
        url = made.headers["location"]
        assert plan["state"] == "planned"
        assert plan["requester"] == "approver"
        assert 'body={"replicas": 3}' in plan["plan"]["words"]
        assert of("approver").post(f"{url}/run").status_code == 403
        assert of("operator").post(f"{url}/approve").status_code == 403
        assert of("approver").post(f"{url}/approve").status_code == 403, "nobody approves their own"
        assert of("approver2").post(f"{url}/approve", json={"hash": "0" * 64}).status_code == 403
        given = of("approver2").post(f"{url}/approve", json={"hash": plan["hash"], "why": "go"})
        assert given.json()["approvals"][0]["by"] == "approver2"
        assert of("approver2").post(f"{url}/approve").status_code == 403
        assert of("approver2").post(f"{url}/run").status_code == 202
        told = ended(of("viewer"), url, "succeeded")
        number = next(i for i, step in enumerate(told["steps"]) if step["output"])  # type: ignore[arg-type,index,var-annotated]
        assert of("viewer").get(f"{url}/output/{number}").text.startswith("200 password=***")
        assert of("viewer").get(f"{url}/output/0").status_code == 404
        assert of("approver").post(f"{url}/undo", json={"why": "too dear"}).status_code == 202
        ended(of("viewer"), url, "undone")
        assert of("approver").post(f"{url}/undo").status_code == 403
        listed = of("viewer").get("/v1/remediations", params={"state": "undone", "report_id": "r1"}).json()
        assert [one["id"] for one in listed["remediations"]] == [plan["id"]]
        assert 'aiops_repairs{state="undone"} 1' in of("viewer").get("/metrics").text
        assert of("viewer").get("/v1/remediations/none").status_code == 404


def test_the_switch_is_for_admins(place: Place, tmp_path: Path) -> None:
    with place.open() as ops, people(ops, tmp_path) as of:
        kept(ops)
        assert of("approver").post("/v1/remediations/stop").status_code == 403
        assert of("admin").post("/v1/remediations/stop", json={"why": "look"}).json()["stopped"] == "look (admin, http)"
        assert "aiops_repairs_stopped 1" in of("viewer").get("/metrics").text
        url = of("operator").post("/v1/remediations", json={"report_id": "r1"}).headers["location"]
        of("approver").post(f"{url}/approve")
        of("approver").post(f"{url}/run")
        assert "repairs are stopped: look" in str(ended(of("viewer"), url, "refused")["why"])
        of("admin").post("/v1/remediations/resume")
        assert of("viewer").get("/v1/remediations").json()["stopped"] is None


def test_a_mode_says_what_a_diagnosis_does_by_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """suggest: nothing; approve: a plan that runs once it is approved; auto: it is run."""
    monkeypatch.setattr(repairing, "EVERY_S", 0.1)
    with place.open() as ops:
        assert ops.repairs.propose(kept(ops)) is None
    place.scale(mode="approve")
    for mode, ending in (("approve", RepairState.SUCCEEDED), ("auto", RepairState.SUCCEEDED)):
        place.scale(mode=mode)
        with place.open(repairs__mode=mode) as ops, serving(ops) as client:
            report = kept(ops, f"of-{mode}", runbook="scale", mode=mode)
            made = ops.by(Actor("aiops", "aiops")).repairs.propose(report)
            assert made is not None
            if mode == "approve":
                assert client.post(f"/v1/remediations/{made.id}/approve").status_code == 200
            end = time.monotonic() + PATIENCE_S
            while ops.repairs.get(made.id).state is not ending:
                assert time.monotonic() < end, ops.repairs.get(made.id)
                time.sleep(0.05)
            assert len(ops.repairs.get(made.id).approvals) == (mode == "approve")


def test_what_a_death_has_cut_off_is_unknown_at_the_next_start(place: Place) -> None:
    with place.open() as ops:
        kept(ops)
        made = ops.by(Actor("http", "alice")).repairs.plan("r1")
        ops.by(Actor("http", "bob")).repairs.approve(made.id)
        now = ops.governance.premises.now()
        from aiops.flows.repair import book, machine

        def die(ledger: object) -> None:
            before = ops.store.repair(made.id)
            assert before
            after = machine.begun(before, before.hash, "", Actor("http", "bob"), now)
            book.save(ledger, before, after, "start", Actor("http", "bob"))  # type: ignore[arg-type]

        ops.store.govern(die)
    with place.open() as ops, serving(ops) as client:
        url = f"/v1/remediations/{made.id}"
        end = time.monotonic() + PATIENCE_S
        while client.get(url).json()["state"] != "unknown":
            assert time.monotonic() < end
            time.sleep(0.05)
        assert client.post(f"{url}/run").status_code == 403
        assert 'aiops_repairs{state="unknown"} 1' in client.get("/metrics").text
        assert ops.store.audit_verify()[1] == ""
