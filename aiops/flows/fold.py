"""Alerts into diagnoses: what is told apart, what is joined, and what starts none.

Of one notification, the firing alerts of one group that concern one node become one job; its key is made of their alert
keys, so that the same alerts, from either of a pair of Alertmanagers or after a restart, join it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiops.domain import Alert, Inputs, Intent, Job, JobState, Symptom, Task, job_id
from aiops.ports import JobQueue, Store
from aiops.rules import Entities
from aiops.schema import wire

# Watchdog proves that alerting works and InfoInhibitor mutes others: neither says that anything is wrong.
NEVER_DIAGNOSED = frozenset({"Watchdog", "InfoInhibitor"})
_LOOK_BACK = 100  # jobs searched for an alert that was notified before in other company


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
    return tuple(_job(sorted(group, key=_age), entities, suppressed=key[0]) for key, group in groups.items())


def accept(alerts: Sequence[Alert], entities: Entities, store: Store, queue: JobQueue) -> Receipt:
    """Takes a notification: durable when it returns. Raises Overloaded, StoreError.

    Jobs are put before the notification is recorded: a crash or a full queue between the two makes the sender repeat
    itself and the jobs be joined, while the other order would take the repetition for a duplicate and lose it.
    """
    new = store.unseen(alerts)
    starting = {a.notification_key: a for a in new if _starts(a)}
    put = queue.put(jobs(starting.values(), entities))
    rest = [a for a in alerts if a.notification_key not in starting]
    known = _known(rest, entities, store, queue)
    put += queue.put(jobs([a for a in new if not _starts(a) and a.key not in known], entities))
    fresh = store.seen(alerts)
    accepted = sum(map(_starts, fresh))
    return Receipt(accepted, len(alerts) - len(fresh), len(fresh) - accepted, _diagnoses(put, known))


def _starts(alert: Alert) -> bool:
    return alert.status == "firing" and alert.name not in NEVER_DIAGNOSED


def _age(alert: Alert) -> tuple[datetime, str]:
    return alert.starts_at, alert.fingerprint


def _job(alerts: list[Alert], entities: Entities, *, suppressed: bool) -> Job:
    inputs = Inputs(symptom=symptom(alerts, entities), alerts=tuple(alerts))
    task = Task(task_id(Intent.DIAGNOSE, inputs), Intent.DIAGNOSE, inputs)
    key = "\n".join([alerts[0].group_key, *(f"{a.fingerprint} {a.starts_at.isoformat()} {a.status}" for a in alerts)])
    state = JobState.SUPPRESSED if suppressed else JobState.QUEUED
    return Job(job_id(key), key, task, state, enqueued_at=datetime.now(UTC))


def _known(alerts: list[Alert], entities: Entities, store: Store, queue: JobQueue) -> dict[tuple[str, str], str]:
    """Alert key -> the diagnosis that is already about it, of alerts that start none."""
    found: dict[tuple[str, str], str] = {}
    for job in jobs(alerts, entities):  # the same notification again
        if queue.get(job.id):
            found |= {alert.key: job.id for alert in job.task.inputs.alerts}
    wanted = {a.key for a in alerts} - found.keys()
    for job in queue.recent(_LOOK_BACK) if wanted else ():
        found |= {a.key: job.id for a in job.task.inputs.alerts if a.key in wanted and a.key not in found}
    for alert in alerts:
        rows = () if alert.key in found else store.find(alert.fingerprint, "", None, 1)
        if rows:
            found[alert.key] = rows[0]["id"]
    return found


def _diagnoses(put: Iterable[Job], known: dict[tuple[str, str], str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    about: dict[str, dict[str, None]] = {}
    for job in put:
        about.setdefault(job.id, {}).update({a.fingerprint: None for a in job.task.inputs.alerts})
    for (fingerprint, _), diagnosis in known.items():
        about.setdefault(diagnosis, {})[fingerprint] = None
    return tuple((diagnosis, tuple(fingerprints)) for diagnosis, fingerprints in about.items())
