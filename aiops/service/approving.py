"""The pages of repairs: what is proposed, what waits for whom, what became of it, and the forms that decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import escape

from aiops.domain import Remediation, Repair, RepairState, RepairStep, Report
from aiops.errors import AiopsError, NotFound
from aiops.flows.repair import machine
from aiops.render import repair as told
from aiops.render.language import say, speaking
from aiops.render.shell import command
from aiops.service import pages, sheets, web
from aiops.service.desk import PROBLEM, At, Desk

PROPOSALS = 40  # newest reports among which proposals are looked for
SHOWN = 100  # repairs
TAKEN = 500  # repairs in a file
OUTPUT = 4_000  # characters of an output on a page; all of it is one link away
VALUE = "p."  # how a field is named that holds a parameter

# What a state is called.
STATES = {
    RepairState.PLANNED: "Waits for approval",
    RepairState.APPROVED: "Approved",
    RepairState.RUNNING: "Running",
    RepairState.VERIFYING: "Looking for its effect",
    RepairState.UNDOING: "Being undone",
    RepairState.SUCCEEDED: "Worked",
    RepairState.UNDONE: "Undone",
    RepairState.ESCALATED: "Needs a person",
    RepairState.FAILED: "Failed",
    RepairState.REJECTED: "Rejected",
    RepairState.EXPIRED: "Expired",
    RepairState.REFUSED: "Refused",
    RepairState.UNKNOWN: "Unknown",
}
UNDOABLE = frozenset(state for state, to in machine.MOVES.items() if RepairState.UNDOING in to) - machine.UNDER_WAY

router = APIRouter(tags=["people"], default_response_class=HTMLResponse)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a report proposes and nobody has planned. blanks: parameters whose value a person must give."""

    report: Report
    created: datetime

    @property
    def repair(self) -> Remediation:
        assert self.report.remediation
        return self.report.remediation

    @property
    def blanks(self) -> list[str]:
        return [name for name, value in self.repair.parameters.items() if value == f"<{name}>"]


# ---------------------------------------------------------------- the list


@router.get("/repairs", responses=PROBLEM)
def repairs(
    request: Request,
    desk: At,
    report: Annotated[str, Query(max_length=64)] = "",
    form: Annotated[Literal["html", "csv"], Query(alias="format")] = "html",
) -> Response:
    """Repairs by what they wait for, and what the latest reports propose; `report`: only those of one."""
    if form == "csv":
        return _sheet(desk.ops.repairs.list(TAKEN, report_id=report))
    return _listed(request, desk, report)


def _listed(request: Request, desk: Desk, report: str = "", note: str = "", status: int = 200) -> Response:
    found = desk.ops.repairs.list(SHOWN, report_id=report)
    groups = (
        ("Waiting for approval", [one for one in found if one.state is RepairState.PLANNED]),
        ("Approved, not yet run", [one for one in found if one.state is RepairState.APPROVED]),
        ("Under way", [one for one in found if one.state in machine.UNDER_WAY]),
        ("Ended", [one for one in found if one.state not in machine.OPEN]),
    )
    page = pages.page(
        "repairs",
        web.reader(request, desk),
        groups=[(title, rows) for title, rows in groups if rows],
        proposals=_proposals(desk, found, report),
        of=report,
        note=note,
        stopped=desk.ops.repairs.stopped(),
        taken=f"/repairs?{urlencode({'format': 'csv', **({'report': report} if report else {})})}",
        field=VALUE,
        **_shared(),
    )
    return web.answer(page, status)


def _proposals(desk: Desk, found: tuple[Repair, ...], report: str) -> list[Proposal]:
    """Of the latest reports; a report whose repair is planned already has its own row."""
    known = {one.plan.report_id for one in found if one.state in machine.OPEN}
    proposals = []
    for row in desk.ops.store.reports(PROPOSALS):
        if row["id"] in known or report not in ("", row["id"]):
            continue
        try:
            one = desk.ops.report(row["id"])
        except NotFound:  # forgotten since it was listed
            continue
        if one.remediation is not None:
            proposals.append(Proposal(one, datetime.fromisoformat(row["created"])))
    return proposals


def _sheet(found: tuple[Repair, ...]) -> Response:
    heads = (
        "id",
        "state",
        "title",
        "targets",
        "runbook",
        "requester",
        "planned",
        "approvals",
        "approvers",
        "why",
        "report",
    )
    rows = (
        (
            *(one.id, one.state, one.plan.title, ", ".join(one.plan.targets), one.plan.runbook, one.requester.name),
            *(
                one.planned,
                ", ".join(a.actor.name for a in one.approvals),
                one.plan.approvers,
                one.why,
                one.plan.report_id,
            ),
        )
        for one in found
    )
    return sheets.answer("repairs", heads, rows)


# ---------------------------------------------------------------- one


@router.get("/repairs/{repair_id}", responses=PROBLEM)
def repair(repair_id: str, request: Request, desk: At) -> Response:
    """One repair: exactly what would run, within which bounds, who decided, and what came of it."""
    return _one(request, desk, repair_id)


