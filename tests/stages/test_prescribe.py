"""Prescribe: a fitting runbook is proposed; nothing is offered for a guess; no value of ours becomes an option."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from aiops import resources, rules
from aiops.domain import Alert, CausalPath, Experience, RootCause, RootCauses, Verdict
from aiops.stages.prescribe import prescribe

RUNBOOKS = rules.load(resources.folder("rules")).runbooks


def causes(node: str, fault: str, verdict: Verdict = Verdict.FOUND) -> RootCauses:
    cause = RootCause(1, node, "cpu", 0.9, CausalPath((node,), (), (None,), 0.0), (), fault=fault)
    return RootCauses(verdict, "", (cause,))


@pytest.mark.parametrize("fault", ["cpu", "memory", "network", "errors", "latency", "traffic", "change", "disk"])
def test_each_common_fault_has_a_proposal(fault: str) -> None:
    proposal = prescribe(causes("cart", fault), RUNBOOKS)
    assert proposal is not None
    assert proposal.target == "cart"
    assert proposal.argv
    assert proposal.check
    assert proposal.undo


def test_what_asks_for_more_is_proposed_first() -> None:
    cause = dataclasses.replace(causes("nginx", "crash").candidates[0], metric="node_systemd_unit_state")
    proposal = prescribe(RootCauses(Verdict.FOUND, "", (cause,)), RUNBOOKS)
    assert proposal is not None
    assert proposal.runbook == "restart-unit"
    assert proposal.argv == ("systemd.restart", "unit=nginx.service")
    other = prescribe(causes("nginx", "crash"), RUNBOOKS)
    assert other is not None
    assert other.runbook == "restart-deployment"


def test_what_has_worked_is_proposed_before_what_has_not() -> None:
    crash = RootCauses(
        Verdict.FOUND,
        "",
        (dataclasses.replace(causes("nginx", "crash").candidates[0], metric="node_systemd_unit_state"),),
    )
    tried = (Experience("restart-deployment", "crash", 2, 3), Experience("restart-unit", "crash", 0, 1))
    proposal = prescribe(crash, RUNBOOKS, tried)
    assert proposal is not None
    assert (proposal.runbook, proposal.worked, proposal.tried) == ("restart-deployment", 2, 3)
    assert prescribe(crash, RUNBOOKS[::-1], tried[::-1]) == proposal
    of_another_fault = tuple(dataclasses.replace(one, fault="cpu") for one in tried)
    other = prescribe(crash, RUNBOOKS, of_another_fault)
    assert other is not None
    assert (other.runbook, other.tried) == ("restart-unit", 0)


def test_a_runbook_can_want_labels_that_all_alerts_have() -> None:
    (wanting,) = (dataclasses.replace(r, labels={"team": "shop"}) for r in RUNBOOKS if r.name == "restart-deployment")
    crash = causes("cart", "crash")

    def alert(**labels: str) -> Alert:
        return Alert("f", "firing", labels, {}, datetime(2026, 3, 1, tzinfo=UTC))

    assert prescribe(crash, (wanting,), alerts=[alert(team="shop", a="1"), alert(team="shop", a="2")]) is not None
    assert prescribe(crash, (wanting,), alerts=[alert(team="shop"), alert(team="else")]) is None
    assert prescribe(crash, (wanting,)) is None


def test_what_a_person_must_give_is_shown_as_that() -> None:
    proposal = prescribe(causes("cart", "cpu"), RUNBOOKS)
    assert proposal is not None
    assert 'body={"replicas": <replicas>}' in proposal.argv


def test_a_guess_gets_none() -> None:
    assert prescribe(causes("cart", "cpu", Verdict.INCONCLUSIVE), RUNBOOKS) is None
    assert prescribe(RootCauses(Verdict.FOUND, "", ()), RUNBOOKS) is None
    assert prescribe(causes("cart", "unheard of"), RUNBOOKS) is None


@pytest.mark.parametrize("node", ["-rf", "--all", "a b", "a;b", "$(x)", "a\nb", "../etc", "a/b", "", "A" * 80])
def test_a_node_that_is_no_name_reaches_no_command(node: str) -> None:
    assert prescribe(causes(node, "cpu"), RUNBOOKS) is None


def test_off_is_off() -> None:
    quiet = tuple(dataclasses.replace(r, mode="off") for r in RUNBOOKS)
    assert prescribe(causes("cart", "cpu"), quiet) is None


def test_order_of_files_does_not_matter() -> None:
    assert prescribe(causes("cart", "errors"), RUNBOOKS) == prescribe(causes("cart", "errors"), RUNBOOKS[::-1])
