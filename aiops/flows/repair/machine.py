"""What may become of a repair: pure functions from one to the next, and the only ones that give it another state.

`MOVES` is the whole machine; docs/repairs.md draws it. Each function raises Refused, and changes nothing, where the repair is not
in a state from which it may. Who approved what, and whether that still counts, is decided here and nowhere else.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Mapping

from aiops.domain import Actor, Approval, Instant, Outcome, Repair, RepairPlan, RepairState, RepairStep, RunStatus
from aiops.errors import Refused

S = RepairState
MOVES: Mapping[RepairState, frozenset[RepairState]] = {
    S.PLANNED: frozenset({S.APPROVED, S.REJECTED, S.EXPIRED}),
    S.APPROVED: frozenset({S.RUNNING, S.REJECTED, S.EXPIRED, S.REFUSED}),
    S.RUNNING: frozenset({S.VERIFYING, S.FAILED, S.REFUSED, S.UNKNOWN}),
    S.VERIFYING: frozenset({S.SUCCEEDED, S.UNDOING, S.ESCALATED, S.UNKNOWN}),
    S.UNDOING: frozenset({S.UNDONE, S.ESCALATED, S.UNKNOWN}),
    S.SUCCEEDED: frozenset({S.UNDOING}),
    S.FAILED: frozenset({S.UNDOING}),
    S.ESCALATED: frozenset({S.UNDOING}),
    S.UNKNOWN: frozenset({S.UNDOING}),
    **dict.fromkeys((S.UNDONE, S.REJECTED, S.EXPIRED, S.REFUSED), frozenset()),
}
UNDER_WAY = frozenset({S.RUNNING, S.VERIFYING, S.UNDOING})
OPEN = frozenset({S.PLANNED, S.APPROVED}) | UNDER_WAY

APPROVAL_S = 15 * 60.0  # how long an approval counts
PLAN_S = 4 * 3600.0  # how long a plan waits for one
SLACK_S = 2.0  # by which a calendar may be put back while nobody minds: it is never what a lifetime is measured by then
HOUSE = Actor("aiops", "aiops")  # who plans for alerts, and runs what needs no approval
MACHINES = frozenset({"aiops", "worker", "timer", "mcp"})  # channels that no person approves through
ANONYMOUS = frozenset({"", "local"})  # names that anybody may have


# ---------------------------------------------------------------- time and people


def elapsed(then: Instant, now: Instant) -> float | None:
    """Seconds, by whichever clock says more. None where they can't be told: the machine was started anew, or a clock put back."""
    ticks, calendar = (now.ticks_ms - then.ticks_ms) / 1e3, (now.at - then.at).total_seconds()
    if then.boot != now.boot or ticks < 0 or calendar < -SLACK_S:
        return None
    return max(ticks, calendar)


def fresh(then: Instant, now: Instant, life_s: float) -> bool:
    """Whether less than `life_s` is over for certain."""
    over = elapsed(then, now)
    return over is not None and over < life_s


def same(one: Actor, other: Actor) -> bool:
    """Whether both may be one person: by name, whatever the channel. Who has no name may be anybody."""
    names = {unicodedata.normalize("NFKC", actor.name).casefold().strip() for actor in (one, other)}
    return len(names) == 1 or bool(names & ANONYMOUS)


def is_person(actor: Actor) -> bool:
    """Whether somebody, and no part of the house, stands behind it."""
    name = unicodedata.normalize("NFKC", actor.name).casefold().strip()
    return actor.channel not in MACHINES and name not in {"", HOUSE.name}


def own(repair: Repair, actor: Actor) -> bool:
    """Whether an approval of `actor` would be one of what he or she asked for."""
    return repair.requester != HOUSE and same(repair.requester, actor)


# ---------------------------------------------------------------- from one state to the next


def planned(repair_id: str, plan: RepairPlan, digest: str, mode: str, requester: Actor, now: Instant) -> Repair:
    """A new one."""
    return Repair(repair_id, plan, digest, mode, requester, (RepairStep(S.PLANNED, now, requester, plan.why),))


def aged(repair: Repair, now: Instant) -> Repair:
    """The repair, expired where its plan has waited, or one of its approvals is older than it may be."""
    if repair.state is S.PLANNED:
        alive = fresh(repair.steps[0].at, now, PLAN_S) and _fresh_approvals(repair, now)
        return repair if alive else _moved(repair, S.EXPIRED, HOUSE, now, "nobody approved it in time")
    if repair.state is S.APPROVED and not (
        _fresh_approvals(repair, now) and fresh(repair.steps[-1].at, now, APPROVAL_S)
    ):
        return _moved(repair, S.EXPIRED, HOUSE, now, "it was not run in time after it was approved")
    return repair


def approved(repair: Repair, given: Approval, *, self_approval: bool, now: Instant) -> Repair:
    """With one approval more, and approved where those are enough; expired where it is too late.

    self_approval: whether somebody may approve what he or she asked for."""
    repair = aged(repair, now)
    if repair.state is S.EXPIRED:
        return repair
    _must(repair, S.PLANNED, "be approved")
    if given.hash != repair.hash:
        raise Refused(f"this approves another plan: {repair.id} has the hash {repair.hash}")
    if not is_person(given.actor):
        raise Refused("only a person can approve")
    if own(repair, given.actor) and not self_approval:
        raise Refused(
            f"{_named(given.actor)} asked for {repair.id}, so that somebody else must approve it (see approvals.self)"
        )
    if any(same(given.actor, before.actor) for before in repair.approvals):
        raise Refused(f"{_named(given.actor)} may have approved {repair.id} already; a second person must")
    repair = dataclasses.replace(repair, approvals=(*repair.approvals, given))
    if len(repair.approvals) < repair.plan.approvers:
        return repair
    return _moved(repair, S.APPROVED, given.actor, now, given.note)


