"""`aiops remediate`: from a plan to its end, with the exit codes of the contract; and what repairs taught, in the next report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aiops
from aiops.adapters.sqlite import StoreDB

Run = Callable[..., Any]


@pytest.fixture
def report(run: Run, demo_case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("diagnose", "--case", demo_case, "--format", "json").out)
    return found


def planned(run: Run, report: dict[str, Any], *more: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(run("remediate", "plan", report["id"], "--format", "json", *more).out)
    return made


def test_from_a_plan_to_its_end(
    run: Run, report: dict[str, Any], demo_case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = planned(run, report, "--set", "for=2h")
    assert made["state"] == "planned"
    assert made["plan"]["words"] == [*report["remediation"]["argv"][:2], "for=2h", *report["remediation"]["argv"][3:]]
    told = run("remediate", "show", made["id"])
    for words in ("alertmanager.silence", "3 targets and 10 % of its kind", "asked for", made["hash"], "for=2h"):
        assert words in told.out
    assert planned(run, report, "--set", "for=2h")["id"] == made["id"], "the same plan is joined"
    own = run("remediate", "approve", made["id"])
    assert (own.code, "somebody else must approve it" in own.err) == (4, True)
    monkeypatch.setenv("AIOPS_APPROVALS__SELF", "true")
    assert run("remediate", "approve", made["id"], "--hash", "0" * 64).code == 4
    assert run("remediate", "approve", made["id"], "--hash", made["hash"]).code == 0
    refused = run("remediate", "run", made["id"])
    assert (refused.code, "nothing can be repaired in the past" in refused.err) == (
        4,
        True,
    ) or "no metrics" in refused.err
    assert run("remediate", "run", made["id"]).code == 4
    assert run("remediate", "undo", made["id"]).code == 4
    other = planned(run, report)
    assert run("remediate", "reject", other["id"], "--why", "not now").code == 0
    listed = json.loads(run("remediate", "list", "--format", "json").out)
    assert (listed[0]["id"], listed[0]["state"]) == (other["id"], "rejected")
    assert run("audit", "verify").code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["plan", "none"], 2),
        (["approve", "none"], 2),
        (["show", "none"], 2),
        (["list", "--state", "gone"], 2),
        (["resume"], 2),
    ],
)
def test_what_is_not_there_is_a_usage_error(run: Run, words: list[str], code: int) -> None:
    assert run("remediate", *words).code == code


def test_parameters_are_checked(run: Run, report: dict[str, Any]) -> None:
    for given in ("for=-1h", "for=30d", "node=$(id)", "no=1", "for"):
        assert run("remediate", "plan", report["id"], "--set", given).code == 2, given
    assert run("remediate", "plan", report["id"], "--runbook", "restart-unit").code == 4
    assert run("remediate", "plan", report["id"], "--runbook", "no-such").code == 2


def test_the_switch(run: Run) -> None:
    assert run("remediate", "stop", "--why", "look first").code == 0
    assert "look first" in run("remediate", "list").err
    assert "are stopped: look first" in run("doctor").out
    assert run("remediate", "resume").code == 0
    assert "stopped" not in run("remediate", "list").err


def test_self_approval_is_not_for_those_whom_tokens_tell_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_APPROVALS__SELF", "true")
    monkeypatch.setenv("AIOPS_SERVICE__TOKENS_FILE", "tokens")
    assert run("remediate", "list").code == 2


def test_what_repairs_taught_is_seen_in_the_next_report_and_replayed(
    run: Run, demo_case: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    def learn(*worked: bool) -> None:
        store = StoreDB(tmp_path / "home" / "store.db")
        for one in worked:
            store.govern(lambda book, one=one: book.learn("silence", "network", worked=one))  # type: ignore[misc]
        store.close()

    assert (report["remediation"]["worked"], report["remediation"]["tried"]) == (0, 0)
    learn(*[True] * 7, False, False)
    assert "worked 7 of 9 times" in run("remediate", "experience").out
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path / "home")) as ops:
        then = ops.diagnose()
        assert then.remediation
        assert (then.remediation.worked, then.remediation.tried) == (7, 9)
    learn(False)
    again = json.loads(run("replay", then.id, "--format", "json").out)
    assert (again["remediation"]["worked"], again["remediation"]["tried"]) == (7, 9)
    assert "1 kinds" in run("remediate", "experience", "--forget", "silence").err
    assert "worked" not in run("remediate", "experience").out
    assert run("audit", "verify").code == 0
