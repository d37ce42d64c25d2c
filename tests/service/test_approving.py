"""The pages of repairs, with people who have tokens of their own."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path

import httpx
import pytest
from service.conftest import serving

import aiops
from aiops.domain import RepairState
from aiops.ops import Ops
from aiops.render.language import catalogue
from aiops.service import approving
from aiops.service.access import Access, Tokens, new_token

PEOPLE = {"eve": "viewer", "olga": "operator", "ada": "approver", "bob": "approver", "root": "admin"}
EVIL = "<script>alert(1)</script>=1+1\x1b[31m"


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory, demo_case: Path) -> Iterator[Ops]:
    home = str(tmp_path_factory.mktemp("repairs"))
    with aiops.connect(f"case:{demo_case}", home=home, flags={"model.url": ""}) as opened:
        yield opened


@pytest.fixture(scope="module")
def people(ops: Ops, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    """Everybody's own client."""
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    made = {name: new_token(role, name) for name, role in PEOPLE.items()}
    file.write_text("\n".join(line for _, line in made.values()))
    with serving(ops, access=Access(Tokens(file))) as client, ExitStack() as stack:

        def own(token: str) -> httpx.Client:
            headers = {"authorization": f"Bearer {token}", "accept": "text/html"}
            made = httpx.Client(base_url=client.base_url, timeout=60, trust_env=False, headers=headers)
            return stack.enter_context(made)

        yield {name: own(token) for name, (token, _) in made.items()}


@pytest.fixture(scope="module")
def report(ops: Ops) -> str:
    return ops.diagnose().id


def fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that leads there."""
    (form,) = re.findall(rf'<form[^>]*action="{action}"[^>]*>(.*?)</form>', page, re.DOTALL)
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(.*?)" value="(.*?)"', form)}


def planned(people: dict[str, httpx.Client], report: str, who: str) -> str:
    """Where the plan of that person is."""
    listed = people[who].get("/repairs", params={"report": report}).text
    made = people[who].post("/repairs/plan", data=fields(listed, "/repairs/plan"))
    assert made.status_code == 303, made.text
    return made.headers["location"]


def test_what_one_plans_another_approves_and_nobody_twice(
    people: dict[str, httpx.Client], report: str, ops: Ops
) -> None:
    assert 'action="/repairs/plan"' not in people["eve"].get("/repairs").text
    place = planned(people, report, "ada")
    page = people["ada"].get(place).text
    repair = ops.repairs.get(place.rpartition("/")[2])
    for word in (*repair.plan.words, "at most 3 targets", "the silence ends by itself", "ada (http)", repair.hash):
        assert word in unescape(page)
    assert "You asked for it" in page
    assert f'action="{place}/approve"' not in page
    own = people["ada"].post(f"{place}/approve", data={"hash": repair.hash})
    assert own.status_code == 403
    assert "somebody else must approve it" in own.text
    assert f'action="{place}' not in people["olga"].get(place).text  # no form for who may not
    assert people["olga"].post(f"{place}/approve", data={"hash": repair.hash}).status_code == 403
    shown = fields(people["bob"].get(place).text, f"{place}/approve")
    assert shown == {"hash": repair.hash}
    for wrong in ({}, {"hash": "0" * 64}):
        assert people["bob"].post(f"{place}/approve", data=wrong).status_code == 403
    assert people["bob"].post(f"{place}/approve", data={**shown, "why": EVIL}).status_code == 303
    approved = people["bob"].get(place).text
    assert "bob (http)" in approved
    assert "<script>alert" not in approved
    assert "data-until" in approved
    assert "nothing can be repaired in the past" in approved  # the demo's incident is over
    assert people["bob"].post(f"{place}/approve", data=shown).status_code == 403
    assert people["bob"].post(f"{place}/reject", data={"why": EVIL}).status_code == 303
    ended = people["eve"].get("/repairs").text
    assert "Rejected" in ended
    assert "<script>alert" not in ended
    table = csv.DictReader(
        io.StringIO(people["eve"].get("/repairs?format=csv").content.decode("utf-8-sig"), newline="")
    )
    (row,) = table
    assert (row["state"], row["requester"], row["approvals"]) == ("rejected", "ada", "bob")
    assert not [cell for cell in row.values() if cell.startswith(("=", "+", "@"))]


def test_an_admin_stops_all_repairs_and_lets_them_act_again(people: dict[str, httpx.Client]) -> None:
    assert people["bob"].post("/repairs/stop", data={"why": "no"}).status_code == 403
    assert people["root"].post("/repairs/stop", data={"why": EVIL}).status_code == 303
    page = people["eve"].get("/repairs").text
    assert "All repairs are stopped" in page
    assert "root" in page
    assert "<script>alert" not in page
    assert people["root"].post("/repairs/resume").status_code == 303
    assert "All repairs are stopped" not in people["eve"].get("/repairs").text


def test_what_is_not_there_is_told(people: dict[str, httpx.Client]) -> None:
    assert people["eve"].get("/repairs/none").status_code == 404
    for action in ("approve", "reject", "run", "undo"):
        assert people["bob"].post(f"/repairs/none/{action}").status_code == 404
    assert people["bob"].post("/repairs/none/delete").status_code == 400
    assert people["olga"].post("/repairs/plan", data={"report": "none"}).status_code == 404


def test_pages_elsewhere_can_decide_nothing(people: dict[str, httpx.Client]) -> None:
    for path in ("/repairs/plan", "/repairs/stop", "/repairs/x/approve", "/repairs/x/run"):
        assert people["root"].post(path, headers={"origin": "https://evil.example"}).status_code == 403


def test_every_state_has_a_name_in_both_languages() -> None:
    assert set(approving.STATES) == set(RepairState)
    assert set(approving.STATES.values()) <= set(catalogue("zh").words)
