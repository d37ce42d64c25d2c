"""`aiops remediate`: what is to be repaired, who agreed to it, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import Check, Repair, RepairStep

FORMS = ("text", "json", "yaml")
ENDED_WELL = ("succeeded",)
form_option = click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)


@click.group()
def remediate() -> None:
    """Plan, approve, run and take back repairs."""


@remediate.command()
@click.argument("report_id", metavar="REPORT")
@click.option("--runbook", default="", metavar="NAME", help="Instead of the one that the report proposes.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the runbook.")
@form_option
@common.sources
def plan(report_id: str, runbook: str, given: tuple[str, ...], form: str, home: str | None) -> int:
    """Say exactly what would be done about REPORT's first cause, where, within which limits. Runs nothing."""
    if wrong := [one for one in given if not one.partition("=")[1]]:
        raise click.UsageError(f"--set {wrong[0]}: write NAME=VALUE")
    with common.connect(home) as ops:
        made = ops.repairs.plan(report_id, runbook, dict(one.split("=", 1) for one in given))
    _put(made, form)
    return 0


@remediate.command()
@click.argument("repair_id", metavar="ID")
@click.option("--hash", "digest", default="", help="Of the plan that is meant, as `plan` shows it.")
@click.option("--note", default="", help="Why.")
@form_option
@common.sources
def approve(repair_id: str, digest: str, note: str, form: str, home: str | None) -> int:
    """Agree to exactly the plan ID, once, for 15 minutes.

    Nobody approves what they asked for; some runbooks want two people."""
    with common.connect(home) as ops:
        one = ops.repairs.approve(repair_id, digest, note)
    if len(one.approvals) < one.plan.approvers:
        common.note(f"{len(one.approvals)} of {one.plan.approvers} have approved it")
    _put(one, form)
    return 0


@remediate.command()
@click.argument("repair_id", metavar="ID")
@click.option("--why", default="", help="Why not.")
@form_option
@common.sources
def reject(repair_id: str, why: str, form: str, home: str | None) -> int:
    """Say no to the plan ID."""
    with common.connect(home) as ops:
        _put(ops.repairs.reject(repair_id, why), form)
    return 0


@remediate.command()
@click.argument("repair_id", metavar="ID")
@form_option
@common.sources
def run(repair_id: str, form: str, home: str | None) -> int:
    """Do what was approved, once; look for its effect; take it back where that is not seen.

    Ends with 0 where it succeeded, 1 where it did not, 4 where it was refused."""
    with common.connect(home) as ops:
        ops.repairs.recover()
        return _ended(ops.repairs.run(repair_id), form)


@remediate.command()
@click.argument("repair_id", metavar="ID")
@click.option("--why", default="", help="Why.")
@form_option
@common.sources
def undo(repair_id: str, why: str, form: str, home: str | None) -> int:
    """Take back what was run, as its plan says; once. Ends with 0 where that worked."""
    with common.connect(home) as ops:
        ops.repairs.recover()
        one = ops.repairs.undo(repair_id, why)
    _put(one, form)
    return 0 if one.state == "undone" else 1