def permitted(repair: Repair, now: Instant) -> Repair:
    """Approved by nobody, where its mode is `auto`."""
    repair = aged(repair, now)
    if repair.state is S.EXPIRED:
        return repair
    if repair.mode != "auto":
        raise Refused(f"{repair.id} has the mode {repair.mode}: a person must approve it")
    return _moved(repair, S.APPROVED, HOUSE, now, "by the mode auto")


def rejected(repair: Repair, actor: Actor, why: str, now: Instant) -> Repair:
    """A person said no."""
    return _moved(repair, S.REJECTED, actor, now, why)


def begun(repair: Repair, made_again: str, brake: str, actor: Actor, now: Instant) -> Repair:
    """Running; or expired, or refused for good where a `brake` says why not, or it is not what was approved any more.

    made_again: the hash of the plan as it is made from runbook, targets and report by now, "" = it can't be."""
    repair = aged(repair, now)
    if repair.state is S.EXPIRED:
        return repair
    _must(repair, S.APPROVED, "be run")
    if made_again != repair.hash:
        brake = "runbook, script, targets or evidence have changed since it was planned"
    elif not _agreed(repair):
        brake = "its approvals are not enough, or of another plan"
    return _moved(repair, S.REFUSED if brake else S.RUNNING, actor, now, brake)


def acted(repair: Repair, outcome: Outcome, output: str, now: Instant) -> Repair:
    """What has become of the act; `output` is the hash of what is kept of what it printed."""
    return _ended(repair, _AFTER_ACT.get(outcome.status, S.FAILED), outcome, output, now)


def seen(repair: Repair, why: str, *, worked: bool, now: Instant) -> Repair:
    """Succeeded, or escalated where the effect was not seen; what can be taken back is `undoing` instead."""
    return _moved(repair, S.SUCCEEDED if worked else S.ESCALATED, HOUSE, now, why)


def undoing(repair: Repair, actor: Actor, why: str, now: Instant) -> Repair:
    """Its undo is about to begin, which happens once."""
    if not repair.plan.undo:
        raise Refused(f"{repair.plan.runbook} has no undo: {repair.plan.undo_words}")
    if repair.undo_begun:
        raise Refused(f"the undo of {repair.id} was begun before; it is not begun twice")
    return _moved(repair, S.UNDOING, actor, now, why)


def undone(repair: Repair, outcome: Outcome, output: str, now: Instant) -> Repair:
    """What has become of the undo."""
    return _ended(repair, _AFTER_UNDO.get(outcome.status, S.ESCALATED), outcome, output, now)


def lost(repair: Repair, why: str, now: Instant) -> Repair:
    """Nobody saw how it ended. The same repair where it is not under way."""
    return _moved(repair, S.UNKNOWN, HOUSE, now, why) if repair.state in UNDER_WAY else repair


def verdict(before: RepairState, after: RepairState) -> bool | None:
    """What a move teaches about the runbook: it worked, or not; None = nothing. No repair teaches twice."""
    if after is S.SUCCEEDED:
        return True
    return False if (before, after) in _TAUGHT else None


_AFTER_ACT = {
    RunStatus.OK: S.VERIFYING,
    RunStatus.REJECTED: S.REFUSED,
    RunStatus.REFUSED: S.REFUSED,
    RunStatus.UNKNOWN: S.UNKNOWN,
}
_AFTER_UNDO = {RunStatus.OK: S.UNDONE, RunStatus.UNKNOWN: S.UNKNOWN}
_TAUGHT = {(S.RUNNING, S.FAILED), (S.VERIFYING, S.UNDOING), (S.VERIFYING, S.ESCALATED)}


def _ended(repair: Repair, state: RepairState, outcome: Outcome, output: str, now: Instant) -> Repair:
    told = {"status": outcome.status, "exit_code": outcome.exit_code, "usage": outcome.usage, "output": output}
    return _moved(repair, state, HOUSE, now, outcome.why, **told)


def _moved(repair: Repair, state: RepairState, actor: Actor, now: Instant, why: str = "", **told: object) -> Repair:
    if state not in MOVES[repair.state]:
        raise Refused(f"repair {repair.id} is {repair.state}, and can't become {state}")
    step = RepairStep(state, now, actor, why, **told)  # type: ignore[arg-type]  # names and types of the two callers' own
    return dataclasses.replace(repair, steps=(*repair.steps, step))


def _must(repair: Repair, state: RepairState, what: str) -> None:
    if repair.state is not state:
        raise Refused(f"repair {repair.id} is {repair.state}{_told(repair.why)}, and can't {what}")


def _agreed(repair: Repair) -> bool:
    """Whether those who had to agree did, each to this plan and no two of them one person. Asked again before anything begins."""
    given = repair.approvals
    if any(one.hash != repair.hash for one in given):
        return False
    apart = all(not same(one.actor, other.actor) for i, one in enumerate(given) for other in given[:i])
    return apart and (len(given) >= repair.plan.approvers or (not given and repair.mode == "auto"))


def _fresh_approvals(repair: Repair, now: Instant) -> bool:
    return all(fresh(one.at, now, APPROVAL_S) for one in repair.approvals)


def _named(actor: Actor) -> str:
    return actor.name or "somebody without a name"


def _told(why: str) -> str:
    return f" ({why})" if why else ""
