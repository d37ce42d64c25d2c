"""Brakes: what keeps an approved repair from beginning. Each answers why not, "" = nothing against it; any doubt is against it.

`outside` asks others (metrics, the disk, a condition) and may take its time; `inside` looks at the other repairs, in the very
transaction in which this one begins, so that two of them can't overlook each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from aiops.domain import Call, Instant, Repair, RepairPlan
from aiops.errors import AiopsError
from aiops.flows.repair import checks
from aiops.flows.repair.machine import UNDER_WAY
from aiops.ports import MetricsSource, Premises, RepairBook, Store
from aiops.schema import wire

HOUR_S = 3600.0
ASK_S = 10.0  # seconds for one check
LONGEST_S = 31 * 24 * HOUR_S  # that any cool-down looks back
Condition: TypeAlias = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings allow. per_hour: repairs that may begin; storm: open episodes from which on none begins; free: bytes
    that the disk must have left; condition: what must be true of a repair as well."""

    mode: str = "suggest"
    self_approval: bool = False
    per_hour: int = 6
    storm: int = 20
    free: int = 64 << 20
    condition: Condition | None = None


def outside(repair: Repair, terms: Terms, metrics: MetricsSource, premises: Premises, store: Store) -> str:
    """The first reason of many. Raises what the ports raise."""
    return next(filter(None, _reasons(repair, terms, metrics, premises, store)), "")


def _reasons(repair: Repair, terms: Terms, metrics: MetricsSource, premises: Premises, store: Store) -> Iterator[str]:
    if stopped := premises.stopped():
        yield f"repairs are stopped: {stopped}"
    if terms.mode == "off":
        yield "repairs are off (repairs.mode)"
    if metrics.window() is not None:
        yield "the metrics are a recorded incident's, and nothing can be repaired in the past"
    if (episodes := store.figures()["open"]) >= terms.storm:
        yield f"{episodes} episodes are open: nothing is repaired in a storm (repairs.storm = {terms.storm})"
    if (free := premises.room()) < terms.free:
        yield f"{free >> 20} MiB are free, and {terms.free >> 20} are needed to keep what it prints"
    yield _denied(repair, terms)
    for check in repair.plan.before:
        why = checks.failing(check, metrics, premises.now().at, ASK_S)
        yield f"before: {why}" if why else ""


def inside(repair: Repair, book: RepairBook, terms: Terms, calls: Iterable[Call], now: Instant) -> str:
    """Too many of late, the same target too soon, or too large a part of its kind."""
    others = [one for one in book.begun(now.at - timedelta(seconds=LONGEST_S)) if one.id != repair.id]
    if len([one for one in others if _within(one, now, HOUR_S)]) >= terms.per_hour:
        return f"{terms.per_hour} repairs have begun within the hour (repairs.per_hour)"
    for one in others:
        if set(one.plan.targets) & set(repair.plan.targets):
            if one.state in UNDER_WAY:
                return f"repair {one.id} of {', '.join(one.plan.targets)} is under way"
            if _within(one, now, max(one.plan.cool_down_s, repair.plan.cool_down_s)):
                return f"{', '.join(one.plan.targets)} was repaired by {one.id} and is left alone (cool-down)"
    return _reach(repair.plan, [one for one in others if one.plan.runbook == repair.plan.runbook], calls, now)


def _reach(plan: RepairPlan, others: Iterable[Repair], calls: Iterable[Call], now: Instant) -> str:
    """Of targets, how many one cool-down may see repaired by one runbook."""
    touched = set(plan.targets)
    for one in others:
        if one.state in UNDER_WAY or _within(one, now, plan.cool_down_s):
            touched |= set(one.plan.targets)
    if plan.most_targets and len(touched) > plan.most_targets:
        return f"{len(touched)} targets within one cool-down, and {plan.runbook} may reach {plan.most_targets}"
    if plan.most_percent:
        kind = alike(plan.targets[0], calls)
        if 100 * len(touched) > plan.most_percent * len(kind | touched):
            told = f"{len(touched)} of {len(kind)} nodes of its kind"
            return f"{told} within one cool-down, and {plan.runbook} may reach {plan.most_percent} %"
    return ""


def alike(target: str, calls: Iterable[Call]) -> set[str]:
    """The nodes that are of the target's kind: those that others run on, or those that don't. Empty when the graph doesn't know it."""
    known = list(calls)
    hosts = {call.callee for call in known if call.kind == "RUNS_ON"}
    nodes = {end for call in known for end in (call.caller, call.callee)}
    if target not in nodes:
        return set()
    return hosts if target in hosts else nodes - hosts


def _within(one: Repair, now: Instant, seconds: float) -> bool:
    """Whether it began less than that ago by either clock; by the calendar alone after the machine was started anew."""
    if one.begun is None:
        return False
    calendar = (now.at - one.begun.at).total_seconds()
    ticks = (now.ticks_ms - one.begun.ticks_ms) / 1e3 if now.boot == one.begun.boot else calendar
    return min(ticks, calendar) < seconds


def _denied(repair: Repair, terms: Terms) -> str:
    if terms.condition is None:
        return ""
    told = {"plan": wire.plain(repair.plan), "mode": repair.mode, "requester": repair.requester.name}
    told["approvers"] = [one.actor.name for one in repair.approvals]
    try:
        allowed = terms.condition(told)
    except AiopsError as error:
        return f"the condition (repairs.condition) can't be asked: {error}"
    return "" if allowed is True else "the condition (repairs.condition) says no"