@remediate.command("list")
@click.option("--state", metavar="STATE", help="Only those in this state, as planned or unknown.")
@click.option("--report", "report_id", default="", metavar="REPORT", help="Only those of this report.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@form_option
@common.home
def listed(state: str | None, report_id: str, limit: int, form: str, home: str | None) -> int:
    """List the repairs, newest first."""
    from aiops.cli.answers import columns
    from aiops.domain import RepairState
    from aiops.schema import wire

    if state is not None and state not in list(RepairState):
        raise click.UsageError(f"--state {state!r} is none of {', '.join(RepairState)}")
    with common.connect(home) as ops:
        ops.repairs.recover()
        found = ops.repairs.list(limit, RepairState(state) if state else None, report_id)
        stopped = ops.repairs.stopped()
    if stopped:
        common.note(f"repairs are stopped: {stopped}")
    if form != "text":
        common.put(common.dumped([wire.plain(one) | {"state": one.state} for one in found], form), None)
        return 0
    rows = [
        (
            one.id,
            f"{one.planned:%Y-%m-%dT%H:%M:%SZ}",
            one.state,
            one.plan.targets[0],
            one.plan.runbook,
            one.plan.report_id,
        )
        for one in found
    ]
    common.put(columns([("repair", "planned", "state", "target", "runbook", "report"), *rows]), None)
    return 0


@remediate.command()
@click.argument("repair_id", metavar="ID")
@click.option("--output", "step", type=int, metavar="STEP", help="What the run printed that ended with this step.")
@form_option
@common.home
def show(repair_id: str, step: int | None, form: str, home: str | None) -> int:
    """Show the plan ID and what has become of it."""
    with common.connect(home) as ops:
        ops.repairs.recover()
        if step is not None:
            common.put(ops.repairs.output(repair_id, step), None)
            return 0
        _put(ops.repairs.get(repair_id), form)
    return 0


@remediate.command()
@click.option("--why", default="", help="What whoever finds repairs stopped will read.")
@common.home
def stop(why: str, home: str | None) -> int:
    """Stop all repairs, in every process of this home directory: none begins, and scripts that run are killed."""
    with common.connect(home) as ops:
        ops.repairs.stop(why)
    common.note("repairs are stopped; `aiops remediate resume` lets them act again")
    return 0


@remediate.command()
@common.home
def resume(home: str | None) -> int:
    """Let repairs act again."""
    with common.connect(home) as ops:
        ops.repairs.resume()
    common.note("repairs may act again")
    return 0


@remediate.command()
@click.option("--forget", metavar="RUNBOOK", help="Forget what repairs by RUNBOOK have taught (all = by any).")
@common.home
def experience(forget: str | None, home: str | None) -> int:
    """Tell how often each runbook has worked; what has worked more often is proposed first."""
    from aiops.cli.answers import columns

    with common.connect(home) as ops:
        if forget is not None:
            common.note(f"forgotten: {ops.repairs.forget('' if forget == 'all' else forget)} kinds of fault")
        known = ops.repairs.experience()
    rows = [(one.runbook, one.fault, f"worked {one.worked} of {one.tried} times") for one in known]
    common.put(columns([("runbook", "fault", ""), *rows]), None)
    return 0


# ---------------------------------------------------------------- how it is shown


def _ended(one: Repair, form: str) -> int:
    _put(one, form)
    if one.state == "refused":
        return 4
    return 0 if one.state in ENDED_WELL else 1


def _put(one: Repair, form: str) -> None:
    from aiops.schema import wire

    if form != "text":
        common.put(common.dumped(wire.plain(one) | {"state": one.state}, form), None)
        return
    common.put("\n".join(_lines(one)), None)


def _lines(one: Repair) -> Iterable[str]:
    from aiops.plain import clean

    for name, value in _told(one).items():
        if value:
            yield f"{name:<12}{clean(value, 4000)}"
    for number, step in enumerate(one.steps):
        yield f"{number:>3} {step.at.at:%Y-%m-%dT%H:%M:%SZ}  {_step(step)}"


def _told(one: Repair) -> dict[str, str]:
    plan, limits = one.plan, one.plan.limits
    reach = [f"{plan.most_targets} targets"] if plan.most_targets else []
    reach += [f"{plan.most_percent} % of its kind"] if plan.most_percent else []
    confined = f"{limits.timeout_s:g} s, {limits.memory >> 20} MiB, {limits.pids} processes, weight {limits.cpu_weight}"
    return {
        "repair": f"{one.id}, {one.state}{f': {one.why}' if one.why else ''}",
        "what": f"{plan.title} ({plan.runbook}, of {plan.owner})",
        "target": ", ".join(plan.targets),
        "runs": " ".join(plan.words) + (f" (may ask for {', '.join(plan.verbs)})" if plan.verbs else ""),
        "within": f"sandbox, {confined}" if plan.script else f"our own verb, {limits.timeout_s:g} s",
        "reach": f"{' and '.join(reach)} within {plan.cool_down_s:g} s",
        "before": "; ".join(map(_check, plan.before)),
        "effect": f"{_check(plan.effect)}, within {plan.effect.within_s:g} s",
        "and": f"{_check(plan.alerted)}, which alerted" if plan.alerted else "",
        "undo": plan.undo_words,
        "why": "; ".join((plan.why, *plan.evidence)),
        "report": plan.report_id,
        "mode": f"{one.mode}, {plan.approvers} to approve",
        "asked for": f"by {one.requester.name or 'nobody known'} ({one.requester.channel})",
        "approved": ", ".join(f"by {given.actor.name} ({given.actor.channel})" for given in one.approvals),
        "hash": one.hash,
    }


def _check(check: Check) -> str:
    return f"{check.query} {check.holds}"


def _step(step: RepairStep) -> str:
    from aiops.plain import clean

    told = f"{step.state:<11}by {step.actor.name or step.actor.channel}"
    if step.status is not None:
        told += f", {step.status}"
    if step.usage is not None and step.usage.wall_ms:
        used = step.usage
        told += f", {used.wall_ms:.0f} ms, {used.cpu_ms:.0f} ms of processor, {used.memory_peak >> 20} MiB, {used.pids_peak} processes"
    return told + (f": {clean(step.why, 500)}" if step.why else "") + (" (--output)" if step.output else "")
