"""Writing repairs down: each change with its entry in the audit chain, its secrets masked, and what it teaches."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from aiops.domain import Actor, Outcome, Repair, Usage
from aiops.flows.repair import machine
from aiops.ports import RepairBook
from aiops.redaction import redact, redact_plain
from aiops.schema import wire

LONGEST = 1 << 20  # characters that are kept of what a run printed
_ODD = re.compile(r"[^\n\t -~]")  # what is no plain ASCII, and is looked at one by one
CUT = "\n… {count} characters were left out here …\n"


def save(book: RepairBook, before: Repair | None, after: Repair, action: str, actor: Actor, output: str = "") -> Repair:
    """Keeps a repair as it now is. Whether anything is new about it is the caller's to know."""
    book.save(after, redact_plain(_told(before, after, action, actor)), output)
    taught = machine.verdict(before.state, after.state) if before and before.state is not after.state else None
    if taught is not None:
        book.learn(after.plan.runbook, after.plan.fault, worked=taught)
    return after


def kept(outcome: Outcome) -> str:
    """What is archived of a run: what it printed and left, without secrets and without what steers a terminal; the two ends of
    what is too long."""
    text = redact(_harmless("".join((outcome.output, *_artefacts(outcome)))))
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return text[:half] + CUT.format(count=len(text) - 2 * half) + text[-half:]


def digest_of(text: str) -> str:
    """The hash that a step and its audit entry know an archived output by; "" of none."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _artefacts(outcome: Outcome) -> Iterator[str]:
    for name, data in sorted(outcome.artefacts.items()):
        yield f"\n--- {name}, {len(data)} bytes ---\n{data.decode('utf-8', 'backslashreplace')}"


def _harmless(text: str) -> str:
    return _ODD.sub(_escaped, text.encode("utf-8", "backslashreplace").decode())


def _escaped(odd: re.Match[str]) -> str:
    return odd[0] if unicodedata.category(odd[0])[0] != "C" else ascii(odd[0])[1:-1]


def _told(before: Repair | None, after: Repair, action: str, actor: Actor) -> dict[str, Any]:
    """One entry of the audit chain."""
    step = after.steps[-1]
    told: dict[str, Any] = {"repair": after.id, "action": action, "state": after.state, "hash": after.hash}
    told |= {"actor": actor.name, "channel": actor.channel, "why": step.why}
    if before is None:
        told |= {"requester": after.requester.name, "mode": after.mode, "plan": wire.plain(after.plan)}
    if action == "approve":
        given = after.approvals[-1:]
        told |= {"approvals": len(after.approvals), "needed": after.plan.approvers}
        told |= {"own": any(machine.own(after, one.actor) for one in given), "note": given[0].note if given else ""}
    if step.status is not None:
        told |= {"status": step.status, "exit_code": step.exit_code, "output": step.output}
        told |= {"usage": wire.plain(step.usage or Usage())}
    return {name: value for name, value in told.items() if value not in ("", None)}
