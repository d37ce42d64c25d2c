"""Repairs over HTTP: plan, approve, reject, run, undo, and the switch that stops them all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from aiops.domain import Repair, RepairState
from aiops.schema import http, wire
from aiops.service.desk import PROBLEM, At, Desk, Limit

router = APIRouter(prefix="/v1/remediations", tags=["v1"])
Empty = http.Decision()


@router.get("", responses=PROBLEM)
def listed(
    desk: At,
    limit: Limit = 50,
    state: RepairState | None = None,
    report_id: Annotated[str, Query(max_length=64)] = "",
) -> http.Remediations:
    """Newest first."""
    repairs = desk.ops.repairs
    return http.Remediations(
        stopped=repairs.stopped() or None,
        remediations=[shown(desk, one) for one in repairs.list(limit, state, report_id)],
    )


@router.post("", status_code=201, responses=PROBLEM)
def plan(asked: http.RepairAsked, response: Response, desk: At) -> http.Remediation:
    """Plans a repair of what a report found; runs nothing. The same plan that is still open is joined."""
    made = desk.ops.repairs.plan(asked.report_id, asked.runbook, asked.parameters)
    response.headers["location"] = desk.link(f"/v1/remediations/{made.id}")
    return shown(desk, made)


@router.post("/stop", responses=PROBLEM)
def stop(desk: At, said: http.Decision = Empty) -> http.Remediations:
    """No repair acts from now on, and scripts that run are killed."""
    desk.ops.repairs.stop(said.why)
    return listed(desk)


@router.post("/resume", responses=PROBLEM)
def resume(desk: At) -> http.Remediations:
    """Repairs may act again."""
    desk.ops.repairs.resume()
    return listed(desk)


@router.get("/{repair_id}", responses=PROBLEM)
def one(repair_id: str, desk: At) -> http.Remediation:
    """What is planned, and what has become of it."""
    return shown(desk, desk.ops.repairs.get(repair_id))


@router.get("/{repair_id}/output/{step}", response_class=PlainTextResponse, responses=PROBLEM)
def output(repair_id: str, step: int, desk: At) -> str:
    """What the run printed that ended with that step, from 0."""
    return desk.ops.repairs.output(repair_id, step)


@router.post("/{repair_id}/approve", responses=PROBLEM)
def approve(repair_id: str, desk: At, said: http.Decision = Empty) -> http.Remediation:
    """Agrees to exactly this plan, once, for 15 minutes. Nobody approves what he or she asked for."""
    return shown(desk, desk.ops.repairs.approve(repair_id, said.hash, said.why))


@router.post("/{repair_id}/reject", responses=PROBLEM)
def reject(repair_id: str, desk: At, said: http.Decision = Empty) -> http.Remediation:
    """It is not to be run."""
    return shown(desk, desk.ops.repairs.reject(repair_id, said.why))


@router.post("/{repair_id}/run", status_code=202, responses=PROBLEM)
def run(repair_id: str, desk: At) -> http.Remediation:
    """Begins to run what was approved; look again to see what has become of it."""
    return shown(desk, desk.repairing.begin(desk.ops.repairs, repair_id))


@router.post("/{repair_id}/undo", status_code=202, responses=PROBLEM)
def undo(repair_id: str, desk: At, said: http.Decision = Empty) -> http.Remediation:
    """Begins to take back what was run, as its plan says; once."""
    return shown(desk, desk.repairing.undo(desk.ops.repairs, repair_id, said.why))


def shown(desk: Desk, repair: Repair) -> http.Remediation:
    """As JSON tells it."""
    told = wire.plain(repair)
    return http.Remediation(
        id=repair.id,
        state=repair.state,
        why=repair.why or None,
        mode=repair.mode,
        hash=repair.hash,
        requester=repair.requester.name,
        planned=repair.planned,
        report_url=desk.link(f"/reports/{repair.plan.report_id}"),
        plan=told["plan"],
        approvals=[http.Approved(by=a.actor.name, at=a.at.at, note=a.note or None) for a in repair.approvals],
        steps=told["steps"],
    )
