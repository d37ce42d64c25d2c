"""Alerts into diagnoses: what is told apart, what is joined, and what starts none.

Of one notification, the firing alerts of one group that concern one node become one job; its key is made of their alert
keys, so that the same alerts, from either of a pair of Alertmanagers or after a restart, join it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from aiops.domain import Alert, Inputs, Intent, Job, JobState, Known, Notification, Symptom, Task, job_id
from aiops.ports import JobQueue, Store
from aiops.rules import Entities
from aiops.schema import wire

# Watchdog proves that alerting works and InfoInhibitor mutes others: neither says that anything is wrong.
NEVER_DIAGNOSED = frozenset({"Watchdog", "InfoInhibitor"})
ACCEPTED, DUPLICATE, SUPPRESSED = "accepted", "duplicate", "suppressed"
Firing: TypeAlias = tuple[str, str, datetime]  # group key, fingerprint and start, whatever the status


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the alerts of one notification: `accepted + duplicates + suppressed` is how many there were.

    diagnoses: (diagnosis id, fingerprints it is about), those that were started first.
    """

    accepted: int
    duplicates: int
    suppressed: int
    diagnoses: tuple[tuple[str, tuple[str, ...]], ...]


def symptom(alerts: Iterable[Alert], entities: Entities) -> Symptom:
    """What the alerts say hurts: the node of the earliest that names one, since the earliest of all; empty without alerts."""
    ordered = sorted(alerts, key=_age)
    if not ordered:
        return Symptom()
    named = (entities.node("alert", alert.labels) for alert in ordered)
    return Symptom(service=next(filter(None, named), None), at=ordered[0].starts_at)


def task_id(intent: Intent, inputs: Inputs) -> str:
    """`^[a-z0-9_]{4,32}$`, the same for the same inputs."""
    return f"{intent}_{hashlib.sha256(wire.encode(inputs)).hexdigest()[:12]}"


def jobs(alerts: Iterable[Alert], entities: Entities) -> tuple[Job, ...]:
    """One job for the alerts of each group and node, in order of their first alert; suppressed ones come finished."""
    groups: dict[tuple[bool, str, str], list[Alert]] = {}
    for alert in alerts:
        key = not _starts(alert), alert.group_key, entities.node("alert", alert.labels)
        groups.setdefault(key, []).append(alert)
    return tuple([_job(sorted(group, key=_age), entities, suppressed=key[0]) for key, group in groups.items()])


def accept(
    notifications: Sequence[Notification], entities: Entities, store: Store, queue: JobQueue
) -> tuple[Receipt, ...]:
    """Takes notifications together: all durable when it returns, none taken when it raises Overloaded, StoreError, DataError.

    Each gets the receipt that it would have got alone, in this order. Jobs are put before the notifications are recorded: a
    crash or a full queue between the two makes the sender repeat itself and the jobs be joined, while the other order would
    take the repetition for a duplicate and lose it.
    """
    alerts = [alert for notification in notifications for alert in notification.alerts]
    receipts: list[Receipt] = []

    def assign(known: Sequence[Known]) -> list[str]:
        fates = _fates(alerts, known)
        started = _started(notifications, fates, entities, queue)
        assigned = _assigned(alerts, known, started)
        _suppress(alerts, fates, assigned, entities, queue)
        receipts.extend(_receipts(notifications, fates, assigned))
        return assigned

    store.record(alerts, assign)
    return tuple(receipts) if alerts else (Receipt(0, 0, 0, ()),) * len(notifications)


def _fates(alerts: Sequence[Alert], known: Sequence[Known]) -> list[str]:
    """What becomes of each alert; the second of two that are equal is a duplicate, too."""
    met: set[tuple[Firing, str]] = set()
    fates: list[str] = []
    for alert, told in zip(alerts, known, strict=True):
        key = _firing(alert), alert.status
        repeated = told.repeated or key in met
        fates.append(DUPLICATE if repeated else ACCEPTED if _starts(alert) else SUPPRESSED)
        met.add(key)
    return fates


def _started(
    notifications: Sequence[Notification], fates: Sequence[str], entities: Entities, queue: JobQueue
) -> dict[Firing, str]:
    """The diagnosis of each alert that starts one, or joins one that is under way."""
    fate = iter(fates)
    made: list[Job] = []
    for notification in notifications:
        made += jobs([alert for alert in notification.alerts if next(fate) == ACCEPTED], entities)
    put = queue.put(made)
    return {_firing(alert): job.id for asked, job in zip(made, put, strict=True) for alert in asked.task.inputs.alerts}


def _assigned(alerts: Sequence[Alert], known: Sequence[Known], started: dict[Firing, str]) -> list[str]:
    """The diagnosis of each alert: the one that is recorded, or that just started; "" where neither is."""
    return [told.diagnosis or started.get(_firing(a), "") for a, told in zip(alerts, known, strict=True)]


def _suppress(
    alerts: Sequence[Alert], fates: Sequence[str], assigned: list[str], entities: Entities, queue: JobQueue
) -> None:
    """Gives what starts no diagnosis, and belongs to none, one that is recorded as finished; fills in `assigned`."""
    orphans = {
        (_firing(alert), alert.status): alert
        for alert, fate, diagnosis in zip(alerts, fates, assigned, strict=True)
        if fate == SUPPRESSED and not diagnosis
    }
    about = {
        (_firing(alert), alert.status): job.id
        for job in queue.put(jobs(orphans.values(), entities))
        for alert in job.task.inputs.alerts
    }
    for i, alert in enumerate(alerts if orphans else ()):
        assigned[i] = assigned[i] or about.get((_firing(alert), alert.status), "")


def _receipts(
    notifications: Sequence[Notification], fates: Sequence[str], assigned: Sequence[str]
) -> Iterator[Receipt]:
    start = 0
    for notification in notifications:
        part = slice(start, start + len(notification.alerts))
        counts = Counter(fates[part])
        about: dict[str, dict[str, None]] = {}
        told = list(zip(notification.alerts, fates[part], assigned[part], strict=True))
        for alert, _, diagnosis in sorted(told, key=lambda row: row[1] != ACCEPTED):  # those that were started first
            if diagnosis:
                about.setdefault(diagnosis, {})[alert.fingerprint] = None
        diagnoses = tuple((diagnosis, tuple(fingerprints)) for diagnosis, fingerprints in about.items())
        yield Receipt(counts[ACCEPTED], counts[DUPLICATE], counts[SUPPRESSED], diagnoses)
        start = part.stop


def _starts(alert: Alert) -> bool:
    return alert.status == "firing" and alert.name not in NEVER_DIAGNOSED


def _age(alert: Alert) -> tuple[datetime, str]:
    return alert.starts_at, alert.fingerprint


def _firing(alert: Alert) -> Firing:
    return alert.group_key, alert.fingerprint, alert.starts_at


def _job(alerts: list[Alert], entities: Entities, *, suppressed: bool) -> Job:
    inputs = Inputs(symptom=symptom(alerts, entities), alerts=tuple(alerts))
    key = "\n".join([alerts[0].group_key, *(f"{a.fingerprint} {a.starts_at.isoformat()} {a.status}" for a in alerts)])
    made = job_id(key)
    # Named by the job: to hash the inputs, too, would cost a storm as much as all the rest.
    task = Task(f"{Intent.DIAGNOSE}_{made[:12]}", Intent.DIAGNOSE, inputs)
    state = JobState.SUPPRESSED if suppressed else JobState.QUEUED
    return Job(made, key, task, state, enqueued_at=datetime.now(UTC))