def _one(request: Request, desk: Desk, repair_id: str, note: str = "", status: int = 200) -> Response:
    found = desk.ops.repairs.get(repair_id)
    reader = replace(web.reader(request, desk), path="/repairs")
    kinds = desk.ops.repairs.experience()
    known = next((e for e in kinds if (e.runbook, e.fault) == (found.plan.runbook, found.plan.fault)), None)
    with speaking(reader.language):
        facts = told.planned(found.plan, found.mode)
        before = told.experience(known.worked, known.tried) if known else told.experience(0, 0)
        bar = _barred(desk, found)
    page = pages.page(
        "repair",
        reader,
        r=found,
        facts=facts,
        experience=before,
        barred=bar,
        may_undo=found.state in UNDOABLE and bool(found.plan.undo) and not found.undo_begun,
        going=found.state in machine.UNDER_WAY,
        past=desk.ops.sources.metrics.window() is not None,
        outputs={step: _output(desk, found, step) for step, one in enumerate(found.steps) if one.output},
        stopped=desk.ops.repairs.stopped(),
        note=note,
        used=_used,
        verbatim=web.verbatim,
        **_shared(),
    )
    return web.answer(page, status)


def _barred(desk: Desk, found: Repair) -> str:
    """Why whoever looks can't approve it, though the role would do; "" = they can."""
    actor = desk.ops.actor
    if machine.own(found, actor) and not desk.ops.governance.terms.self_approval:
        if desk.access.open:
            return say(
                "Without tokens nobody can be told from who asked for it. Use a tokens file, or set approvals.self."
            )
        return say("You asked for it, so somebody else must approve it.")
    if any(machine.same(actor, one.actor) for one in found.approvals):
        return say("You have approved it; somebody else must, too.")
    return ""


def _output(desk: Desk, found: Repair, step: int) -> str:
    """The end of what a run printed: there it says what went wrong."""
    try:
        text = desk.ops.repairs.output(found.id, step)
    except NotFound:
        return ""
    return text if len(text) <= OUTPUT else f"…{text[-OUTPUT:]}"


def _used(step: RepairStep) -> str:
    """What a run used, in words."""
    return told.used(step.usage) if step.usage else ""


def _shared() -> dict[str, object]:
    """What the templates of both pages speak with."""
    return {
        "STATES_OF_REPAIRS": STATES,
        "command": lambda argv: escape(command(argv)),
        "proposed": told.proposed,
        "ends": ends,
    }


def ends(found: Repair) -> datetime | None:
    """Until when it can be approved or run; None where nothing waits any more."""
    if found.state not in (RepairState.PLANNED, RepairState.APPROVED):
        return None
    life = machine.PLAN_S if found.state is RepairState.PLANNED else machine.APPROVAL_S
    moments = [found.steps[-1].at.at + timedelta(seconds=life)]
    moments += [one.at.at + timedelta(seconds=machine.APPROVAL_S) for one in found.approvals]
    return min(moments).astimezone(UTC)


# ---------------------------------------------------------------- deciding


@router.post("/repairs/plan", responses=PROBLEM)
async def plan(request: Request, desk: At) -> Response:
    """Plans what a report proposes, and leads to the plan. Runs nothing."""
    form = await web.form_of(request)
    given = {name.removeprefix(VALUE): value for name, value in form.items() if name.startswith(VALUE)}
    report = form.get("report", "")

    def act() -> str:
        return desk.ops.repairs.plan(report, form.get("runbook", ""), given).id

    return await _done(act, lambda note, status: _listed(request, desk, report, note, status))


@router.post("/repairs/stop", responses=PROBLEM)
async def stop(request: Request, desk: At) -> Response:
    """No repair acts from now on."""
    form = await web.form_of(request)

    def act() -> str:
        desk.ops.repairs.stop(form.get("why", ""))
        return ""

    return await _done(act, lambda note, status: _listed(request, desk, "", note, status))


@router.post("/repairs/resume", responses=PROBLEM)
async def resume(request: Request, desk: At) -> Response:
    """Repairs may act again."""

    def act() -> str:
        desk.ops.repairs.resume()
        return ""

    return await _done(act, lambda note, status: _listed(request, desk, "", note, status))


@router.post("/repairs/{repair_id}/{action}", responses=PROBLEM)
async def decide(
    repair_id: str, action: Literal["approve", "reject", "run", "undo"], request: Request, desk: At
) -> Response:
    """Approves exactly the plan that was shown, rejects it, or begins to run or to undo it; leads back to it."""
    form = await web.form_of(request)

    def act() -> str:
        _ACTIONS[action](desk, repair_id, form)
        return repair_id

    return await _done(act, lambda note, status: _one(request, desk, repair_id, note, status))


_ACTIONS: Mapping[str, Callable[[Desk, str, Mapping[str, str]], Repair]] = {
    "approve": lambda desk, one, form: desk.ops.repairs.approve(one, form.get("hash", "none"), form.get("why", "")),
    "reject": lambda desk, one, form: desk.ops.repairs.reject(one, form.get("why", "")),
    "run": lambda desk, one, _: desk.repairing.begin(desk.ops.repairs, one),
    "undo": lambda desk, one, form: desk.repairing.undo(desk.ops.repairs, one, form.get("why", "")),
}


async def _done(act: Callable[[], str], again: Callable[[str, int], Response]) -> Response:
    """Leads to the page of what `act` names; where it fails, the page is shown again with the reason."""

    def work() -> Response:
        try:
            where = act()
        except NotFound:
            raise
        except AiopsError as error:
            return again(str(error), error.http_status)
        return RedirectResponse(f"/repairs/{where}" if where else "/repairs", 303)

    return await anyio.to_thread.run_sync(work)
