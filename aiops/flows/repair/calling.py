"""What a person is told when a repair did not end well."""

from __future__ import annotations

from aiops.domain import Repair, RepairState
from aiops.plain import clean
from aiops.ports import Message

_WORDS = {
    RepairState.UNDONE: "did not help, and was taken back",
    RepairState.ESCALATED: "did not help, and was not taken back",
    RepairState.FAILED: "failed",
    RepairState.UNKNOWN: "was cut off: nobody saw how it ended, and it is not run again",
}


def called_for(repair: Repair) -> Message:
    """In plain lines: what was done to what, what became of it, and where to look."""
    plan, why = repair.plan, next((step.why for step in reversed(repair.steps) if step.why), "")
    return Message(
        (
            f"Repair {repair.id} of {clean(', '.join(plan.targets), 200)} {_WORDS[repair.state]}: {clean(plan.title, 200)}",
            f"It ran: {clean(' '.join(plan.words), 500)}",
            f"Why: {clean(why, 500)}",
            f"aiops remediate show {repair.id}",
        )
    )
