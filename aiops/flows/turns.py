"""Turns: what somebody asked of the house or did to it, each of which leaves an entry in the audit log.

    with turn(store, actor, "run", task=task) as notes:
        notes.report = ...            # the entry is durable when the block is left, before anybody sees the answer

A turn that can't be audited fails, whatever else became of it: an answer that left no trace is worse than none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiops.domain import Actor, Agenda, Intent, Task, to_ns
from aiops.errors import SourceLate, StoreError
from aiops.ports import Store
from aiops.redaction import redact, redact_plain, secrets_in
from aiops.schema import wire

KIND = "turn"
LONGEST = 4000  # characters of what was said, or of an error, that are kept
SUCCESS, FAILED, TIMEOUT = "success", "failed", "timeout"


@dataclass(slots=True)
class Notes:
    """What becomes known of a turn while it lasts."""

    task: Task | None = None
    route: str = ""  # which way words became a task: rules | model | clarify | reject
    report: str = ""  # the report's id
    result: str = ""
    agenda: Agenda | None = None  # of a request of several tasks, the first of which is `task`
    trace: str = ""  # of the request that this is part of


@contextmanager
def turn(
    store: Store, actor: Actor, action: str, *, text: str = "", session: str = "", task: Task | None = None
) -> Iterator[Notes]:
    """Appends one entry of kind `turn` when the block ends, however it ends. StoreError when that can't be done.

    Secrets in any of it are masked. `timeout` is told apart from the other ways to fail."""
    notes, at, began, said = Notes(task), datetime.now(UTC), time.monotonic(), secrets_in(text)
    entry: dict[str, Any] = {
        "action": action,
        "channel": actor.channel,
        "actor": actor.name,
        "session": session,
        "text": _short(text),
        "at_ms": to_ns(at) // 1_000_000,
    }
    status, error = SUCCESS, ""
    try:
        yield notes
    except BaseException as raised:
        late = isinstance(raised, SourceLate | TimeoutError)
        status, error = TIMEOUT if late else FAILED, f"{type(raised).__name__}: {raised}"
        raise
    finally:
        entry |= {"status": status, "error": _short(error), "route": notes.route, "report": notes.report}
        entry |= {
            "result": notes.result,
            "task": _told(notes.task),
            "tasks": [_told(step.task) for step in notes.agenda.steps] if notes.agenda else None,
            "trace": notes.trace,
            "duration_ms": round((time.monotonic() - began) * 1e3),
        }
        _append(store, entry, said)


def session_key(actor: Actor, session: str) -> str:
    """Under which a session is kept: nobody else's, and not that of the same name in another channel."""
    return json.dumps([actor.channel, actor.name, session])


def route_of(task: Task, route: str) -> str:
    """How words were taken: rules | model | clarify | reject."""
    return str(task.intent) if task.intent in (Intent.CLARIFY, Intent.REJECT) else route


def _append(store: Store, entry: Mapping[str, Any], said: Sequence[str]) -> None:
    """Without the fields that say nothing, and without the secrets that were said, wherever they have got to."""
    try:
        store.audit(KIND, {key: value for key, value in redact_plain(entry, said).items() if value not in ("", None)})
    except StoreError as error:
        raise StoreError(f"the audit log can't take this turn, so that it is not answered: {error}") from error


def _told(task: Task | None) -> dict[str, Any] | None:
    """The task as it is written; of each alert only the name and the fingerprint, since the report has it whole."""
    if task is None:
        return None
    told: dict[str, Any] = wire.plain(task)
    told["inputs"]["alerts"] = [[alert.name, alert.fingerprint] for alert in task.inputs.alerts]
    return told


def _short(text: str) -> str:
    """Masked before it is cut, so that no half of a secret stands at the cut."""
    text = redact(text[: 4 * LONGEST].encode("utf-8", "replace").decode())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
